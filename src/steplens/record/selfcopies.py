"""Self-copies: parameters put back by hand from tensors that are their own memory, or averaged
with them, or with themselves under another name."""

import ast
import gc
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from steplens.model.event import Load
from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.bound import averaged_from, two_names
from steplens.record.norms import PLAIN
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

PLACES = 64


class SelfCopies:
    """The parameters that each line has copied onto themselves; told of once these are all that a
    model trains."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, Site], set[int]] = {}

    def look(
        self, recorder: "Recorder", target: torch.Tensor, source: object, how: str = "copy"
    ) -> None:
        """Before ``target.copy_(source)`` on a line of the user's, outside of steps: are both the
        same memory, and the source a tensor that the program has kept? Or before the target is
        averaged with the source, being what is kept."""
        if not isinstance(source, torch.Tensor) or type(source) not in PLAIN:
            return
        itself = source is target
        if (itself and how == "copy") or not _same(target, source):
            return
        if not recorder.places.owns(sys._getframe(4).f_code):
            return  # a load's own copies
        account = _parameter(recorder, target)
        site = recorder.site()
        if account is None or site is None:
            return
        root = recorder.roster.tensors[account.number].root
        held = self.found.get((root, site))
        if held is None:
            kept = source if how == "copy" else target
            if len(self.found) >= PLACES:
                return
            if not (two_names(recorder.places) if itself else _kept(recorder, kept)):
                return
            held = self.found[root, site] = set()
        if account.number in held:
            return
        held.add(account.number)
        if held >= set(_trained(recorder, root)):
            numbers = tuple(sorted(held))
            recorder.emit(
                Load(
                    recorder.index(),
                    recorder.step,
                    site,
                    how,
                    root,
                    numbers,
                    len(numbers),
                    taken_at=None if itself else _stored_at(recorder),
                    bound=averaged_from(recorder.places) if itself else (),
                )
            )


def _same(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Whether two tensors are the same elements of the same memory."""
    try:
        return (
            one.numel() > 0
            and one.data_ptr() == two.data_ptr()
            and one.shape == two.shape
            and one.stride() == two.stride()
            and one.dtype == two.dtype
        )
    except RuntimeError:  # tensors without storage
        return False


def _parameter(recorder: "Recorder", tensor: torch.Tensor) -> Account | None:
    """The parameter of a model that lies where this tensor does."""
    for account in list(recorder.census.accounts.values()):
        held = account.ref()
        entry = recorder.roster.tensors[account.number]
        if held is not None and entry.role == "parameter" and _same(held, tensor):
            return account if entry.root >= 0 else None
    return None


def _trained(recorder: "Recorder", root: int) -> Iterator[int]:
    for account in list(recorder.census.accounts.values()):
        held = account.ref()
        entry = recorder.roster.tensors[account.number]
        mine = entry.root == root and entry.role == "parameter"
        if mine and held is not None and held.requires_grad:
            yield account.number


def _kept(recorder: "Recorder", source: torch.Tensor) -> bool:
    """Whether a list or dictionary of the program's holds the tensor, and it is no parameter
    itself."""
    if recorder.census.known(source) is not None:
        return False
    return any(isinstance(thing, (list, dict)) for thing in gc.get_referrers(source))


def _stored_at(recorder: "Recorder") -> Site | None:
    """The one statement that fills the list or dictionary that the running line copies from."""
    frame = recorder.places.frame(1)
    if frame is None:
        return None
    filename, line = frame.f_code.co_filename, frame.f_lineno
    tree = syntax_tree(filename)
    if tree is None:
        return None
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    running = [node for node in statements if node.lineno <= line <= (node.end_lineno or line)]
    names: set[str] = set()
    for node in sorted(running, key=lambda each: each.lineno, reverse=True):
        if isinstance(node, ast.Expr):
            names |= _names(node)
        elif isinstance(node, ast.For) and not names.isdisjoint(_names(node.target)):
            names |= _names(node.iter)  # a loop around it that binds none of them has no part in it
    lines = [number for _, _, number in frame.f_code.co_lines() if number]
    found: list[int] = []
    for node in statements:
        filled = _filled(node)
        here = filled is not None and min(lines) <= node.lineno <= max(lines)
        # a variable is the running function's own, an attribute may be filled anywhere
        if _last(filled) in names and (here or not isinstance(filled, ast.Name)):
            found.append(node.lineno)
    if len(found) != 1:
        return None
    file, cell = recorder.places.file(filename)
    return Site(file, found[0], 1, 0, 0, "", cell)


def _names(node: ast.AST) -> set[str]:
    parts = list(ast.walk(node))
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    return names | {part.attr for part in parts if isinstance(part, ast.Attribute)}


def _filled(node: ast.stmt) -> ast.expr | None:
    """The list or dictionary that a statement fills."""
    if isinstance(node, ast.Assign):
        target = node.targets[0]
        if isinstance(target, ast.Subscript):
            return target.value
        return target if isinstance(node.value, (ast.ListComp, ast.DictComp)) else None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value.func
        if isinstance(call, ast.Attribute) and call.attr == "append":
            return call.value
    return None


def _last(node: ast.expr | None) -> str:
    """The last part of a dotted name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
