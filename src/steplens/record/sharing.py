"""Sharing: a second module all of whose parameters lie in the memory of the one being stepped."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from steplens.model.event import Shared
from steplens.model.site import Site
from steplens.record import members
from steplens.record.account import Account
from steplens.record.aliased import aliasing_line
from steplens.record.repeated import Repeated
from steplens.record.twofold import Twofold

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

ROOTS = 64  # outermost modules compared at one look


class Sharing:
    """The pairs told of, and those seen once: a pair is told at the second look that finds both
    alive, so that a copy made in passing is let be."""

    def __init__(self) -> None:
        self.told: set[tuple[int, int]] = set()
        self.seen: dict[tuple[int, int], int] = {}
        self.loads: dict[int, Site | None] = {}  # modules that took another's tensors, where
        self.repeated = Repeated()
        self.twofold = Twofold()

    def loaded(self, module: int, site: Site | None) -> None:
        """A module has taken the tensors of another one as its own (``assign=True``)."""
        if len(self.loads) < 256:
            self.loads[module] = site

    def look(self, recorder: "Recorder", accounts: Sequence[Account]) -> None:
        """Compare the model that this step moves with other modules of its class."""
        if not recorder.cadence.looking:
            return
        self.repeated.look(recorder, accounts)
        self.twofold.look(recorder, accounts)
        stepped = {
            id(tensor): tensor for account in accounts if (tensor := account.ref()) is not None
        }
        roots = _roots(recorder)
        if len(roots) < 2 or len(roots) > ROOTS:
            return
        for number, model in roots.items():
            if not any(id(parameter) in stepped for parameter in members.parameters(model)):
                continue
            for other, module in roots.items():
                pair = (other, number)
                if other == number or type(module) is not type(model) or pair in self.told:
                    continue
                if (number, other) in self.told or other < number:  # the copy was met later
                    continue
                self._compare(recorder, pair, module, model)

    def _compare(
        self, recorder: "Recorder", pair: tuple[int, int], module: nn.Module, model: nn.Module
    ) -> None:
        shallow = module._parameters is model._parameters or module._modules is model._modules
        if not shallow and not _same_memory(module, model):
            return
        first = self.seen.setdefault(pair, recorder.step)
        if first == recorder.step:
            return
        self.told.add(pair)
        recorder.emit(
            Shared(
                recorder.index(),
                recorder.step,
                recorder.site(),
                pair[0],
                pair[1],
                sum(1 for _ in members.parameters(module)),
                shallow,
                recorder.roster.modules[pair[0]].site,
                self._line(recorder, pair, module, model) if not shallow else None,
            )
        )

    def _line(
        self, recorder: "Recorder", pair: tuple[int, int], module: nn.Module, model: nn.Module
    ) -> Site | None:
        """Where the one was given the memory of the other."""
        for number in pair:
            if number in self.loads:
                return self.loads[number]
        return aliasing_line(recorder.places, module, model)


def _roots(recorder: "Recorder") -> dict[int, nn.Module]:
    """The live outermost modules with parameters, by number."""
    modules = recorder.roster.modules
    found: dict[int, nn.Module] = {}
    for module in recorder.census.alive():
        number = recorder.census.known_module(module)
        outermost = number >= 0 and modules[number].root == number
        if outermost and next(members.parameters(module), None) is not None:
            found[number] = module
    return found


def _same_memory(module: nn.Module, model: nn.Module) -> bool:
    """Whether every parameter of the one begins at the same address as the other's of that name."""
    theirs = dict(members.named_parameters(model))
    mine = dict(members.named_parameters(module))
    if mine.keys() != theirs.keys():
        return False
    places = {name: _address(parameter) for name, parameter in mine.items()}
    return all(place > 0 and place == _address(theirs[name]) for name, place in places.items())


def _address(tensor: torch.Tensor) -> int:
    try:
        return tensor.data_ptr()
    except Exception:  # fake, functional and sharded tensors have no address
        return -1
