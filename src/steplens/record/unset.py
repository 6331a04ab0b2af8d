"""Unset: parameters made of memory that nothing was written to, as ``torch.empty`` gives it."""

import ast
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from steplens.model.event import Vain
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.settings import attribute_line, tree_at
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

KEPT = 1024  # parameters remembered
ELEMENTS = 16  # of a parameter
EMPTY = frozenset(("torch.empty", "torch.empty_like"))
LEGACY = frozenset(("torch.Tensor", "torch.FloatTensor"))  # of sizes, where they are given several


class Born:
    """A parameter as it was registered."""

    __slots__ = ("ref", "module", "name", "place", "bits")

    def __init__(self, given: torch.Tensor, module: nn.Module, name: str) -> None:
        self.ref = weakref.ref(given)
        self.module = weakref.ref(module)
        self.name = name
        self.place = pointer(given)
        self.bits = _bits(given)


class Unset:
    """What parameters of the program's own modules held when they were registered."""

    def __init__(self) -> None:
        self.born = Newest[int, Born](KEPT)
        self.seen: set[int] = set()  # optimizers

    def registered(
        self, recorder: "Recorder", module: nn.Module, name: str, given: torch.Tensor
    ) -> None:
        """A Parameter was registered that nothing has been written to under its own name."""
        init = getattr(type(module).__init__, "__code__", None)
        if recorder.step or given._version or init is None or not recorder.places.owns(init):
            return
        if type(given) is nn.Parameter and given.device.type != "meta" and given.numel():
            self.born[id(given)] = Born(given, module, name)

    def look(self, recorder: "Recorder", number: int, accounts: Sequence[Account]) -> None:
        """Before the first step of an optimizer: which of its parameters are as they were born?"""
        if number in self.seen or not self.born or len(self.seen) > KEPT:
            return
        self.seen.add(number)
        for account in accounts:
            tensor = account.ref()
            known = self.born.get(id(tensor))
            if tensor is None or known is None or known.ref() is not tensor or tensor.grad is None:
                continue
            module = known.module()
            place = pointer(tensor)
            filled = not _filled(recorder).keys().isdisjoint((place, known.place))
            stays = place == known.place or not tensor.is_cpu  # `to` a GPU has moved it
            written = tensor._version or not stays or filled
            if written or module is None or not torch.equal(_bits(tensor), known.bits):
                continue
            entry = recorder.roster.tensors[account.number]
            if entry.module < 0 or recorder.roster.modules[entry.module].loaded:
                continue
            site = attribute_line(recorder.places, module, known.name)
            if site is not None and _makes_nothing(recorder, site, known.name):
                index, name = recorder.index(), recorder.roster.name(account.number)
                recorder.emit(Vain(index, recorder.step, site, "unset", name))


def _filled(recorder: "Recorder") -> Newest[int, Site]:
    return recorder.values.likeness.filled


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().reshape(-1)[:ELEMENTS].to("cpu", copy=True).view(torch.uint8)


def _makes_nothing(recorder: "Recorder", site: Site, name: str) -> bool:
    """Whether the line sets an attribute to ``nn.Parameter(torch.empty(...))``, bare."""
    tree = tree_at(recorder.places, site)
    return tree is not None and any(
        isinstance(node, ast.Assign)
        and node.lineno <= site.line <= (node.end_lineno or node.lineno)
        and any(isinstance(t, ast.Attribute) and t.attr == name for t in node.targets)
        and _bare(node.value)
        for node in ast.walk(tree)
    )


def _bare(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call) or not value.args:
        return False
    inner = value.args[0]
    if not ast.unparse(value.func).endswith("Parameter") or not isinstance(inner, ast.Call):
        return False
    maker = ast.unparse(inner.func)
    return maker in EMPTY or (maker in LEGACY and len(inner.args) > 1)
