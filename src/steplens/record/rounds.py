"""Rounds: the calls that lead from one optimizer step to the next, and when two are alike."""

import sys
import weakref
from bisect import bisect
from collections.abc import Callable, Sequence
from copy import copy
from types import CodeType, FrameType
from typing import Any

from msgspec.structs import replace

from steplens.model.event import (
    Backward,
    Batch,
    Clear,
    Clip,
    Contribution,
    Event,
    Forward,
    GradCall,
    GradMode,
    Load,
    Mode,
    Scale,
    Schedule,
    Share,
    Step,
    kind,
)
from steplens.record.account import Account
from steplens.record.places import Places

frame_at = sys._getframe
Chain = tuple[tuple[CodeType, ...], CodeType, int]  # frames up to the user's, its code, instruction


def _nothing() -> None:
    """What a call that is made on nothing is made on."""


def chain(places: Places, frame: FrameType | None) -> Chain | None:
    """How the user's line led to this frame: as exact as a Site, and cheap to compare."""
    between: list[CodeType] = []
    while frame is not None:
        if places.owns(frame.f_code):
            return tuple(between), frame.f_code, frame.f_lasti
        between.append(frame.f_code)
        frame = frame.f_back
    return None


def there(call: "Call", deeper: int = 0) -> bool:
    """Whether the call comes from the same instruction of the user's, through as many frames;
    ``deeper`` is by how many functions more than usual this is away from the one that compares."""
    try:
        frame = frame_at(call.depth + deeper)
    except ValueError:  # the stack is not that deep
        return False
    return frame.f_lasti == call.lasti and frame.f_code is call.code


def same_steps(now: Sequence["Call"], other: Sequence["Call"]) -> bool:
    """Whether the same optimizers step in two rounds, on the same tensors."""
    pairs = [[call for call in calls if call.form == "step"] for calls in (now, other)]
    return len(pairs[0]) == len(pairs[1]) and all(
        one.ref() is two.ref() and one.ids == two.ids for one, two in zip(*pairs, strict=True)
    )


