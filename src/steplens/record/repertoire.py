"""Repertoire: the rounds that were counted so far. Each may be counted again once it has come: a
training loop's after an evaluation, an evaluation's in the next epoch, a rollout's."""

from collections.abc import Iterator, Sequence
from operator import is_
from typing import Any

from steplens.model.event import Event
from steplens.record.ranks import several
from steplens.record.rounds import Call, counts, likeness, made

MOST = 4  # rounds kept


class Learnt:
    """A round that came twice running: its calls, each knowing the next, and what must be known of
    it while it is counted."""

    __slots__ = (
        "backwards", "calls", "counted", "exchanged", "feeds", "floor", "kinds", "lone", "running",
        "steps", "touched",
    )  # fmt: skip

    def __init__(self, now: Sequence[Call], before: Sequence[Call], steps: int) -> None:
        for place, (call, earlier) in enumerate(zip(now, before, strict=True)):
            call.place, call.next = place, now[(place + 1) % len(now)]
            call.grown = [a - b for a, b in zip(call.versions, earlier.versions, strict=True)]
            call.moved = [a - b for a, b in zip(call.written, earlier.written, strict=True)]
            call.nth = sum(one.form == "step" for one in now[:place])
        self.calls = tuple(now)
        self.steps, self.kinds = steps, counts(now)
        self.backwards = sum(call.form == "backward" for call in now)
        self.floor = (
            before[0].event.index if before else 0
        )  # indices from here on are of the rounds
        # whether its forwards are given what others gave; where no step ends it, what they give
        # may be given to any that follows
        self.feeds = any(
            call.form == "forward" and (call.event.fed_by or (call.nodes and not steps))
            for call in now
        )
        self.exchanged = several() or any(
            call.form == "step" and call.event.exchange for call in now
        )
        self.counted = 0  # rounds that were compared since one differed
        self.running = 0  # of them those with nothing in between but a look
        self.lone: bool | None = None  # see ``branch``; None until that is asked
        self.touched: frozenset[int] = frozenset()  # tensors that its calls are about

    def ended(self, rounds: int, alike: bool, whole: bool) -> int:
        """The counting has ended after so many rounds: where they may go on (``alike``), with the
        last one ``whole``, or in the middle of one that differed. How many there were running, with
        the one that was told in full."""
        running = self.running + rounds + 1
        self.running = running if alike else 0
        self.counted = self.counted + rounds if alike or whole else 0
        return running

    def again(
        self, call: Call, index: int, step: int, value: Any, earlier: "Learnt", before: int
    ) -> Event:
        """The Event of a call of such a round that came later. What it says of the round before,
        which began at the event ``before`` and was one of ``earlier``, is told from that."""
        first, floor = self.calls[0].event.index, self.floor
        by = index - call.event.index

        def moved(event: int) -> int:
            if event < floor:
                return event
            if event >= first:
                return event + by
            place = event - floor
            if earlier is not self and place < len(self.calls):
                place = earlier.place_of(self.calls[place])
            return before + place

        return made(call, index, step, value, moved)

    def place_of(self, call: Call) -> int:
        """Where the last call that is akin to this one, of another round, stands in this one."""
        return max([own.place for own in self.calls if own.akin(call)], default=0)

    def come(self, calls: Sequence[Call]) -> list[Call]:
        """The newest of these calls, if they are such a round, whatever came before it; else
        nothing."""
        now = list(calls[-len(self.calls) :])
        if len(now) < len(self.calls):
            return []
        pairs = [*zip(reversed(now), reversed(self.calls), strict=True)]
        if not all(one.akin(other) and _on_same(one, other) for one, other in pairs):
            return []
        return now if likenesses(now) == likenesses(self.calls) else []

    def renew(self, now: Sequence[Call]) -> None:
        """The round has come again: what grows from round to round is where it is now."""
        for call, newer in zip(self.calls, now, strict=True):
            call.versions, call.written = newer.versions, newer.written
            call.rates, call.value = newer.rates, newer.value


class Repertoire:
    """The newest rounds that were learnt, while they may be counted again (``open``)."""

    def __init__(self) -> None:
        self.rounds: list[Learnt] = []
        self.open = True

    def add(self, learnt: Learnt) -> None:
        """A round was learnt: one of fewer steps is a part of it, or comes no more."""
        self.rounds = [
            known
            for known in self.rounds
            if not (0 < known.steps < learnt.steps or same(known.calls, learnt.calls))
        ][-MOST + 1 :]
        self.rounds.append(learnt)
        self.open = True

    def known(self, stepless: bool) -> Iterator[Learnt]:
        """The rounds that may be counted again, with steps or without, the newest first."""
        for learnt in reversed(self.rounds):
            if stepless is (not learnt.steps) and (stepless or self.open):
                yield learnt


def _on_same(one: Call, other: Call) -> bool:
    """Whether both are made on the same tensors: by now another may have the place of one."""
    return len(one.accounts) == len(other.accounts) and all(map(is_, one.accounts, other.accounts))


def likenesses(calls: Sequence[Call]) -> list[object]:
    """What the events of a round say of one another."""
    first = calls[0].event.index if calls else 0
    return [likeness(call.event, call.apart, first, call.anew) for call in calls]


def same(now: Sequence[Call], before: Sequence[Call]) -> bool:
    """Whether these are the same calls, the last ones compared first: most differ there."""
    return len(now) == len(before) and all(
        one.alike(other) for one, other in zip(reversed(now), reversed(before), strict=True)
    )
