"""Recurring: calls without a step among them that repeat: of a rollout, of an evaluation, of a loop
over time that is longer or shorter at each step."""

from collections import deque
from collections.abc import Sequence

from steplens.record.rounds import Call

LEAST = 12  # calls that are told in full before any are counted
SOON = 3  # the same, where each pass through a graph ends a turn and no step a round
MANY = 64  # calls in all after which that holds
TIMES = 3  # in which a round of them has come
LONGEST = 16  # calls in one round
AGAIN = 8  # calls after which it is asked again


class Recurring:
    """The newest calls told in full, as long as they are forwards, with gradient recording or
    without, and what other probes tell in between."""

    def __init__(self) -> None:
        self.calls = deque[Call](maxlen=TIMES * LONGEST)
        self.count = 0  # calls of the kind running
        self.total = 0  # calls of the kind so far
        self.ask = LEAST  # the count at which a round is looked for

    def note(self, call: Call) -> None:
        """A call was told in full."""
        forward = call.form == "forward" and call.event.grad == bool(call.nodes)
        if not call.fit or not (forward or call.form in ("batch", "other", "switch")):
            self.forget()
            return
        self.calls.append(call)
        self.count += 1
        self.total += 1

    def forget(self) -> None:
        """Begin anew."""
        if self.count:
            self.calls.clear()
            self.count, self.ask = 0, LEAST

    def round(self, turning: bool) -> tuple[list[Call], list[Call]] | None:
        """The calls of the newest round and of the one before, if they have come often enough: few
        come before each pass where the program is ``turning``. One with a block in it ends with
        that."""
        soon = turning and self.total >= MANY and self.count < LEAST
        if self.count < (SOON if soon else self.ask):
            return None
        calls = list(self.calls)
        if not _undoes(calls[-1]) and any(map(_undoes, calls[-LONGEST:])):
            return None
        self.ask = self.count + AGAIN
        for size in range(1, LONGEST + 1):
            if len(calls) >= TIMES * size and _alike(calls[-TIMES * size :], size):
                return calls[-size:], calls[-2 * size : -size]
        return None


def _alike(calls: Sequence[Call], size: int) -> bool:
    """Whether each call is like that of the round before, the newest first: most differ there."""
    return all(calls[at].alike(calls[at - size]) for at in range(len(calls) - 1, size - 1, -1))


def _undoes(call: Call) -> bool:
    """Whether a call is the end of a block."""
    return call.form == "switch" and call.given[1] == "exit"
