"""Ungiven: parameters to which a Function of the user's own gives no gradient."""

import ast
from collections.abc import Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Cut
from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.graph import ACCUMULATE, Walk
from steplens.record.settings import lines_of
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 256  # tensors remembered
LOOKS = 64  # graphs gone through for those to which nothing was given


class Ungiven:
    """A backward goes through a graph to each of its leaves, but what a node returns as ``None``
    adds to no gradient. torch's own operations do so for what has no slope only; here we look at
    the ``torch.autograd.Function`` classes of the user's code."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.looks = 0

    def given(
        self, recorder: "Recorder", leaves: list[Account], roots: Sequence[torch.Tensor]
    ) -> list[Account]:
        """The leaves to which a backward that has just ended may have given something."""
        empty = {account.number for account in leaves if not account.reached and _empty(account)}
        if not empty:
            return leaves
        new = empty - self.known
        if new and self.looks < LOOKS and len(self.known) < MOST:
            self.looks += 1
            self._look(recorder, new, roots)
        left_out = empty & self.known
        return [a for a in leaves if a.number not in left_out] if left_out else leaves

    def _look(self, recorder: "Recorder", new: set[int], roots: Sequence[torch.Tensor]) -> None:
        above: dict[int, list[Any]] = {}
        for node in Walk(roots).nodes:
            for child, _ in node.next_functions:
                if type(child) is ACCUMULATE:
                    number = recorder.census.account(child.variable).number
                    if number in new:
                        above.setdefault(number, []).append(node)
        cuts: dict[tuple[CodeType, Site | None], list[int]] = {}
        for number, nodes in above.items():
            codes = [_backward(node) for node in nodes]
            if any(code is None or not recorder.places.owns(code) for code in codes):
                continue
            self.known.add(number)
            site = recorder.detail.site_of(nodes[0]._sequence_nr())
            if codes[0] is not None:
                cuts.setdefault((codes[0], site), []).append(number)
        for (code, applied), numbers in cuts.items():
            line = _returns(code)
            site = recorder.places.line(code, line)
            index, step = recorder.index(), recorder.step
            recorder.emit(Cut(index, step, site, "backward", tuple(sorted(numbers)), applied))


def _empty(account: Account) -> bool:
    """Whether a leaf has no gradient though no code of the user's can have taken it away."""
    tensor = account.ref()
    if tensor is None or tensor.grad is not None:
        return False
    return not getattr(tensor, "_post_accumulate_grad_hooks", None)


def _backward(node: Any) -> CodeType | None:
    """The code of the ``backward`` of a Function's node."""
    function = getattr(getattr(node, "_forward_cls", None), "backward", None)
    return getattr(function, "__code__", None)


def _returns(code: CodeType) -> int:
    """The line of the last ``return`` of a function, its first line where there is none."""
    tree = syntax_tree(code.co_filename)
    own = lines_of(code)
    found = [
        node.lineno
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.Return) and node.lineno in own
    ]
    return max(found, default=code.co_firstlineno)
