"""Attributes: names that torch does not know, set on parameters and modules in the hope to freeze
them, or to unfreeze them."""

import difflib
import dis
import gc
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Misnamed
from steplens.model.site import Site
from steplens.record import members
from steplens.record.account import Account
from steplens.record.compared import comparisons
from steplens.record.settings import codes_of

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MEANT = "requires_grad"
ALIKE = 0.85  # difflib's measure: require_grad 0.96, requires_gradient 0.87, trainable 0.36
LOOKS = 2  # steps of an optimizer at which its parameters' attributes are read


def _given(tensor: torch.Tensor) -> dict[str, Any]:
    """The attributes that the program gave a tensor. One without any is not asked for its
    ``__dict__``: that would make it one, and each lookup of a method on it slower from then on."""
    held = gc.get_referents(tensor)  # its type, and dicts of hooks
    if all(isinstance(each, (type, OrderedDict)) for each in held):
        return {}
    return vars(tensor)


class Attributes:
    """What was told, by name; attributes are read at the first steps of each optimizer."""

    def __init__(self) -> None:
        self.looks: dict[int, int] = {}
        self.told: set[tuple[str, int, bool]] = set()
        self.spelt: dict[str, bool] = {}
        self.read: tuple[int, list[tuple[Site, str, str]]] = (0, [])  # of so many code objects

    def look(
        self, recorder: "Recorder", held_by: Any, optimizer: int, accounts: Sequence[Account]
    ) -> None:
        """Read the attributes of what this optimizer steps, and its own."""
        looks = self.looks.get(optimizer, 0)
        later = recorder.cadence.looking and recorder.step >= recorder.cadence.window
        if (looks >= LOOKS and not later) or len(self.looks) > 256:
            return
        self.looks[optimizer] = looks + 1
        recorder.vains.look(recorder, held_by, optimizer)
        moved: dict[int, int] = {}
        named: dict[tuple[str, bool], list[int]] = {}
        for account in accounts:
            tensor = account.ref()
            if tensor is None or (tensor.requires_grad and not account.reached):
                continue
            if tensor.requires_grad:
                moved[id(tensor)] = account.number
            for name, value in _given(tensor).items():
                other = isinstance(value, bool) and value is not tensor.requires_grad
                if other and self._misspelt(name):
                    named.setdefault((name, value), []).append(account.number)
        for (name, value), tensors in named.items():
            self._tell(recorder, name, tensors, -1, value)
        if moved:
            self._modules(recorder, moved)
            self._compared(recorder, moved)

    def _modules(self, recorder: "Recorder", moved: dict[int, int]) -> None:
        for module in recorder.census.alive():
            attributes = vars(module)
            for name, value in list(attributes.items()):
                if isinstance(value, bool) and (name == MEANT or self._misspelt(name)):
                    held = list(members.parameters(module))
                    if value:
                        tensors = self._frozen(recorder, held, moved)
                    else:
                        tensors = [moved[id(p)] for p in held if id(p) in moved]
                    if tensors:
                        number = recorder.census.known_module(module)
                        self._tell(recorder, name, tensors, number, value)

    def _compared(self, recorder: "Recorder", moved: dict[int, int]) -> None:
        """Loops over modules of these parameters that compare the attribute instead of setting
        it."""
        roster, seen = recorder.roster, len(recorder.places.kept)
        if seen != self.read[0]:
            self.read = seen, comparisons(recorder.places)
        for site, name, how in self.read[1]:
            tensors: list[int] = []
            for number in moved.values():
                entry = roster.tensors[number]
                label = roster.modules[entry.root].label if entry.root >= 0 else ""
                if name in (label, *entry.name.split(".")[:-1]):
                    tensors.append(number)
            key = (f"{site.file}:{site.line}", -1, False)
            if tensors and key not in self.told:
                self.told.add(key)
                index = recorder.index()
                recorder.emit(Misnamed(index, recorder.step, site, how, tuple(tensors), -1, False))

    def _frozen(
        self, recorder: "Recorder", held: Sequence[torch.Tensor], moved: dict[int, int]
    ) -> list[int]:
        """The parameters of a module, if all are frozen, and others of its model are stepped."""
        if any(parameter.requires_grad for parameter in held):
            return []
        entries = recorder.roster.tensors
        numbers = [recorder.census.account(parameter).number for parameter in held]
        roots = {entries[number].root for number in numbers}
        stepped = {entries[number].root for number in moved.values()}
        return numbers if roots & stepped - {-1} else []

    def _misspelt(self, name: str) -> bool:
        known = self.spelt.get(name)
        if known is None:
            known = name != MEANT and difflib.SequenceMatcher(None, name, MEANT).ratio() >= ALIKE
            if len(self.spelt) < 4096:
                self.spelt[name] = known
        return known

    def _tell(
        self, recorder: "Recorder", name: str, tensors: list[int], module: int, value: bool
    ) -> None:
        if (name, module, value) in self.told:
            return
        self.told.add((name, module, value))
        recorder.emit(
            Misnamed(
                recorder.index(),
                recorder.step,
                _setting(recorder, name, value, module),
                name,
                tuple(tensors),
                module,
                value,
            )
        )


def _setting(recorder: "Recorder", name: str, value: bool, module: int) -> Site | None:
    """The line of the user's code that sets an attribute of this name: one that gives it this
    value, on an object of the module's name, before any other."""
    part = recorder.roster.module_name(module).rpartition(".")[2] if module >= 0 else ""
    found: list[tuple[int, int, Site]] = []
    for code in codes_of(recorder.places):
        given, holder = None, ""
        for instruction in dis.get_instructions(code):
            if instruction.opname == "LOAD_CONST":
                given = instruction.argval
            elif instruction.opname.startswith("LOAD_"):
                holder = str(instruction.argval)
            elif instruction.opname == "STORE_ATTR" and instruction.argval == name:
                line = instruction.positions.lineno if instruction.positions else None
                site = recorder.places.at(code, instruction.offset, line)
                fits = (given is value) + (given is value and holder == part)
                found.append((-fits, len(found), site))
    return min(found)[2] if found else None
