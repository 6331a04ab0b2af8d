"""Lifetimes: which graphs of earlier iterations are still alive, and what holds them.

A token in ``grad_fn.metadata`` dies with its node: of each backward the loss's own node, the oldest
node that no earlier backward went through and the oldest of its newest forwards bear one; at the
first steps the newest node at the leaves, too, for what only a branch of the graph leads to.
"""

import gc
import weakref
from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Kept
from steplens.model.site import Site
from steplens.record.graph import ACCUMULATE, Walk, sequence_number
from steplens.record.keeping import given_at, kept_at
from steplens.record.marks import unmark
from steplens.record.recent import newest_first

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

KEY = "steplens"  # in grad_fn.metadata
RISING = 4  # steps that each left a graph behind before the holder is looked for
TURNS = 4  # optimizers whose steps may lie between two of these
TELLING = (4, 16, 64, 256, 1024, 4096)  # graphs alive at which the growth is told of
SEARCHES = 12  # in one run
CALM = 16  # steps
EARLY = 24  # steps, enough for a list to be told of, at which a second branch is marked
LATE = 64  # steps, at which what a forward gave is marked
MANY = 64  # marks of one step, from which on no further forward bears one
FORWARDS = 4  # whose oldest nodes are marked: what one of several gave may be kept
MOST_NODES = 20000  # of a graph walked in search of old nodes


class Token:
    """One backward's mark in its graph."""

    __slots__ = ("owner", "step", "__weakref__")

    def __init__(self, owner: object, step: int) -> None:
        self.owner = owner  # tells the runs of one process apart
        self.step = step


class Lifetimes:
    """The graphs alive: for each step, the tokens of its backward passes that are still there."""

    def __init__(self) -> None:
        self.owner = object()
        self.alive: dict[int, int] = {}  # step -> tokens alive
        self.step = -1  # the step at which the graphs were last counted
        self.rose = -CALM - 1  # the step at which more old graphs were alive than before
        self.counts: deque[int] = deque(maxlen=RISING * TURNS + 1)
        self.told = 0
        self.searches = 0  # for what keeps graphs, among all objects there are
        self.tokens: weakref.WeakSet[Token] = weakref.WeakSet()
        self.sites: dict[int, Site | None] = {}  # step -> line of its first backward
        self.roots: deque[weakref.ref[torch.Tensor]] = deque(maxlen=64)  # of the last backwards
        self.retained: frozenset[int] = (
            frozenset()
        )  # nodes of the last backward that kept its graph

    @property
    def calm(self) -> bool:
        """Whether no more old graphs have come to be alive in the last steps."""
        return self.step - self.rose > CALM

    def rising(self, steps: int = 1) -> bool:
        """Whether more old graphs are alive than so many steps before."""
        counts = self.counts
        return len(counts) > steps and counts[-1] > counts[-1 - steps]

    def mark(self, recorder: "Recorder", walk: Walk, retain: bool) -> int:
        """Before a backward: count the graphs of earlier steps, then mark this one's. Gives how
        many of its nodes the last backward with ``retain_graph`` went through as well."""
        step = recorder.step
        if step != self.step:
            self._count(recorder, step, walk)
        marked = [*_ends(walk), *_begun(walk, recorder.forwards.recent)]
        for node in (*marked, *_branch(walk)) if step < EARLY else marked:
            self._mark(node, step)
        if step not in self.sites:
            self.sites[step] = recorder.site()
        again = len(self.retained.intersection(walk.sequence())) if self.retained else 0
        if retain:
            self.retained = frozenset(walk.sequence())
        elif self.retained:
            self.retained = frozenset()
        return again

    def gave(self, step: int, outputs: list[torch.Tensor]) -> None:
        """A forward in train mode gave this out: no backward may ever come, and the program keep it
        all the same, as an agent its actions."""
        if step < LATE and self.alive.get(step, 0) < MANY:
            node = next((out.grad_fn for out in outputs if out.grad_fn is not None), None)
            if node is not None:
                self._mark(node, step)

    def _mark(self, node: Any, step: int) -> None:
        data = node.metadata
        if KEY not in data:
            token = Token(self.owner, step)
            self.alive[step] = self.alive.get(step, 0) + 1
            weakref.finalize(token, _died, weakref.ref(self), step).atexit = False
            self.tokens.add(token)
            data[KEY] = token

    def let_go(self) -> None:
        """The run is over: take the marks out of the graphs that outlive it."""
        roots = [root for ref in self.roots.copy() if (root := ref()) is not None]
        self.roots.clear()
        for root in roots:
            for node in _ends(Walk([root])):
                token = node.metadata.get(KEY)
                if token is not None and token.owner is self.owner:
                    self.tokens.discard(token)
                    del node.metadata[KEY]
        unmark(list(self.tokens), KEY)

    def died(self, step: int) -> None:
        """A mark of this step has died with its graph."""
        left = self.alive.get(step, 1) - 1
        if left > 0:
            self.alive[step] = left
        else:
            self.alive.pop(step, None)
            self.sites.pop(step, None)

    def _count(self, recorder: "Recorder", step: int, walk: Walk) -> None:
        self.step = step
        old = sum(1 for earlier in list(self.alive) if earlier < step - 1)
        if not old:
            self.counts.clear()
            self.told = 0
        self.counts.append(old)
        if self.rising():
            self.rose = step
        if not self._risen() or self.told >= len(TELLING) or old < TELLING[self.told]:
            return
        while self.told < len(TELLING) and old >= TELLING[self.told]:
            self.told += 1
        if any(_old(node, self.owner, step) >= 0 for node in walk.nodes):
            return  # the loss itself reaches them: SL402's
        if self.searches >= SEARCHES:
            return
        self.searches += 1
        with recorder.quiet():
            self._tell(recorder, old, step)

    def _risen(self) -> tuple[int, ...]:
        """The newest counts over which they rose as often as it takes, and never fell; none where
        they did not. Of several optimizers' steps in turn not each one leaves something behind."""
        counts, rises = list(self.counts), 0
        for place in range(len(counts) - 1, 0, -1):
            if counts[place] < counts[place - 1]:
                break
            rises += counts[place] > counts[place - 1]
            if rises == RISING:
                return tuple(counts[place - 1 :])
        return ()

    def _tell(self, recorder: "Recorder", old: int, step: int) -> None:
        form, name, where, made, nodes = holder(recorder, self.owner, step)
        recorder.emit(
            Kept(
                recorder.index(),
                recorder.step,
                recorder.site(),
                old,
                form,
                name,
                where,
                made or next((site for site in self.sites.values() if site is not None), None),
                nodes,
                self._risen(),
                given_at(recorder, where) if where is not None else None,
            )
        )


