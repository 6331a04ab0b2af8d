"""Marks: tokens laid into ``grad_fn.metadata``, and taken out of the graphs that outlive a run."""

import gc
from collections.abc import Iterable
from typing import Any


def unmark(tokens: Iterable[Any], key: str) -> None:
    """Take these tokens out of the nodes that bear them.

    A node cannot be referred to weakly, and its token must not know it, or neither would die
    without the garbage collector: the nodes are found by what refers to the tokens still alive.
    """
    living = {id(token): token for token in tokens}
    if not living:
        return
    for holder in gc.get_referrers(*living.values()):
        if type(holder) is dict and holder is not living and id(holder.get(key)) in living:
            del holder[key]
