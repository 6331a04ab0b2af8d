"""Samples: whether dimension 0 of what a module was given is that of samples."""

import gc

import torch
from torch import nn

from steplens.model.site import Site
from steplens.record import members

LOOKED = 8  # rows that are looked for
MOST = 20_000_000  # elements of a tensor that is searched
TENSORS = 64


def rowwise(
    found: tuple[int, str, str, Site | None, int], given: list[torch.Tensor], module: nn.Module
) -> bool:
    """Whether dimension 0 of the input, which a layer took for its sequence, is that of the rows of
    the output, and no other dimension of the input has its size. An output with more dimensions may
    have a sequence first, unless another layer of the module takes the batch first."""
    *_, form, _, dims = found
    return (
        form in ("sequence", "softmax")
        and (dims <= 2 or (form == "sequence" and _at_odds(module)))
        and all(len(tensor) not in tensor.shape[1:] for tensor in given)
    )


def _at_odds(module: nn.Module) -> bool:
    """Whether some recurrent and attention layers take the batch first, and others do not."""
    layers = (nn.MultiheadAttention, nn.RNNBase)
    inner = (each for each in members.modules(module) if isinstance(each, layers))
    return len({bool(each.batch_first) for each in inner}) > 1


def is_of(tensor: torch.Tensor, batch: list[torch.Tensor]) -> bool:
    """Whether a tensor is one of the batch's, or a copy of it on a device or of another type."""
    if tensor.dim() < 2 or len(tensor) < 2 or tensor.requires_grad:
        return False
    for other in batch:
        if tensor is other:
            return True
        if tensor.shape == other.shape and torch.equal(tensor.detach().cpu().to(other), other):
            return True
    return False


def many(tensor: torch.Tensor) -> bool:
    """Whether a tensor looks like samples that each have several parts: numbers in three
    dimensions, or words in two."""
    least = 3 if tensor.is_floating_point() else 2
    return tensor.dim() >= least and len(tensor) > 1 and not tensor.requires_grad


def rows_of_numbers(tensor: torch.Tensor) -> bool:
    """Whether a tensor looks like rows of numbers."""
    return tensor.dim() == 2 and len(tensor) > 1 and not tensor.requires_grad


def drawn_from_more(given: list[torch.Tensor]) -> bool:
    """Whether one of these tensors holds rows of a larger one, out of their order there: then they
    are samples, which have no order; a sequence, a graph or an image would not bear it.

    Found among all tensors there are. No dimension of the tensors but the first may have its size.
    """
    if any(len(tensor) in tensor.shape[1:] for tensor in given):
        return False
    return any(_drawn(tensor) for tensor in given)


def _drawn(batch: torch.Tensor) -> bool:
    rows, left = batch.detach()[:LOOKED], TENSORS
    for thing in gc.get_objects():
        if type(thing) is not torch.Tensor or thing is batch or thing.layout is not torch.strided:
            continue
        if thing.dim() != batch.dim() or thing.shape[1:] != batch.shape[1:]:
            continue
        if thing.dtype != batch.dtype or thing.device != batch.device or thing.numel() > MOST:
            continue
        if len(thing) <= len(batch):
            continue
        left -= 1
        places = [_place(thing.detach(), row) for row in rows]
        if min(places) >= 0 and places != sorted(places):
            return True
        if not left:
            break
    return False


def _place(table: torch.Tensor, row: torch.Tensor) -> int:
    """Which row of a table is this one, -1 for none."""
    same = (table == row).flatten(1).all(1).nonzero()
    return int(same[0]) if len(same) else -1
