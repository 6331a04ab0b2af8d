"""Blocks: frozen norms whose weights change all the same, as those of averaged (EMA) models do."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from steplens.record import members
from steplens.record.norms import readable

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 4  # read of each norm and the block around it
AROUND = 8  # norms of which the block is read as well as the norm itself
LOOKS = 8  # forwards at which a norm is looked at whatever the cadence says


class Blocks:
    """What the weights around frozen norms sum to, to see whether somebody writes to them."""

    def __init__(self) -> None:
        self.averaged: set[int] = set()
        self.sums: dict[int, tuple[float, ...]] = {}
        self.looks: dict[int, int] = {}

    def look(self, recorder: "Recorder", norms: tuple[int, ...]) -> bool:
        """Read the weights around these norms; whether some were seen to be averaged just now. The
        other norms of the same frozen block are then averaged as well."""
        found: list[nn.Module] = []
        for place, number in enumerate(norms):
            looks = self.looks[number] = self.looks.get(number, 0) + 1
            if number in self.averaged or (looks > LOOKS and not recorder.cadence.looking):
                continue
            norm = recorder.census.module_at(number)
            if norm is None:
                continue
            parent = recorder.census.module_at(recorder.roster.modules[number].parent)
            with recorder.quiet(), torch.no_grad():
                now = _sums(norm, parent, place < AROUND)
            was = self.sums.setdefault(number, now)
            if len(was) == len(now) and was != now and not any(v != v for v in (*was, *now)):
                self.averaged.add(number)
                found.append(_block(recorder, number, norm))
        if found:
            inside = {id(module) for block in found for module in members.modules(block)}
            for number in norms:
                if id(recorder.census.module_at(number)) in inside:
                    self.averaged.add(number)
        return bool(found)


def _block(recorder: "Recorder", number: int, norm: nn.Module) -> nn.Module:
    """The outermost module around a norm of which no parameter is trainable."""
    block = norm
    while True:
        number = recorder.roster.modules[number].parent
        parent = recorder.census.module_at(number)
        if parent is None or any(p.requires_grad for p in members.parameters(parent)):
            return block
        block = parent


def _sums(norm: nn.Module, parent: nn.Module | None, around: bool) -> tuple[float, ...]:
    held = list(members.parameters(norm, recurse=False))
    if parent is not None and (around or not held):
        held += [tensor for tensor in members.parameters(parent) if not tensor.requires_grad]
    return tuple(
        float(tensor.detach().double().sum())
        for tensor in held[:TENSORS]
        if tensor.numel() and readable(tensor)
    )
