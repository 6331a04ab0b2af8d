"""Hoarded: states of one model that a line has taken at several steps, and that are all still
held."""

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn

from steplens.model.event import Load
from steplens.model.site import Site
from steplens.record import members
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

Call = tuple[weakref.ref[torch.Tensor], int, Site | None]
HELD = 3  # at once: a variable that is bound anew holds the state before until it has the next


class Hoarded:
    """The lines told of."""

    def __init__(self) -> None:
        self.told: set[Site] = set()

    def look(
        self,
        recorder: "Recorder",
        module: nn.Module,
        first: torch.Tensor | None,
        site: Site | None,
        calls: Iterable[Call],
    ) -> None:
        """A state was taken at this line, with this tensor: are those that the line took before, of
        the same memory, still held? ``calls`` are a tensor of each, the step and the line."""
        place = pointer(first) if first is not None else 0
        if site is None or site in self.told or not place:
            return
        steps = {
            step
            for ref, step, line in calls
            if line == site and (tensor := ref()) is not None and pointer(tensor) == place
        }
        if len(steps) < HELD:
            return
        self.told.add(site)
        accounts = [recorder.census.account(tensor) for tensor in members.parameters(module)]
        numbers = tuple([account.number for account in accounts])
        at = recorder.index(), recorder.step, site
        owner = recorder.census.module(module)
        recorder.emit(Load(*at, "hoarded", owner, numbers, len(steps), taken=min(steps)))
