"""Recurring: calls without a step among them that repeat: of a rollout, of an evaluation."""

from collections.abc import Sequence

from steplens.record.rounds import Call

LEAST = 12  # calls that are told in full before any are counted
TIMES = 3  # in which a round of them has come
LONGEST = 16  # calls in one round
AGAIN = 8  # calls after which it is asked again


class Recurring:
    """The newest calls told in full, as long as they are forwards without gradient recording and
    what other probes tell in between."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.ask = LEAST

    def note(self, call: Call) -> None:
        """A call was told in full."""
        dark = call.form == "forward" and not call.event.grad and not call.nodes
        if not call.fit or not (dark or call.form in ("other", "switch")):
            self.forget()
            return
        self.calls.append(call)
        if len(self.calls) > 2 * LEAST + TIMES * LONGEST:
            del self.calls[: 2 * LEAST]
            self.ask -= 2 * LEAST

    def forget(self) -> None:
        """Begin anew."""
        if self.calls:
            self.calls.clear()
        self.ask = LEAST

    def round(self) -> tuple[list[Call], list[Call]] | None:
        """The calls of the newest round and of the one before, if they have come often enough."""
        calls = self.calls
        if len(calls) < self.ask:
            return None
        self.ask = len(calls) + AGAIN
        for size in range(1, LONGEST + 1):
            if len(calls) >= TIMES * size and _alike(calls[-TIMES * size :], size):
                return calls[-size:], calls[-2 * size : -size]
        return None


def _alike(calls: Sequence[Call], size: int) -> bool:
    """Whether each call is like that of the round before, the newest first: most differ there."""
    return all(calls[at].alike(calls[at - size]) for at in range(len(calls) - 1, size - 1, -1))
