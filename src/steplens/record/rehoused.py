"""Rehoused: parameters that were given other memory, with other values in it, by ``p.data = t``.

An assignment to ``.data`` is heard by nothing and moves no counter, and what stood there before is
gone by the next step. So a few elements of each parameter are copied at looks. Where a parameter
lies elsewhere at a step than it did, they are compared: values that bear no relation to those of
the latest look, which themselves were near those of the look before it, have been replaced.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Write
from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.norms import readable, sample
from steplens.record.places import Places
from steplens.record.settings import codes_of, lines_of, only, ran
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

ELEMENTS = 256  # about so many of each parameter
FEWEST = 16  # in a parameter that is judged
MOST = 512  # parameters of one optimizer
NEAR = 0.9  # the cosine of the samples of two looks, where training has gone on
APART = 0.5  # that of values before and after a replacement
BENIGN = 3  # steps at which memory moved and the values did not: then it is a habit


class Kept:
    """Where a parameter lies, as its optimizer's step number ``seen`` found it, and some of its
    elements at the two latest looks."""

    __slots__ = ("address", "seen", "latest", "earlier")

    def __init__(self, address: int, seen: int, latest: torch.Tensor) -> None:
        self.address = address
        self.seen = seen
        self.latest = latest
        self.earlier: torch.Tensor | None = None


class Rehoused:
    """The parameters of optimizers with state."""

    def __init__(self) -> None:
        self.kept: dict[int, dict[int, Kept]] = {}  # optimizer -> tensor -> what is kept
        self.habits: dict[int, int] = {}
        # the optimizer and the steps ended when a counted step last found its first tensor in place
        self.sure: tuple[int, int] = (-1, -1)

    def looked(self, number: int, accounts: Sequence[Account], count: int) -> None:
        """Keep samples, at a look after the optimizer's step ``count``; tensors must be plain
        ones."""
        kept = self.kept.setdefault(number, {})
        for account in accounts[:MOST]:
            tensor = account.ref()
            if tensor is None or tensor.numel() < FEWEST or not readable(tensor):
                continue
            values = sample(tensor.detach(), ELEMENTS)
            known = kept.get(account.number)
            if known is None:
                kept[account.number] = Kept(tensor.data_ptr(), count, values)
            else:
                known.address, known.seen = tensor.data_ptr(), count
                known.earlier, known.latest = known.latest, values

    def addresses(self, number: int, tensors: Sequence[torch.Tensor]) -> list[int]:
        """Where these lie, if that is to be compared at each step; else nothing."""
        if number not in self.kept or self.habits.get(number, 0) >= BENIGN:
            return []
        return [tensor.data_ptr() if tensor.layout is torch.strided else 0 for tensor in tensors]

    def moved(
        self, number: int, accounts: Sequence[Account], count: int, now: int
    ) -> list[tuple[Account, Kept, torch.Tensor]]:
        """The parameters that lie elsewhere than at the step before this one, number ``count`` of
        the optimizer, with a sample of what they hold; ``now`` are the steps ended. Of what moved
        earlier, while steps were counted, nothing can be said: the author may have reset the state
        with it."""
        kept = self.kept.get(number)
        if not kept or self.habits.get(number, 0) >= BENIGN:
            return []
        moved: list[tuple[Account, Kept, torch.Tensor]] = []
        for place, account in enumerate(accounts[:MOST]):
            known, tensor = kept.get(account.number), account.ref()
            if known is None or tensor is None:
                continue
            before, known.seen = known.seen, count
            if tensor.data_ptr() != known.address:
                known.address = tensor.data_ptr()
                just = before == count - 1 or (place == 0 and self.sure == (number, now - 1))
                if just and readable(tensor):
                    moved.append((account, known, sample(tensor.detach(), ELEMENTS)))
        return moved

    def replaced(
        self, number: int, moved: list[tuple[Account, Kept, torch.Tensor]], back: bool
    ) -> list[tuple[Account, Kept]]:
        """Those of ``moved`` with values that bear no relation to those of the last look, or all
        where they are ``back`` at what they were before the first step."""
        found = [(account, known) for account, known, now in moved if back or _is_other(known, now)]
        if moved and not found:
            self.habits[number] = self.habits.get(number, 0) + 1
        return found


def _is_other(known: Kept, now: torch.Tensor) -> bool:
    earlier, latest = known.earlier, known.latest
    if earlier is None or not earlier.shape == latest.shape == now.shape:
        return False
    if not earlier.device == latest.device == now.device:
        return False
    old, new, before = (values.double().reshape(-1) for values in (latest, now, earlier))
    if not bool(new.ne(0).all()) and not bool(old.eq(0).any()):
        new, old = new[new.ne(0)], old[new.ne(0)]  # a mask sets elements to zero
    if len(new) < FEWEST or _cosine(before, latest.double().reshape(-1)) < NEAR:
        return False
    changed = float((new - old).square().sum()) > 0.25 * float(old.square().sum())
    return changed and _cosine(old, new) < APART


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    norms = float(one.norm()) * float(other.norm())
    return float((one * other).sum()) / norms if norms else 1.0


def told(recorder: "Recorder", account: Account, known: Kept, tensor: Any, how: str) -> Write:
    """The Write of a parameter that was given other memory."""
    now = sample(tensor.detach(), ELEMENTS)
    return Write(
        recorder.index(),
        recorder.step,
        assigning_line(recorder.places),
        account.number,
        how,
        now.numel(),
        int(known.latest.ne(now).sum()),
        float(known.latest.norm()),
        float(now.norm()),
    )


def assigning_line(places: Places) -> Site | None:
    """The one line of code that ran at which a ``.data`` is assigned, the first of the lines of one
    loop; None if there are several."""
    codes = ran(places)
    named = {name for code in codes for name in code.co_names}
    found = list(_assigning(places, codes))
    if not found and "vector_to_parameters" not in named:  # it does so itself
        # a function in which nothing else is heard has not been seen; what ran calls it by its name
        found = list(_assigning(places, [c for c in codes_of(places) if c.co_name in named]))
    loops = {loop for _, loop in found}
    if len(found) > 1 and len(loops) == 1 and None not in loops:
        return min((site for site, _ in found), key=lambda site: site.line)
    return only(site for site, _ in found)


def _assigning(places: Places, codes: Iterable[CodeType]) -> Iterator[tuple[Site, ast.stmt | None]]:
    """These lines, and the innermost loop around each."""
    for code in codes:
        tree = syntax_tree(code.co_filename) if "data" in code.co_names else None
        lines = lines_of(code)
        loops = [each for each in ast.walk(tree) if isinstance(each, ast.For)] if tree else []
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.Assign) and node.lineno in lines:
                targets = [each for target in node.targets for each in ast.walk(target)]
                if any(isinstance(each, ast.Attribute) and each.attr == "data"
                       and isinstance(each.ctx, ast.Store) and not _own(each.value)
                       for each in targets):  # fmt: skip
                    around = [loop for loop in loops if _holds(loop, node)]
                    yield places.line(code, node.lineno), max(around, key=_start, default=None)


def _holds(loop: ast.For, node: ast.stmt) -> bool:
    return loop.lineno < node.lineno <= (loop.end_lineno or 0)


def _start(loop: ast.For) -> int:
    return loop.lineno


def _own(value: ast.expr) -> bool:
    """Whether this is ``self``: of a dataset, most likely."""
    return isinstance(value, ast.Name) and value.id == "self"
