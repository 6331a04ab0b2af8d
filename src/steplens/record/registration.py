"""Probe of parameters being registered: ties (one Parameter under two names) and replacements."""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Parted
from steplens.model.site import Site
from steplens.record import members
from steplens.record.account import Account
from steplens.record.aliased import tying_line
from steplens.record.norms import PLAIN
from steplens.record.unset import Unset
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

SLOTTED = 64  # ties whose modules are watched
PATIENCE = 4  # backward passes after which two parted tensors that were not both reached are let be


Place = tuple[nn.Module, str]
Slot = tuple["weakref.ref[nn.Module]", str, "weakref.ref[nn.Module]", str]  # parent, child, name


class Tie:
    """A Parameter that was registered in more than one place, and the line that did it.

    ``slots`` are its first two places as a parent, the name of its child, the child and the name of
    the parameter there: none where a module with no parent held it.
    """

    __slots__ = ("ref", "site", "slots")

    def __init__(self, parameter: torch.Tensor, site: Site | None, slots: list[Slot]) -> None:
        self.ref = weakref.ref(parameter)
        self.site = site
        self.slots = slots


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
        self.places: dict[int, weakref.ref[nn.Module]] = {}  # the modules of these, by Parameter
        self.ties: dict[int, Tie] = {}
        self.slotted: list[Tie] = []  # those whose modules may be replaced as a whole
        self.modules = 0  # modules known when they were last looked at
        self.partings: list[Parting] = []
        self.told: set[tuple[int, int]] = set()  # pairs of tensors in one memory
        self.replacements = 0
        self.unset = Unset()

    # -- what register_parameter tells ----------------------------------------------------------

    def about_to_register(
        self, recorder: "Recorder", module: nn.Module, name: str, given: torch.Tensor | None
    ) -> None:
        """Notice a tie, or a place that is given another Parameter."""
        held = module.__dict__.get("_parameters", {}).get(name)
        if given is not None and given is not held:
            recorder.census.stale_names = True
            self._enter(recorder, module, name, given)
            self.unset.registered(recorder, module, name, given)
        if held is not None and given is not None and held is not given:
            self.replacements += 1
            tied = id(given) in self.ties
            thawed = given.requires_grad and not held.requires_grad and not tied
            recorder.census.registered(given, recorder.site(), thawed)
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
            self.places[key] = weakref.ref(module)
        elif known[1:] != (id(module), name) and key not in self.ties:
            slots = _slots(recorder, [(self.places[key](), known[2]), (module, name)])
            tie = self.ties[key] = Tie(given, recorder.site(), slots)
            if len(slots) == 2 and len(self.slotted) < SLOTTED:
                self.slotted.append(tie)

    def _died(self, key: int) -> None:
        known = self.first.get(key)
        if known is not None and known[0]() is None:
            del self.first[key]
            self.places.pop(key, None)
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
        if type(held) not in PLAIN or held.device.type == "meta" or given.shape != held.shape:
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

    def look_for_modules(self, recorder: "Recorder") -> None:
        """Notice two modules with one parameter that were both replaced as a whole, by two whose
        parameters agree in shape."""
        count = len(recorder.roster.modules)
        if count == self.modules:
            return
        self.modules = count
        for tie in list(self.slotted):
            now = [_module_at(slot) for slot in tie.slots]
            if any(new is old for new, old in now):
                continue  # a new head alone may be meant
            self.slotted.remove(tie)
            (found, _), (other, _) = now
            name, place = tie.slots[0][3], tie.slots[1][3]
            mine = found._parameters.get(name) if found is not None else None
            theirs = other._parameters.get(place) if other is not None else None
            if mine is None or theirs is None or found is None or other is None:
                continue
            if mine is theirs or mine.shape != theirs.shape or mine.device != theirs.device:
                continue
            with recorder.quiet(), torch.no_grad():
                if torch.equal(mine, theirs):
                    continue  # untied on purpose, by a copy
            number = recorder.census.known_module(found)
            site = recorder.roster.modules[number].site if number >= 0 else None
            others = [(weakref.ref(other), place)]
            self.partings.append(Parting(found, name, others, site, tie.site))

    def emptied(self, recorder: "Recorder", shared: list[tuple[torch.Tensor, list[Place]]]) -> None:
        """A model was given new memory; torch makes a Parameter for each of the places that one
        stood in, as the old one cannot be pointed at another device."""
        for parameter, places in shared:
            tie = self.ties.get(id(parameter))
            (first, name), *rest = places
            mine = first._parameters.get(name)
            apart = [(m, n) for m, n in rest if m._parameters.get(n) is not mine]
            if mine is not None and apart and len(self.partings) < 64:
                module, place = apart[0]
                others = [(weakref.ref(first), name)]
                site = tie.site if tie is not None else None
                self.partings.append(Parting(module, place, others, recorder.site(), site))

    def one_memory(self, recorder: "Recorder", one: Account, other: Account) -> None:
        """Tell of two Parameters that an optimizer holds, both with gradients, over one memory."""
        first, second = one.ref(), other.ref()
        pair = (min(one.number, other.number), max(one.number, other.number))
        if first is None or second is None or pair in self.told or len(self.told) >= 16:
            return
        alike = first.shape == second.shape and first.data_ptr() == second.data_ptr()
        if not (alike and one.reached and other.reached and one.optimizers & other.optimizers):
            return
        self.told.add(pair)
        roster = recorder.roster
        names = [roster.name(number) for number in pair]
        made = roster.tensors[pair[1]].site
        given = tying_line(recorder.places, *[roster.tensors[number].name for number in pair])
        recorder.emit(
            Parted(
                recorder.index(),
                recorder.step,
                given or made,
                *pair,
                (made or given) if given is not None else None,
                names[1],
                names[0],
                0.0,
                True,
            )
        )

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


