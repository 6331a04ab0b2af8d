"""Repertoire: the rounds that were counted so far. Each may be counted again once it has come: a
training loop's after an evaluation, an evaluation's in the next epoch, a rollout's."""

from collections.abc import Iterator, Sequence
from itertools import count
from operator import is_
from typing import Any

from msgspec.structs import replace

from steplens.model.event import Clear, Contribution, Event, Share
from steplens.record.account import Account
from steplens.record.ranks import several
from steplens.record.rounds import Call, counts, likeness, made

MOST = 4  # rounds kept
MANY = 1024  # kinds of calls
LONE = 32  # of those that may be branched to (``Learnt.lone``)


class Learnt:
    """A round that came twice: its calls, each knowing the next, and what must be known of it while
    it is counted. The round ``before`` was such a one too, or else ``known`` was, earlier."""

    __slots__ = (
        "backwards", "bare", "before", "calls", "codes", "counted", "exchanged", "feeds", "floor",
        "kinds", "lone", "regular", "running", "stepping", "steps", "strict", "touched",
    )  # fmt: skip

    def __init__(
        self,
        now: Sequence[Call],
        before: Sequence[Call],
        steps: int,
        known: Sequence[Call] | None = None,
    ) -> None:
        for place, call in enumerate(now):
            call.place, call.next = place, now[(place + 1) % len(now)]
            call.nth = sum(one.form == "step" for one in now[:place])
        pairs = ([one for one in calls if one.form == "step"] for calls in (now, before))
        for call, earlier in zip(*pairs, strict=True):
            fresh = known is not None and known[call.place].versions == call.versions
            since = call.versions if fresh else earlier.versions  # gradients made anew each time
            call.grown = [a - b for a, b in zip(call.versions, since, strict=True)]
            call.moved = [a - b for a, b in zip(call.written, earlier.written, strict=True)]
        self.calls = tuple(now)
        self.stepping = [call for call in now if call.form == "step"]
        self.before = tuple(before)
        self.steps, self.kinds = steps, counts(now)
        self.backwards = sum(call.form == "backward" for call in now)
        # indices from here on are of the rounds
        self.floor = before[0].event.index if before else 0
        # whether its forwards are given what others gave; where no step ends it, what they give
        # may be given to any that follows
        self.feeds = any(
            call.form == "forward" and (call.event.fed_by or (call.nodes and not steps))
            for call in now
        )
        self.exchanged = several() or any(
            call.form == "step" and call.event.exchange for call in now
        )
        # whether it makes no graph node, and what its forwards are given comes from none
        self.bare = not self.feeds and all(not (call.nodes or call.before) for call in now)
        self.counted = 0  # rounds that were compared since one differed
        self.running = 0  # of them those with nothing in between but a look
        self.touched = frozenset([a.number for call in now for a in call.accounts])
        self.lone = self._lone()
        self.regular = known is None  # whether the round before it was such a one, too
        self.strict = known is not None  # whether other rounds are known that may come instead
        self.codes: tuple[int, ...] = ()  # what its calls are, see ``Repertoire.code``

    def _lone(self) -> bool:
        """Whether all that such a round leaves to the next one can be told from itself: it clears
        each gradient that it makes, and ends with its steps."""
        cleared = {a.number for c in self.calls if c.form == "clear" for a in c.accounts}
        made = [a.number for c in self.calls if c.form == "backward" for a in c.accounts]
        return (
            self.steps > 0
            and not self.exchanged
            and ends_with_steps(self.calls)
            and not any(call.anew or call.form in ("scale", "grad") for call in self.calls)
            and cleared.issuperset(made)
        )

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
            return before + earlier.place_of(event, self.before)

        event = made(call, index, step, value, moved)
        alike = not self.lone or (earlier is self and self.regular)
        if not alike and isinstance(event, Clear) and _of_before(call.event, first):
            return replace(event, lost=earlier.left(call.accounts, before))
        return event

    def left(self, accounts: Sequence[Account], began: int) -> tuple[Share, ...]:
        """What the gradients of these hold at the end of such a round, which began at this
        Event."""
        holds: dict[int, tuple[Contribution, ...]] = {}
        for call in self.calls:
            for account in call.accounts:
                number, held = account.number, holds.get(account.number, ())
                if call.form == "clear":
                    holds[number] = ()
                elif call.form == "backward":
                    holds[number] = (*held, Contribution(began + call.place))
                elif call.form == "step":
                    holds[number] = tuple(
                        [Contribution(c.backward, (*c.used_by, began + call.place)) for c in held]
                    )
        shares: dict[tuple[Contribution, ...], list[int]] = {}
        for account in accounts:
            if holds.get(account.number):
                shares.setdefault(holds[account.number], []).append(account.number)
        return tuple([Share(tuple(tensors), held) for held, tensors in shares.items()])

    def place_of(self, event: int, calls: Sequence[Call]) -> int:
        """Where in this round the call stands that an Event of another round, of these calls, is
        of: the same of those of one form that are made on one thing, counted from the end, whatever
        line makes them."""
        after = [call for call in calls if call.event.index >= event]
        if not after:
            return 0
        form, thing = after[0].form, after[0].ref()
        own = [call.place for call in self.calls if call.form == form and call.ref() is thing]
        nth = sum(call.form == form and call.ref() is thing for call in after)
        return own[-nth] if nth <= len(own) else 0

    def come(self, calls: Sequence[Call]) -> list[Call]:
        """The newest of these calls, if they are such a round, whatever came before it; else
        nothing."""
        now = list(calls[-len(self.calls) :])
        return now if akin(now, self.calls, self.lone) else []

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
        self.known_calls: dict[object, list[tuple[Call, object, int]]] = {}
        self.codes = count()

    def add(self, learnt: Learnt) -> None:
        """A round was learnt: one of fewer steps is a part of it, or comes no more."""
        self.rounds = [
            known
            for known in self.rounds
            if not (0 < known.steps < learnt.steps or same(known.calls, learnt.calls))
        ]
        most = LONE if learnt.lone else MOST
        alike = [known for known in self.rounds if known.lone is learnt.lone]
        if len(alike) >= most:
            self.rounds.remove(alike[0])
        learnt.codes = tuple(map(self._code, learnt.calls, likenesses(learnt.calls, learnt.lone)))
        self.rounds.append(learnt)
        self.open = True

    def _code(self, call: Call, likeness: object) -> int:
        """A number for a call: the same for two that are alike, with as many nodes made in and
        before them, whatever came before their rounds."""
        key = call.form, call.chain, call.before, call.nodes
        if len(self.known_calls) > MANY:
            self.known_calls.clear()
        known = self.known_calls.setdefault(key, [])
        for other, like, code in known:
            if other.akin(call) and like == likeness:
                return code
        code = next(self.codes)
        known.append((call, likeness, code))
        del known[:-MOST]
        return code

    def has(self, learnt: Learnt) -> bool:
        """Whether such a round is among them."""
        return any(akin(known.calls, learnt.calls, learnt.lone) for known in self.rounds)

    def drop(self) -> None:
        """Forget those that may be left for others."""
        self.rounds = [known for known in self.rounds if not known.lone]

    def blurred(self, learnt: Learnt) -> bool:
        """Whether another is among them that differs only in what cannot be told when it comes: in
        which leaves its graph has."""
        return any(
            len(known.calls) == len(learnt.calls)
            and all(
                one.form == two.form
                and one.chain == two.chain
                and one.before == two.before
                and one.nodes == two.nodes
                and one.given == two.given
                for one, two in zip(known.calls, learnt.calls, strict=True)
            )
            for known in self.rounds
        )

    def known(self, stepless: bool) -> Iterator[Learnt]:
        """The rounds that may be counted again, with steps or without, the newest first."""
        for learnt in reversed(self.rounds):
            if stepless is (not learnt.steps) and (stepless or self.open):
                yield learnt


