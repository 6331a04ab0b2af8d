"""Overwritten: which value that a backward needs was written in place, where it was saved, and
where written."""

import re
from typing import TYPE_CHECKING, Any

from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.graph import ACCUMULATE, Walk, sequence_number
from steplens.record.saved import names, saved

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

VIEWS = ("T", "Transpose", "Permute", "View", "UnsafeView", "Expand", "AsStrided", "Unsqueeze",
         "Squeeze", "Slice", "Select", "Alias", "ToCopy", "Reshape")  # fmt: skip
SHAPE = re.compile(r"Tensor \[([\d, ]+)\]")
RESULTS = ("result", "output")  # a node saved what it made, not what it was given


def overwritten(recorder: "Recorder", walk: Walk) -> dict[str, Any]:
    """The facts of a Failure: the victim is the newest node of which a saved value was modified, as
    the engine meets it first."""
    victims = [(node, *found) for node in walk.nodes if (found := _modified(node))]
    if not victims:
        return {}
    victim, name, shape = max(victims, key=lambda found: sequence_number(found[0]))
    facts: dict[str, Any] = {
        "made": _made_at(recorder, sequence_number(victim)),
        "detail": victim.name().removesuffix("0").removesuffix("Backward"),
    }
    leaf = None if name in RESULTS else _written_leaf(recorder, victim, shape)
    if leaf is not None:
        account, step = leaf
        return facts | {"tensor": account.number, "cause": step}
    return facts | {"where": _writer(recorder, walk, victim, name)}


def _modified(node: Any) -> tuple[str, list[int]] | None:
    """The name and shape (sorted sizes) of a saved value of this node that was written since."""
    for name in names(node):
        try:
            saved(node, name)
        except RuntimeError as error:
            if "modified by an inplace operation" in str(error):
                sizes = SHAPE.search(str(error))
                return name, sorted(map(int, sizes[1].split(","))) if sizes else []
        except Exception:  # a saved value that cannot be shown is not our victim
            continue
    return None


def _written_leaf(
    recorder: "Recorder", victim: Any, shape: list[int]
) -> tuple[Account, int] | None:
    """The parameter of this shape that the node was given, directly or as a view, and the Step that
    wrote it since (-1: none, so it was written by hand)."""
    forward = recorder.forwards.of(sequence_number(victim))
    found: tuple[Account, int] | None = None
    for child, _ in victim.next_functions:
        leaf = _leaf(child)
        if leaf is None or (shape and sorted(leaf.shape) != shape):
            continue
        account = recorder.census.account(leaf)
        steps = [recorder.steps.last.get(optimizer, -1) for optimizer in account.optimizers]
        step = max(steps, default=-1)
        if step > forward:
            return account, step
        found = found or (account, -1)
    return found


def _leaf(node: Any) -> Any:
    for _ in range(4):
        if node is None:
            return None
        if type(node) is ACCUMULATE:
            return node.variable
        if node.name().partition("Backward")[0] not in VIEWS or not node.next_functions:
            return None
        node = node.next_functions[0][0]
    return None


def _writer(recorder: "Recorder", walk: Walk, victim: Any, name: str) -> Site | None:
    """The line of the newest operation on the saved value: after a write in place all later ones
    are made of its result."""
    number = sequence_number(victim)
    made = [victim] if name in RESULTS else [c for c, _ in victim.next_functions if c is not None]
    users = [
        sequence_number(node)
        for node in walk.nodes
        if sequence_number(node) > number and any(child in made for child, _ in node.next_functions)
    ]
    return _made_at(recorder, max(users)) if users else None


def _made_at(recorder: "Recorder", number: int) -> Site | None:
    site = recorder.detail.site_of(number)
    return site or recorder.forwards.sites.get(recorder.forwards.of(number))