def _slots(recorder: "Recorder", places: list[tuple[nn.Module | None, str]]) -> list[Slot]:
    """Where in the models these modules stand now, as far as another module holds them."""
    found: list[Slot] = []
    for module, name in places:
        for parent in recorder.census.alive() if module is not None else ():
            child = next((n for n, held in parent._modules.items() if held is module), None)
            if child is not None and module is not None:
                found.append((weakref.ref(parent), child, weakref.ref(module), name))
                break
    return found


def _module_at(slot: Slot) -> tuple[nn.Module | None, nn.Module | None]:
    """The module that stands in a place now, and the one that stood there."""
    parent = slot[0]()
    return (parent._modules.get(slot[1]) if parent is not None else None), slot[2]()


def _described(recorder: "Recorder", module: nn.Module, name: str, tensor: torch.Tensor) -> Any:
    account = recorder.census.account(tensor)
    return account.number, account.reached, recorder.roster.name(account.number), tensor


def _distance(recorder: "Recorder", one: torch.Tensor, other: torch.Tensor) -> float | None:
    with recorder.quiet(), torch.no_grad():
        if one.shape != other.shape or one.device != other.device:
            return None
        return float((one.detach().double() - other.detach().double()).norm())


def _shared(module: nn.Module) -> list[tuple[torch.Tensor, list[Place]]]:
    """The Parameters of a model that stand in several places."""
    found: dict[int, tuple[torch.Tensor, list[Place]]] = {}
    for _, each in members.named_modules(module):
        for name, parameter in each._parameters.items():
            if parameter is not None:
                found.setdefault(id(parameter), (parameter, []))[1].append((each, name))
    return [(parameter, places) for parameter, places in found.values() if len(places) > 1]


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear ``Module.register_parameter``, which setting an attribute to a Parameter calls as
    well, and ``Module.to_empty``, which replaces Parameters without it."""
    registrations = recorder.registrations

    def before(module: nn.Module, name: str, param: Any) -> Any:
        if isinstance(param, torch.Tensor) or param is None:
            registrations.about_to_register(recorder, module, name, param)
        return None

    def before_empty(module: nn.Module, *_: Any, **__: Any) -> Any:
        return _shared(module)

    def after_empty(shared: Any, _: Any) -> None:
        registrations.emptied(recorder, shared)

    return [
        around(recorder, "registration", nn.Module, "register_parameter", before),
        around(recorder, "registration", nn.Module, "to_empty", before_empty, after_empty),
    ]