def ends_with_steps(calls: Sequence[Call]) -> bool:
    """Whether no gradient is made or cleared, and no model asked, after the first step."""
    forms = [call.form for call in calls]
    return not {"backward", "clear", "forward"} & set(forms[forms.index("step") :])


def _on_same(one: Call, other: Call) -> bool:
    """Whether both are made on the same tensors: by now another may have the place of one."""
    return len(one.accounts) == len(other.accounts) and all(map(is_, one.accounts, other.accounts))


def _of_before(clear: Clear, first: int) -> bool:
    """Whether what a clear lost was made before this Event."""
    return any(held.backward < first for share in clear.lost for held in share.holds)


def likenesses(calls: Sequence[Call], lone: bool) -> list[object]:
    """What the events of a round say of one another."""
    first = calls[0].event.index if calls else 0
    return [likeness(call.event, call.apart, first, call.anew, lone) for call in calls]


def akin(now: Sequence[Call], known: Sequence[Call], lone: bool) -> bool:
    """Whether these calls are a round like that one, on the same tensors, whatever came before."""
    pairs = [*zip(reversed(now), reversed(known), strict=True)] if len(now) == len(known) else []
    if not pairs or not all(one.akin(other) and _on_same(one, other) for one, other in pairs):
        return False
    return likenesses(now, lone) == likenesses(known, lone)


def same(now: Sequence[Call], before: Sequence[Call]) -> bool:
    """Whether these are the same calls, the last ones compared first: most differ there."""
    return len(now) == len(before) and all(
        one.alike(other) for one, other in zip(reversed(now), reversed(before), strict=True)
    )
