"""Undone: loads into a module all of whose matrices were drawn anew before a forward of it."""

import weakref
from typing import TYPE_CHECKING

import torch
from torch import nn

from steplens.model.event import Load
from steplens.model.site import Site
from steplens.record import members
from steplens.record.ledger import values_of
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOADS = 64  # that are looked at
PENDING = 16  # of them that wait for a forward
MATRICES = 64  # of a load
ELEMENTS = 32  # of a matrix
LEAST = 16  # elements in all
ALIKE = 0.5  # cosine: values made of those that were loaded stay near them


class Pending:
    """One load: where it was, what it brought, and where that was written since."""

    __slots__ = ("module", "site", "step", "parts", "where")

    def __init__(self, module: nn.Module, site: Site | None, step: int) -> None:
        self.module = weakref.ref(module)
        self.site, self.step = site, step
        self.parts: dict[int, tuple[weakref.ref[torch.Tensor], torch.Tensor]] = {}
        self.where: Site | None = None


class UndoneLoads:
    """The loads that no forward has used yet."""

    def __init__(self) -> None:
        self.pending: list[Pending] = []
        self.left = LOADS

    def loaded(
        self, recorder: "Recorder", module: nn.Module, given: dict[str, torch.Tensor]
    ) -> None:
        """A state was loaded: another load of the same tensors is nobody's mistake."""
        mine = {id(tensor) for tensor in given.values()}
        self.pending = [each for each in self.pending if mine.isdisjoint(each.parts)]
        if not given or self.left <= 0 or len(self.pending) >= PENDING:
            return
        self.left -= 1
        found = Pending(module, recorder.site(), recorder.step)
        for tensor in given.values():
            values = values_of(tensor) if tensor.dim() > 1 else None
            if values is not None and isinstance(tensor, nn.Parameter):
                found.parts[id(tensor)] = weakref.ref(tensor), _sample(values)
        if 0 < len(found.parts) <= MATRICES:
            self.pending.append(found)

    def wrote(self, recorder: "Recorder", target: torch.Tensor) -> None:
        """Values are about to be generated in a tensor. Once the program has stepped, what waits
        for a forward may have none, and would be asked about at each such write."""
        self.pending = [each for each in self.pending if recorder.step <= each.step + 1]
        place = pointer(target)
        for each in self.pending:
            held = [tensor for ref, _ in each.parts.values() if (tensor := ref()) is not None]
            if place and any(pointer(tensor) == place for tensor in held):
                each.where = recorder.site()

    def forward(self, recorder: "Recorder", module: nn.Module) -> None:
        """A module has run: what was loaded into it, or a part of it, has been used."""
        inside = {id(each) for each in members.modules(module)}
        used = [each for each in self.pending if id(each.module()) in inside]
        self.pending = [each for each in self.pending if each not in used]
        with recorder.quiet(), torch.no_grad():
            for each in used:
                if each.where is not None and _drawn_anew(each):
                    self._tell(recorder, each)

    def _tell(self, recorder: "Recorder", found: Pending) -> None:
        module = found.module()
        held = [tensor for ref, _ in found.parts.values() if (tensor := ref()) is not None]
        if module is not None:
            recorder.emit(
                Load(
                    recorder.index(),
                    recorder.step,
                    found.site,
                    "undone",
                    recorder.census.module(module),
                    tuple([recorder.census.account(tensor).number for tensor in held]),
                    len(held),
                    taken_at=found.where,
                )
            )


def _sample(values: torch.Tensor) -> torch.Tensor:
    return values.detach().reshape(-1)[:ELEMENTS].float().clone()


def _drawn_anew(found: Pending) -> bool:
    """Whether no matrix is as it was, nor made of what it was."""
    before: list[torch.Tensor] = []
    after: list[torch.Tensor] = []
    for ref, sample in found.parts.values():
        tensor = ref()
        values = values_of(tensor) if tensor is not None else None
        if values is None:
            return False
        now = _sample(values)
        if now.shape != sample.shape or torch.equal(now, sample):
            return False
        before.append(sample)
        after.append(now)
    old, new = torch.cat(before), torch.cat(after)
    size = float(old.norm() * new.norm())
    return len(old) >= LEAST and abs(float(old.dot(new))) <= ALIKE * size and size > 0
