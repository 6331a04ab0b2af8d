"""Account: what the Ledger knows of one tensor and its gradient."""

import weakref
from typing import Final

import torch

from steplens.model.event import Contribution

MOST = 512  # contributions that are told apart; of more, the first ones and the newest


class Holding:
    """The contributions a gradient holds, oldest first; shared by all tensors with the same
    history. A gradient that nobody clears holds ever more of them: of those between the oldest and
    the newest ``MOST`` nothing is kept.

    ``known`` is False for a gradient that somebody wrote by hand: what it holds cannot be said.
    """

    __slots__ = ("contributions", "known", "after")

    def __init__(self, contributions: tuple[Contribution, ...] = (), known: bool = True) -> None:
        self.contributions: Final = contributions
        self.known: Final = known
        self.after: dict[tuple[str, int], Holding] = {}

    @property
    def used(self) -> bool:
        """Whether any contribution has been used by a step already."""
        return any(contribution.used_by for contribution in self.contributions)

    def newest(self, backward: int) -> bool:
        """Whether the newest contribution is this Backward event's, and no step has used it."""
        held = self.contributions
        return bool(held) and held[-1].backward == backward and not held[-1].used_by

    def plus(self, backward: int) -> "Holding":
        """With one more contribution, of this Backward event."""
        key = ("plus", backward)
        found = self.after.get(key)
        if found is None:
            self.after.clear()
            held = self.contributions
            if len(held) >= 2 * MOST:
                held = (*held[: MOST // 2], *held[-MOST // 2 :])
            found = self.after[key] = Holding((*held, Contribution(backward)), self.known)
        return found

    def used_in(self, step: int) -> "Holding":
        """The same contributions, marked as used by this Step event."""
        key = ("used", step)
        found = self.after.get(key)
        if found is None:
            self.after.clear()
            marked = tuple(
                Contribution(c.backward, (*c.used_by[-3:], step)) for c in self.contributions[-8:]
            )
            found = self.after[key] = Holding(marked, self.known)
        return found

    def since(self, event: int) -> "Holding":
        """Without the contributions of backward passes before this Event."""
        held = self.contributions
        if not held or held[0].backward >= event:
            return self
        return Holding(tuple([one for one in held if one.backward >= event]), self.known)

    def moved(self, by: int) -> "Holding":
        """The same, of events so many indices later."""
        return Holding(
            tuple(
                [
                    Contribution(c.backward + by, tuple([step + by for step in c.used_by]))
                    for c in self.contributions
                ]
            ),
            self.known,
        )


EMPTY: Final = Holding()
BY_HAND: Final = Holding(known=False)
UNREAD: Final = -2  # in the place of a gradient's write counter: to be taken as it is found


class Account:
    """One tensor: a weak reference, its number in the Roster, its gradient as last seen and what
    that holds."""

    __slots__ = (
        "ref",
        "number",
        "grad_id",
        "grad_version",
        "holding",
        "optimizers",
        "version",
        "reached",
        "clear",
        "rewritten",
    )

    def __init__(self, ref: "weakref.ref[torch.Tensor]", number: int) -> None:
        self.ref = ref
        self.number = number
        self.grad_id = 0
        self.grad_version = -1
        self.holding = EMPTY
        self.optimizers: set[int] = set()
        self.version = -1
        self.reached = 0  # backward passes that gave it a contribution
        self.clear = -1  # index of the Clear event that last took contributions from it
        self.rewritten: Holding | None = None  # what it held when its gradient was written by hand


class Living(dict[int, Account]):
    """Accounts by a key; those of tensors that have died are taken out now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.enough = 32

    def thin(self) -> None:
        """Take the dead out, where as many have come as were left the last time."""
        if len(self) > self.enough:
            for key, account in list(self.items()):
                if account.ref() is None:
                    self.pop(key, None)
            self.enough = 2 * len(self) + 32
