"""Repeated: lists of layers that are one layer, made once and repeated by ``[Layer()] * n``."""

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import nn

from steplens.model.event import Vain
from steplens.model.site import Site
from steplens.record import members
from steplens.record.account import Account
from steplens.record.settings import tree_at

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LISTS = (nn.ModuleList, nn.Sequential)
MOST = 64  # lists told


class Repeated:
    """The lists told of; looked for again where modules have come."""

    def __init__(self) -> None:
        self.modules = 0  # known at the last look
        self.told: set[int] = set()

    def look(self, recorder: "Recorder", accounts: Sequence[Account]) -> None:
        """Whether a list of layers that this step moves is one layer, several times."""
        known = len(recorder.roster.modules)
        if known == self.modules or len(self.told) >= MOST:
            return
        self.modules = known
        stepped = {id(tensor) for account in accounts if (tensor := account.ref()) is not None}
        for module in recorder.census.alive():
            layers = list(module._modules.values()) if type(module) in LISTS else []
            if len(layers) < 2 or any(each is not layers[0] for each in layers):
                continue
            if not any(id(p) in stepped for p in members.parameters(module)):
                continue
            number = recorder.census.known_module(module)
            site = recorder.roster.modules[number].site if number >= 0 else None
            text = _text(recorder, site) if site is not None else ""
            if text and number not in self.told:
                self.told.add(number)
                index, times = recorder.index(), float(len(layers))
                recorder.emit(Vain(index, recorder.step, site, "repeat", text, value=times))


def _text(recorder: "Recorder", site: Site) -> str:
    """The expression at the line that made a list, where it repeats what it makes itself: a layer
    that has a name is repeated on purpose."""
    tree = tree_at(recorder.places, site)
    for node in _repeats(tree) if tree is not None else ():
        last = max(site.line, site.end_line)
        if node.lineno <= last and site.line <= (node.end_lineno or node.lineno):
            return ast.unparse(node)
    return ""


def _repeats(tree: ast.Module) -> Iterator[ast.BinOp]:
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            made = next((s for s in (node.left, node.right) if isinstance(s, ast.List)), None)
            if made is not None and len(made.elts) == 1 and isinstance(made.elts[0], ast.Call):
                yield node
