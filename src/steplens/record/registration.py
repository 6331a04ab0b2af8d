"""Probe of parameters being registered: ties (one Parameter under two names) and replacements."""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Parted
from steplens.model.site import Site
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

PATIENCE = 4  # backward passes after which two parted tensors that were not both reached are let be


class Tie:
    """A Parameter that was registered in more than one place, and the line that did it."""

    __slots__ = ("ref", "site")

    def __init__(self, parameter: torch.Tensor, site: Site | None) -> None:
        self.ref = weakref.ref(parameter)
        self.site = site


class Parting:
    """One of the places of a tied Parameter was given another one; what was there stays elsewhere.

    ``module`` and ``name`` are the place that changed, ``others`` those that kept the old one.
    """

    __slots__ = ("module", "name", "others", "site", "tied", "age")

    def __init__(
        self,
        module: nn.Module,
        name: str,
        others: list[tuple["weakref.ref[nn.Module]", str]],
        site: Site | None,
        tied: Site | None,
    ) -> None:
        self.module = weakref.ref(module)
        self.name = name
        self.others = others
        self.site = site
        self.tied = tied
        self.age = 0


class Registrations:
    """Where each Parameter was registered first, which are tied, and which ties have parted."""

    def __init__(self) -> None:
        self.first: dict[int, tuple[weakref.ref[torch.Tensor], int, str]] = {}
        self.ties: dict[int, Tie] = {}
        self.partings: list[Parting] = []
        self.replacements = 0

    # -- what register_parameter tells ----------------------------------------------------------

    def about_to_register(
        self, recorder: "Recorder", module: nn.Module, name: str, given: torch.Tensor | None
    ) -> None:
        """Notice a tie, or a place that is given another Parameter."""
        held = module.__dict__.get("_parameters", {}).get(name)
        if given is not None and given is not held:
            recorder.census.stale_names = True
            self._enter(recorder, module, name, given)
        if held is not None and given is not None and held is not given:
            self.replacements += 1
            recorder.census.registered(given, recorder.site())
            if self.replacements < 512:
                self._replaced(recorder, module, name, held, given)

    def _enter(
        self, recorder: "Recorder", module: nn.Module, name: str, given: torch.Tensor
    ) -> None:
        key = id(given)
        known = self.first.get(key)
        if known is None or known[0]() is not given:
            ref = weakref.ref(given, lambda _, key=key: self._died(key))
            self.first[key] = (ref, id(module), name)
        elif known[1:] != (id(module), name) and key not in self.ties:
            self.ties[key] = Tie(given, recorder.site())

    def _died(self, key: int) -> None:
        known = self.first.get(key)
        if known is not None and known[0]() is None:
            del self.first[key]
            self.ties.pop(key, None)

    def _replaced(
        self,
        recorder: "Recorder",
        module: nn.Module,
        name: str,
        held: torch.Tensor,
        given: torch.Tensor,
    ) -> None:
        """A place of a tied Parameter gets another one: a parting, unless it is a copy of the old
        values (weights untied on purpose) or of another shape."""
        tie = self.ties.get(id(held))
        account = recorder.census.known(held)
        names = recorder.roster.tensors[account.number].names if account is not None else ()
        if (tie is None or tie.ref() is not held) and len(names) < 2:
            return
        if held.device.type == "meta" or given.shape != held.shape:
            return
        with recorder.quiet(), torch.no_grad():
            if given.device == held.device and torch.equal(given, held):
                return
        others = [
            (weakref.ref(other), place)
            for other in recorder.census.alive()
            for place, parameter in other._parameters.items()
            if parameter is held and not (other is module and place == name)
        ]
        if others and len(self.partings) < 64:
            site = tie.site if tie is not None else None
            self.partings.append(Parting(module, name, others, recorder.site(), site))

    # -- what a backward shows --------------------------------------------------------------------

    def after_backward(self, recorder: "Recorder") -> None:
        """Tell of parted tensors that are both reached; forget those tied again or not trained."""
        for parting in list(self.partings):
            parting.age += 1
            pair = self._pair(recorder, parting)
            if pair is None or parting.age > PATIENCE:
                self.partings.remove(parting)
                continue
            one, other = pair
            if one[1] and other[1]:
                self.partings.remove(parting)
                recorder.emit(
                    Parted(
                        recorder.index(),
                        recorder.step,
                        parting.site,
                        one[0],
                        other[0],
                        parting.tied,
                        one[2],
                        other[2],
                        _distance(recorder, one[3], other[3]),
                    )
                )

    def _pair(self, recorder: "Recorder", parting: Parting) -> Any:
        """The two tensors that stand in the two places now (number, reached, name, tensor), None
        when they are one again or gone."""
        module = parting.module()
        mine = module._parameters.get(parting.name) if module is not None else None
        if module is None or mine is None:
            return None
        for reference, name in parting.others:
            other = reference()
            theirs = other._parameters.get(name) if other is not None else None
            if theirs is mine:
                return None
            if theirs is not None and other is not None:
                return (
                    _described(recorder, module, parting.name, mine),
                    _described(recorder, other, name, theirs),
                )
        return None


def _described(recorder: "Recorder", module: nn.Module, name: str, tensor: torch.Tensor) -> Any:
    account = recorder.census.account(tensor)
    return account.number, account.reached, recorder.roster.name(account.number), tensor


def _distance(recorder: "Recorder", one: torch.Tensor, other: torch.Tensor) -> float | None:
    with recorder.quiet(), torch.no_grad():
        if one.shape != other.shape or one.device != other.device:
            return None
        return float((one.detach().double() - other.detach().double()).norm())


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear ``Module.register_parameter``, which setting an attribute to a Parameter calls as
    well."""
    registrations = recorder.registrations

    def before(module: nn.Module, name: str, param: Any) -> Any:
        if isinstance(param, torch.Tensor) or param is None:
            registrations.about_to_register(recorder, module, name, param)
        return None

    return [around(recorder, "registration", nn.Module, "register_parameter", before)]