def _died(home: "weakref.ref[Lifetimes]", step: int) -> None:
    lifetimes = home()
    if lifetimes is not None:
        lifetimes.died(step)


def _ends(walk: Walk) -> list[Any]:
    """The loss's own node and the oldest one."""
    if not walk.nodes or type(walk.nodes[0]) is ACCUMULATE:
        return []
    walk.sequence()
    oldest = walk.oldest
    return [walk.nodes[0]] if oldest is None else [walk.nodes[0], oldest]


def _begun(walk: Walk, recent: deque[tuple[int, int, int]]) -> list[Any]:
    """The oldest nodes of the newest of these forwards (start, end, event) that the graph reaches,
    where it reaches several."""
    numbers = walk.sequence()
    wanted: set[int] = set()
    for start, end, _ in newest_first(recent) if numbers else ():
        if end <= numbers[0] or len(wanted) == FORWARDS:
            break
        place = bisect_left(numbers, start)
        if place < len(numbers) and numbers[place] < end:
            wanted.add(numbers[place])
    wanted -= {*numbers[:1]}
    if not wanted:
        return []
    return [
        node
        for node in walk.nodes
        if type(node) is not ACCUMULATE and sequence_number(node) in wanted
    ]


def _branch(walk: Walk) -> list[Any]:
    """The newest of the nodes that leaves alone lead to: it is on the branch begun last."""
    newest, found = -1, None
    for node in walk.nodes:
        if type(node) is ACCUMULATE:
            continue
        if all(child is None or type(child) is ACCUMULATE for child, _ in node.next_functions):
            number = sequence_number(node)
            if number > newest:
                newest, found = number, node
    return [] if found is None else [found]


def _old(node: Any, owner: object, step: int) -> int:
    """The step before the last whose mark a node bears, -1 for none."""
    if type(node) is ACCUMULATE:
        return -1
    token = node.metadata.get(KEY)
    return (
        token.step if token is not None and token.owner is owner and token.step < step - 1 else -1
    )


