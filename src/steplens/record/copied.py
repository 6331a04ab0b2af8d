"""Copied: a head whose weights a line of the model's class copies from the embedding, or a layer
whose weights it copies from another's, transposed, where they were perhaps to be one tensor."""

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from types import CodeType
from typing import TYPE_CHECKING

import torch
from torch import nn

from steplens.model.event import Vain
from steplens.model.site import Site
from steplens.record import members
from steplens.record.account import Account
from steplens.record.norms import readable
from steplens.record.settings import codes_of, lines_of
from steplens.record.source import syntax_tree
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

OPTIMIZERS = 16
ELEMENTS = 1 << 24  # of a table that are compared
# in the name of a function, or of a class
TYING = re.compile(r"(^|[_.])(tie|tied|tying|share|shared)([_.]|$)")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Copied:
    """The optimizers before whose first step the weights were compared."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def look(self, recorder: "Recorder", number: int, accounts: Sequence[Account]) -> None:
        """Before the first step of an optimizer: do a table and a head of one model, both about to
        be moved, hold the same bits in two tensors, by a line of a class? Waits for the device."""
        if number in self.seen or len(self.seen) >= OPTIMIZERS:
            return
        self.seen.add(number)
        moved = {id(t) for account in accounts if (t := account.ref()) is not None and _moves(t)}
        roots = {recorder.roster.tensors[account.number].root for account in accounts}
        for root in sorted(roots - {-1}):
            model = recorder.census.module_at(root)
            for table, head in _alike(model, moved) if model is not None else ():
                self._tell(recorder, table, head)
            for one, other in _transposed(model, moved) if model is not None else ():
                self._tell(recorder, one, other, transposed=True)

    def _tell(self, recorder: "Recorder", table: str, head: str, transposed: bool = False) -> None:
        """A layer that begins as another's transpose may be meant (an autoencoder that is rolled
        out), unless it says that it is tied."""
        found = list(dict.fromkeys(_lines(recorder, table, head)))
        if len(found) == 1 and found[0][1]:
            site, function = found[0]
            meant = 1.0 if TYING.search(HUMP.sub("_", function).lower()) else 0.0
            if transposed and not meant:
                return
            name = f"`{head}.weight` and `{table}.weight`"
            at = recorder.index(), recorder.step, site
            recorder.emit(Vain(*at, "copied", name, value=meant, of=int(transposed)))


def _moves(tensor: torch.Tensor) -> bool:
    kept = tensor.requires_grad and tensor.grad is not None and tensor.numel() <= ELEMENTS
    return kept and readable(tensor.detach())


def _alike(model: nn.Module, moved: set[int]) -> Iterator[tuple[str, str]]:
    named = list(members.named_modules(model))
    tables = [(name, m.weight) for name, m in named if type(m) is nn.Embedding]
    heads = [(name, m.weight) for name, m in named if type(m) is nn.Linear]
    for table, one in tables:
        for head, other in heads:
            two = one is not other and {id(one), id(other)} <= moved
            two = two and one.device == other.device and pointer(one) != pointer(other)
            if two and one.shape == other.shape and torch.equal(one.detach(), other.detach()):
                yield table, head


def _transposed(model: nn.Module, moved: set[int]) -> Iterator[tuple[str, str]]:
    layers = [
        (name, m.weight.detach())
        for name, m in members.named_modules(model)
        if type(m) is nn.Linear and id(m.weight) in moved
    ]
    ends = {name: (float(w[0, 0]), float(w[-1, -1])) for name, w in layers if w.numel()}
    for (name, one), (other_name, other) in combinations(layers, 2):
        # the corners first: a large model has many pairs of one shape
        if (
            one.shape == other.shape[::-1]
            and one.device == other.device
            and ends.get(name) == ends.get(other_name)
            and pointer(one) != pointer(other)
            and torch.equal(one, other.t())
        ):
            yield name, other_name


def _lines(recorder: "Recorder", table: str, head: str) -> Iterator[tuple[Site, str]]:
    """The lines of methods that copy the weights of one of two parts into the other, and the
    method's name; '' for lines that make them one."""
    places = recorder.places
    ends = [f"{each.rpartition('.')[2]}.weight" for each in (table, head)]
    for code in codes_of(places):
        if "weight" not in code.co_names or code.co_varnames[:1] != ("self",):
            continue
        tree, lines = syntax_tree(code.co_filename), lines_of(code)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, (ast.Assign, ast.Expr)) and node.lineno in lines:
                into, given = _sides(node)
                for one, other in (ends, ends[::-1]):
                    if _is(into, one) and other in given:
                        tied = isinstance(node, ast.Assign) and _is(given, other)
                        yield places.line(code, node.lineno), "" if tied else _name(code)


def _name(code: CodeType) -> str:
    """The method with its class, without what they were defined in."""
    return code.co_qualname.rpartition("<locals>.")[2]


def _sides(node: ast.Assign | ast.Expr) -> tuple[str, str]:
    """What a statement writes to, and what it writes: of an assignment, and of ``copy_``."""
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]), ast.unparse(node.value)
    call = node.value
    copies = isinstance(call, ast.Call) and ast.unparse(call.func).endswith(".copy_")
    if isinstance(call, ast.Call) and copies and call.args:
        return ast.unparse(call.func).removesuffix(".copy_"), ast.unparse(call.args[0])
    return "", ""


def _is(written: str, end: str) -> bool:
    return f".{written.removesuffix('.data')}".endswith(f".{end}")