class Call:
    """One call of a round: what it was made on, from where, the Event it gave, and what must hold
    again for it to count as the same.

    ``form`` is batch, clear, forward, backward, clip, scale, step, switch or other; ``before`` are
    the graph nodes made since the call before it, ``nodes`` those made in it; ``given`` says what
    it was given, as far as that matters. ``value`` is what may differ: a loss, learning rates, an
    event of another probe; ``kept`` those of the two newest counted rounds, by whether the round's
    number is odd. ``fit`` says whether such a call can be counted at all, ``looked`` whether values
    were read at it.
    """

    __slots__ = (
        "form", "ref", "chain", "event", "before", "nodes", "given", "accounts", "part", "flags",
        "value", "kept", "fit", "looked", "ids", "versions", "grown", "written", "moved", "unread",
        "turn", "rates", "way", "top", "seq", "place", "next", "depth", "code", "lasti", "early",
        "nth", "passed", "apart", "like", "addresses", "anew",
    )  # fmt: skip

    def __init__(self, form: str, thing: Any, chain: Chain | None) -> None:
        self.form = form
        self.ref: Callable[[], Any] = weakref.ref(thing) if thing is not None else _nothing
        self.passed: Callable[[], Any] = _nothing  # a module called before it that is none of these
        self.chain = chain
        self.event: Any = None
        self.before = self.nodes = 0
        self.given: Any = ()
        self.accounts: Sequence[Account] = ()  # the optimizer's, or the leaves
        self.anew: frozenset[int] = frozenset()  # other leaves, which are made anew each time
        # of a forward the Tree of its modes; of a backward that retains its graph, where it began
        # and the sequence numbers of its nodes
        self.part: Any = None
        self.flags: Any = ()
        self.value: Any = None
        self.kept: list[Any] = [None, None]
        self.fit = chain is not None
        self.looked = False
        # of a step: its tensors, their gradients' write counters before it and their own after it,
        # by how much both grow in a round
        self.ids: list[int] = []
        self.versions: list[int] = []
        self.grown: list[int] = []
        self.written: list[int] = []
        self.moved: list[int] = []
        self.addresses: list[int] = []  # where its tensors lie, if that is compared
        self.unread = 0  # how often they have been written since, with no look at the counters
        self.turn = self.nth = 0  # which tensor is looked at next; how many steps its round has had
        self.rates: list[Any] = []
        self.way = 0  # in which the learning rates go
        self.top = 0.0  # the largest of them
        self.seq = 0  # sequence number at which a forward or backward last began
        self.place = 0  # in its round
        self.next: Call = self
        self.apart: Sequence[int] = ()  # indices of events that belong to no round
        self.like: object = None  # what its event says, once it has been compared
        self.early = form in ("backward", "other")  # its event's index is given when it begins
        between, self.code, self.lasti = chain if chain is not None else ((), None, -1)
        self.depth = len(between) + 3  # frames from the one that compares to the user's

    def told(self, event: Event, apart: Sequence[int], rounds: int) -> "Call":
        """The same call in a later round, after so many that were counted, as if it had been told
        in full."""
        call = copy(self)
        call.event, call.apart, call.like, call.kept, call.next = (
            event,
            apart,
            None,
            [None] * 2,
            call,
        )
        if self.form == "step":
            call.versions = [
                at + rounds * by for at, by in zip(self.versions, self.grown, strict=True)
            ]
            call.written, call.unread = self.counters(), 0
        return call

    def due(self) -> list[int]:
        """By how much its tensors' write counters are to have grown since they were last read."""
        return self.moved if not self.unread else [(self.unread + 1) * by for by in self.moved]

    def counters(self) -> list[int]:
        """Its tensors' write counters after it was last made."""
        return [at + self.unread * by for at, by in zip(self.written, self.moved, strict=True)]

    def alike(self, other: "Call") -> bool:
        """Whether both are the same call, in two rounds that follow one another."""
        return self.akin(other) and self.said() == other.said()

    def akin(self, other: "Call") -> bool:
        """Whether both are made on the same, from the same place, and given the same."""
        return (
            self.form == other.form
            and self.chain == other.chain
            and self.ref() is other.ref()
            and self.given == other.given
            and self.ids == other.ids
        )

    def said(self) -> object:
        """What its event says that may not differ from round to round."""
        if self.like is None:
            self.like = likeness(self.event, self.apart, anew=self.anew)
        return self.like


