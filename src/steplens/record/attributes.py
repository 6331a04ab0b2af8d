"""Attributes: names that torch does not know, set to False on parameters and modules in the hope to
freeze them."""

import difflib
import dis
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import TYPE_CHECKING

from steplens.model.event import Misnamed
from steplens.model.site import Site
from steplens.record import members
from steplens.record.account import Account

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MEANT = "requires_grad"
ALIKE = 0.85  # difflib's measure: require_grad 0.96, requires_gradient 0.87, trainable 0.36
LOOKS = 2  # steps of an optimizer at which its parameters' attributes are read


class Attributes:
    """What was told, by name; attributes are read at the first steps of each optimizer."""

    def __init__(self) -> None:
        self.looks: dict[int, int] = {}
        self.told: set[tuple[str, int]] = set()
        self.spelt: dict[str, bool] = {}

    def look(self, recorder: "Recorder", optimizer: int, accounts: Sequence[Account]) -> None:
        """Read the attributes of what this optimizer steps."""
        looks = self.looks.get(optimizer, 0)
        if looks >= LOOKS or len(self.looks) > 256:
            return
        self.looks[optimizer] = looks + 1
        moved: dict[int, int] = {}
        named: dict[str, list[int]] = {}
        for account in accounts:
            tensor = account.ref()
            if tensor is None or not tensor.requires_grad or not account.reached:
                continue
            moved[id(tensor)] = account.number
            for name, value in vars(tensor).items():
                if value is False and self._misspelt(name):
                    named.setdefault(name, []).append(account.number)
        for name, tensors in named.items():
            self._tell(recorder, name, tensors, -1)
        if moved:
            self._modules(recorder, moved)

    def _modules(self, recorder: "Recorder", moved: dict[int, int]) -> None:
        for module in recorder.census.alive():
            attributes = vars(module)
            for name, value in list(attributes.items()):
                if value is False and (name == MEANT or self._misspelt(name)):
                    tensors = [moved[id(p)] for p in members.parameters(module) if id(p) in moved]
                    if tensors:
                        self._tell(recorder, name, tensors, recorder.census.known_module(module))

    def _misspelt(self, name: str) -> bool:
        known = self.spelt.get(name)
        if known is None:
            known = name != MEANT and difflib.SequenceMatcher(None, name, MEANT).ratio() >= ALIKE
            if len(self.spelt) < 4096:
                self.spelt[name] = known
        return known

    def _tell(self, recorder: "Recorder", name: str, tensors: list[int], module: int) -> None:
        if (name, module) in self.told:
            return
        self.told.add((name, module))
        recorder.emit(
            Misnamed(
                recorder.index(),
                recorder.step,
                _setting(recorder, name),
                name,
                tuple(tensors),
                module,
            )
        )


def _setting(recorder: "Recorder", name: str) -> Site | None:
    """The first line of the user's code that sets an attribute of this name."""
    found: list[Site] = []
    for code in _codes(recorder):
        for instruction in dis.get_instructions(code):
            if instruction.opname == "STORE_ATTR" and instruction.argval == name:
                line = instruction.positions.lineno if instruction.positions else None
                found.append(recorder.places.at(code, instruction.offset, line))
    return found[0] if found else None


def _codes(recorder: "Recorder") -> Iterator[CodeType]:
    """The user's code objects seen so far, and those inside of them, each once."""
    waiting = [code for code in list(recorder.places.kept) if recorder.places.owns(code)]
    seen: set[int] = set()
    while waiting:
        code = waiting.pop()
        if id(code) not in seen:
            seen.add(id(code))
            waiting += [item for item in code.co_consts if isinstance(item, CodeType)]
            yield code
