"""Blocks: frozen norms whose weights change all the same, as those of averaged (EMA) models do."""

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 4  # read of each norm and the block around it
LOOKS = 8  # forwards at which a norm is looked at whatever the cadence says


class Blocks:
    """What the weights around frozen norms sum to, to see whether somebody writes to them."""

    def __init__(self) -> None:
        self.averaged: set[int] = set()
        self.sums: dict[int, tuple[float, ...]] = {}
        self.looks: dict[int, int] = {}

    def look(self, recorder: "Recorder", norms: tuple[int, ...]) -> bool:
        """Read the weights around these norms; whether some were seen to be averaged just now."""
        found = False
        for number in norms[:8]:
            looks = self.looks[number] = self.looks.get(number, 0) + 1
            if number in self.averaged or (looks > LOOKS and not recorder.cadence.looking):
                continue
            norm = recorder.census.module_at(number)
            if norm is None:
                continue
            parent = recorder.census.module_at(recorder.roster.modules[number].parent)
            with recorder.quiet(), torch.no_grad():
                now = _sums(norm, parent)
            was = self.sums.setdefault(number, now)
            if was != now and not any(value != value for value in (*was, *now)):
                self.averaged.add(number)
                found = True
        return found


def _sums(norm: nn.Module, parent: nn.Module | None) -> tuple[float, ...]:
    held = list(norm.parameters(recurse=False))
    if parent is not None:
        held += [tensor for tensor in parent.parameters() if not tensor.requires_grad]
    return tuple(
        float(tensor.detach().double().sum())
        for tensor in held[:TENSORS]
        if tensor.numel() and tensor.device.type != "meta"
    )