def likeness(  # noqa: C901  a case for each kind
    event: Event,
    apart: Sequence[int],
    first: int = -1,
    anew: frozenset[int] = frozenset(),
    lone: bool = False,
) -> object:
    """What an event says that may not differ from round to round: indices are told from its own,
    and those ``apart``, in order, are not counted; what is only read at looks is left out. Of what
    came before ``first`` it is only told that it did, of leaves made ``anew`` how many. Of a
    ``lone`` round it is left out what a clear lost that the round before had made."""
    at = event.index - bisect(apart, event.index)

    def off(index: int) -> int | None:
        return index - bisect(apart, index) - at if index >= first else None

    def lasting(leaves: Sequence[int]) -> object:
        return [number for number in leaves if number not in anew], len(anew)

    match event:
        case Clear():
            made = [held.backward >= first for share in event.lost for held in share.holds]
            lost = _told(event.lost, off) if not lone or any(made) else bool(made)
            return event.site, event.by, event.owner, lost, event.to_none, event.tensors
        case Forward():
            return (
                event.site, event.module, event.grad, event.recorded, event.training, event.modes,
                tuple(map(off, event.fed_by)), event.statistics, event.off_since,
                event.inference, event.purpose, event.again >= 0, event.discarded,
            )  # fmt: skip
        case Backward():
            return (
                event.site, lasting(event.leaves), tuple(map(off, event.forwards)),
                event.retain_graph, event.create_graph, event.inside, event.weighted,
                event.root_leaf, event.still, event.unrun, event.strays, event.nodes,
                event.old_nodes, event.again, event.by_hand, event.scaled,
            )  # fmt: skip
        case GradCall():
            return (event.site, lasting(event.leaves), tuple(map(off, event.forwards)),
                    event.create_graph)  # fmt: skip
        case Step():
            return (
                event.site, event.optimizer, _told(event.uses, off), event.idle, event.unknown,
                event.moved, tuple([rate > 0 for rate in event.lrs]), event.skipped, event.closure,
                event.updates, event.constrained, event.frozen, event.unreached, event.thawed,
                event.rewritten, event.unmoved, event.drifted, event.untouched, event.exchange,
            )  # fmt: skip
        case Clip():
            return (event.site, event.how, event.bound, _told(event.shares, off), event.idle,
                    event.others, event.scaled, event.unknown, event.reached)  # fmt: skip
        case Batch():
            return (event.site, event.form, event.loader, event.digest, event.data, event.made,
                    event.order)  # fmt: skip
        case Schedule():
            return (event.site, event.scheduler, event.optimizer, event.given,
                    tuple([rate > 0 for rate in event.lrs]))  # fmt: skip
        case Load():
            return (event.site, event.what, event.owner, event.aliases, event.given, event.unknown,
                    event.taken < 0 or event.step - event.taken, event.bound)  # fmt: skip
        case Scale():
            return event.site, event.how, event.optimizer, event.skipped
        case GradMode():
            return event.site, event.enabled, event.how, event.form
        case Mode():
            return event.site, event.module, event.training, event.switched
        case _:
            return event


def _told(shares: tuple[Share, ...], off: Callable[[int], int | None]) -> object:
    return tuple(
        [(s.tensors, [(off(c.backward), [*map(off, c.used_by)]) for c in s.holds]) for s in shares]
    )


def made(call: Call, index: int, step: int, value: Any, later: Callable[[int], int]) -> Event:
    """The Event of a call in a later round; ``later`` says which Event of that round, or of the one
    before, is what an Event of the round told in full was there."""
    event = call.event

    def moved(indices: tuple[int, ...]) -> tuple[int, ...]:
        return tuple([later(i) for i in indices])

    def held(shares: tuple[Share, ...]) -> tuple[Share, ...]:
        return tuple(
            [
                Share(
                    s.tensors,
                    tuple(
                        [Contribution(moved((c.backward,))[0], moved(c.used_by)) for c in s.holds]
                    ),
                )
                for s in shares
            ]
        )

    match event:
        case Clear():
            return replace(event, index=index, step=step, lost=held(event.lost), norm=-1.0)
        case Batch() if type(value) is tuple:
            return replace(event, index=index, step=step, count=value[0], digest=value[1])
        case Forward():
            return replace(event, index=index, step=step, fed_by=moved(event.fed_by))
        case Backward():
            return replace(
                event, index=index, step=step, forwards=moved(event.forwards), loss=value
            )
        case GradCall():
            return replace(event, index=index, step=step, forwards=moved(event.forwards))
        case GradMode():
            return replace(event, index=index, step=step)
        case Scale():
            return replace(event, index=index, step=step)
        case Clip():
            return replace(event, index=index, step=step, shares=held(event.shares), norm=None)
        case Step():
            return replace(
                event, index=index, step=step, uses=held(event.uses), lrs=tuple(map(float, value))
            )
        case _:
            return value  # type: ignore[no-any-return]


def counts(calls: Sequence[Call]) -> dict[str, int]:
    """How many events of each kind are in a round."""
    found: dict[str, int] = {}
    for call in calls:
        name = kind(call.event)
        found[name] = found.get(name, 0) + 1
    return found
