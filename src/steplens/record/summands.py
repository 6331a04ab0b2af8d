"""Summands: of which optimizers' tensors each summand of a loss is made."""

from typing import TYPE_CHECKING, Any

import torch

from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.graph import ACCUMULATE
from steplens.record.terms import LINEAR

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LINES = 64  # that go backward, and losses looked at
LOOKS = 4  # passes at each
MOST = 16  # summands of a loss
NODES = 20_000  # of its graph
PRODUCTS = frozenset(("MulBackward0", "DivBackward0"))


class Summands:
    """Looked for at the first passes of each line, where a loss reaches what several optimizers
    hold."""

    def __init__(self) -> None:
        self.looks = Newest[Site | None, int](LINES)
        self.most = 0  # losses looked at so far

    def look(
        self, recorder: "Recorder", roots: list[torch.Tensor], leaves: list[Account]
    ) -> tuple[tuple[int, ...], ...]:
        """The optimizers behind each summand; nothing where there is one summand, or one
        optimizer."""
        if len(recorder.roster.optimizers) < 2 or len(roots) != 1:
            return ()
        site = recorder.site()
        looks = self.looks.get(site, 0)
        if looks >= LOOKS or self.most >= LINES:
            return ()
        self.looks[site] = looks + 1
        held = {frozenset(account.optimizers) for account in leaves if account.optimizers}
        if len(held) < 2:
            return ()
        self.most += 1
        parts = _parts(roots[0].grad_fn)
        if len(parts) < 2:
            return ()
        return tuple([_optimizers(recorder, part) for part in parts])


def _parts(node: Any) -> list[Any]:
    """The nodes that a loss is the sum of, each times some constant."""
    found: list[Any] = []
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        children = [child for child, _ in node.next_functions if child is not None]
        sums = node.name() in LINEAR and (len(children) == 1 or node.name() not in PRODUCTS)
        if sums and children and len(found) + len(waiting) < MOST:
            waiting += children
        else:
            found.append(node)
    return found


def _optimizers(recorder: "Recorder", start: Any) -> tuple[int, ...]:
    """Who holds the leaves of the graph from here on."""
    seen, queue, found = {start}, [start], set[int]()
    for node in queue:
        if type(node) is ACCUMULATE:
            found.update(recorder.census.account(node.variable).optimizers)
            continue
        for child, _ in node.next_functions:
            if child is not None and child not in seen and len(seen) < NODES:
                seen.add(child)
                queue.append(child)
    return tuple(sorted(found))
