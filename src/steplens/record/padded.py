"""Padded: labels of a loss that are the padding of the tokens its model was given."""

from collections.abc import Sequence
from typing import Any

import torch

from steplens.model.graph import PaddedLabels
from steplens.record.saved import saved, signed

LOSSES = frozenset(("NllLossBackward0", "NllLoss2DBackward0"))
TABLE = "EmbeddingBackward0"
NEAR = 64  # nodes among which the loss is looked for
MOST = 1_000_000  # labels
ROWS = 2  # at least, whose labels end in padding, in runs of different lengths, one of two or more
SHARE = 0.1  # of the labels, at least


def padded(nodes: Sequence[Any]) -> tuple[PaddedLabels, ...]:
    """The losses whose labels end in runs of the token that a table of the model holds to be
    padding (its ``padding_idx``), and that count it like any other: it is not the ignored index,
    has a weight, and nothing is masked after the loss."""
    places = [place for place, node in enumerate(nodes[:NEAR]) if node.name() in LOSSES]
    tables = [node for node in nodes if node.name() == TABLE] if places else []
    found: list[PaddedLabels] = []
    for place in places:
        loss = nodes[place]
        target, weight = saved(loss, "target"), saved(loss, "weight")
        if loss._saved_reduction not in (1, 2) or not 0 < target.numel() <= MOST:
            continue
        for table in tables:
            token = signed(table._saved_padding_idx)
            ids = saved(table, "indices")
            classes = saved(loss, "self").shape[1] if target.dim() else 0
            if token < 0 or classes != table._saved_weight_sym_argsize_0 or ids.dim() != 2:
                continue
            if token == signed(loss._saved_ignore_index):
                continue
            if isinstance(weight, torch.Tensor) and not float(weight[token]):
                continue
            count = _runs(target, ids, token)
            if count:
                found.append(PaddedLabels(place, token, count, target.numel()))
                break
    return tuple(found)


def _runs(target: torch.Tensor, ids: torch.Tensor, token: int) -> int:
    """How many labels are the padding, all of them at the ends of rows; 0 where it stands
    elsewhere, too, or where they are not the labels of such tokens."""
    for axis in (1, 0):
        for short in (0, 1):
            shape = list(ids.shape)
            shape[axis] -= short
            if min(shape) < 1 or target.numel() != shape[0] * shape[1]:
                continue
            pads = (target.reshape(shape) == token).movedim(axis, 1)
            lengths = pads.flip(1).cumprod(1).sum(1)
            count = int(pads.sum())
            if count != int(lengths.sum()) or count < SHARE * target.numel():
                continue
            ending = lengths[lengths > 0]
            if len(ending) >= ROWS and len(ending.unique()) > 1 and int(lengths.max()) > 1:
                return count
    return 0