def holder(
    recorder: "Recorder", owner: object, step: int
) -> tuple[str, str, Site | None, Site | None, int]:
    """What keeps old graphs alive: (form, the user's name, the line that keeps them, the line that
    made what is kept, nodes).

    ``form`` is sum (one tensor whose graph has grown over them), state (one that a forward gave
    out, whose graph goes on into those before), list, dict, deque (which has a bound), attribute,
    or '' where nothing was found.
    """
    found: list[tuple[int, int, torch.Tensor]] = []
    tensors = [
        thing
        for thing in gc.get_objects()
        if type(thing) is torch.Tensor and thing.grad_fn is not None
    ]
    for tensor in tensors:
        old, nodes = _old_in(tensor, owner, step)
        if old:
            found.append((old, nodes, tensor))
    del tensors
    if not found:
        return "", "", None, None, 0
    old, nodes, tensor = max(found, key=lambda each: each[0])
    if old >= RISING - 1:
        number = sequence_number(tensor.grad_fn)
        name = _name(recorder, tensor)
        if recorder.forwards.of(number) >= 0:
            made = _made_at(recorder, number)
            return "state", name, made, made, nodes
        where = recorder.detail.site_of(number) or kept_at(recorder, "sum", "", None)
        if where is None and name:  # of several sums the one of this name
            where = kept_at(recorder, "sum", name.rpartition(".")[2], None)
        return "sum", name, where, None, nodes
    held = [tensor for _, _, tensor in found]
    nodes = sum(count for _, count, _ in found)
    del found
    numbers = sorted(sequence_number(tensor.grad_fn) for tensor in held)
    sites = (_made_at(recorder, number) for number in numbers)
    made = next((site for site in sites if site is not None), None)
    form, name = _container(recorder, held)
    return form, name, kept_at(recorder, form, name.rpartition(".")[2], made), made, nodes


def _made_at(recorder: "Recorder", number: int) -> Site | None:
    """The line that made a node, or called the model that did."""
    forward = recorder.forwards.of(number)
    site = recorder.forwards.sites.get(forward) if forward >= 0 else None
    return site or recorder.detail.site_of(number)


def _old_in(tensor: torch.Tensor, owner: object, step: int) -> tuple[int, int]:
    """How many earlier steps' marks a tensor's graph reaches, and its nodes."""
    steps: set[int] = set()
    seen: set[Any] = {tensor.grad_fn}
    queue: list[Any] = [tensor.grad_fn]
    for node in queue:
        if type(node) is ACCUMULATE:
            continue
        marked = _old(node, owner, step)
        if marked >= 0:
            steps.add(marked)
        if len(queue) < MOST_NODES:
            for child, _ in node.next_functions:
                if child is not None and child not in seen:
                    seen.add(child)
                    queue.append(child)
    return len(steps), len(queue)


def _container(recorder: "Recorder", held: list[torch.Tensor]) -> tuple[str, str]:
    """What kind of thing holds most of these tensors, and its name where the program's globals or
    an object know it."""
    del held[32:]
    ids = set(map(id, held))
    mark = object()  # Python 3.13 finds the tuple of this call's arguments, too
    holders = [
        thing
        for thing in gc.get_referrers(*held, mark)  # goes through all objects there are: once
        if thing is not held
        and isinstance(thing, (list, dict, deque, tuple))
        and not (isinstance(thing, tuple) and thing[-1] is mark)
    ]
    if not holders:
        return "", ""

    def count(thing: Any) -> int:
        kept = list(thing.values() if isinstance(thing, dict) else thing)
        return len(ids.intersection(map(id, kept)))

    thing = max(holders, key=count)
    if isinstance(thing, deque):
        return ("deque" if thing.maxlen is not None else "list"), _name(recorder, thing)
    if isinstance(thing, tuple):  # a list of tuples
        outer = [
            each
            for each in gc.get_referrers(thing)
            if isinstance(each, (list, deque)) and each is not holders
        ]
        bounded = any(isinstance(each, deque) and each.maxlen is not None for each in outer)
        return ("deque" if bounded else "list"), _name(recorder, outer[0]) if outer else ""
    del holders
    return ("list" if isinstance(thing, list) else "dict"), _name(recorder, thing)


def _name(recorder: "Recorder", thing: Any) -> str:
    """A global variable, or an attribute of an object, that is this very thing."""
    frame = recorder.places.frame(1)
    while frame is not None:
        if recorder.places.owns(frame.f_code):
            for name, value in list(frame.f_globals.items()):
                if value is thing:
                    return name
        frame = frame.f_back
    for table in gc.get_referrers(thing):
        if isinstance(table, dict) and "__name__" not in table:
            for name, value in list(table.items()):
                if value is thing and isinstance(name, str):
                    return name
        elif type(table).__module__ != "builtins" and type(table).__dictoffset__:
            # from Python 3.11 on an object may hold its attributes without a dictionary
            for name, value in list(vars(table).items()):
                if value is thing:
                    return name
    return ""
