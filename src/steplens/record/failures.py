"""Probe of torch's autograd errors: what was going on when a backward failed."""

import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Failure, Forward
from steplens.model.site import Site
from steplens.record import members
from steplens.record.breaks import break_line
from steplens.record.graph import Walk, sequence_number
from steplens.record.overwritten import overwritten
from steplens.record.recent import newest_first

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

KINDS = {
    "no-graph": re.compile(r"does not require grad and does not have a grad_fn"),
    "second-backward": re.compile(r"backward through the graph a second time"),
    "overwritten": re.compile(r"modified by an inplace operation"),
}
DECORATED = torch.no_grad()(lambda: None).__code__  # torch's wrapper around a decorated function
EARLIER = 8  # backward passes whose nodes are remembered


class Failures:
    """The facts about the last failed backward, kept until it is known whether the program dies of
    it."""

    def __init__(self) -> None:
        self.error = 0  # id of the exception
        self.facts: dict[str, Any] = {}
        self.earlier: deque[tuple[int, Sequence[int]]] = deque(maxlen=EARLIER)
        self.forward: Forward | None = None  # the newest one
        self.recorded: Forward | None = None  # the newest one that made a graph
        self.decorated: Site | None = None  # the function in which the newest one ran without grad


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Nothing to wrap: the probes of forwards and backward passes tell of what happens."""
    return []


def classify(error: BaseException) -> str:
    """Which of torch's autograd errors this is, '' for any other."""
    text = str(error) if isinstance(error, RuntimeError) else ""
    return next((name for name, pattern in KINDS.items() if pattern.search(text)), "")


def ran(recorder: "Recorder", event: Forward) -> None:
    """A forward has ended."""
    failures = recorder.failures
    failures.forward = event
    failures.decorated = None
    if event.recorded:
        failures.recorded = event
    elif not event.grad:
        failures.decorated = _decorated(recorder)


def _decorated(recorder: "Recorder") -> Site | None:
    """The innermost running function of the user's that switches recording off by a decorator."""
    frame = sys._getframe(3)
    outer = frame.f_back
    while outer is not None:
        if outer.f_code is DECORATED and recorder.places.owns(frame.f_code):
            return recorder.places.line(frame.f_code, frame.f_code.co_firstlineno)
        frame, outer = outer, outer.f_back
    return None


def passed(recorder: "Recorder", index: int, numbers: list[int]) -> None:
    """Remember which nodes a backward went through."""
    recorder.failures.earlier.append((index, numbers))


def failed(recorder: "Recorder", roots: Iterable[torch.Tensor], error: BaseException) -> None:
    """A backward raised: keep what explains it."""
    kind = classify(error)
    if not kind:
        return
    facts: dict[str, Any] = {}
    walk = Walk(roots)
    with recorder.quiet():
        if kind == "no-graph":
            facts = _no_graph(recorder)
        elif kind == "second-backward":
            facts = _second(recorder, walk)
        else:
            facts = overwritten(recorder, walk)
    recorder.failures.error = id(error)
    recorder.failures.facts = facts | {"explains": kind, "at": recorder.site()}


# -- no graph ---------------------------------------------------------------------------------


def _no_graph(recorder: "Recorder") -> dict[str, Any]:
    """A forward with a graph since the last backward means that the graph was cut later on; else
    the newest forward had none."""
    failures = recorder.failures
    newest, recorded = failures.forward, failures.recorded
    before = failures.earlier[-1][0] if failures.earlier else -1
    if recorded is not None and recorded.index > before:
        found = _cut(recorder, recorded)
        if found or newest is recorded:
            return {"how": "cut", "cause": recorded.index} | found
    if newest is None:
        return {}
    if not newest.grad:
        return {"how": "no-grad", "cause": newest.index, "where": failures.decorated}
    if newest.recorded:
        return {}
    return {"cause": newest.index} | _without(recorder, newest)


def _cut(recorder: "Recorder", forward: Forward) -> dict[str, Any]:
    frame = recorder.places.frame(1)
    if frame is None or forward.site is None:
        return {}
    found = break_line(frame, forward.site)
    if found is None:
        return {}
    file, cell = recorder.places.file(frame.f_code.co_filename)
    name = frame.f_code.co_qualname
    site = Site(file, found.line, found.column, found.line, found.end_column, name, cell)
    return {"where": site, "detail": found.how}


def _without(recorder: "Recorder", forward: Forward) -> dict[str, Any]:
    """Why a forward with recording on has made no graph: a part of it ran without, or nothing in it
    requires grad."""
    module = recorder.census.module_at(forward.module)
    if module is None:
        return {}
    for child in members.modules(module):
        code = getattr(type(child).forward, "__code__", None)
        inner = getattr(type(child).forward, "__wrapped__", None)
        if code is DECORATED and inner is not None and recorder.places.owns(inner.__code__):
            site = recorder.places.line(inner.__code__, inner.__code__.co_firstlineno)
            return {"how": "no-grad", "where": site}
    if forward.without_grad:
        return {"how": "no-grad"}
    if not any(parameter.requires_grad for parameter in members.parameters(module)):
        return {"how": "frozen"}
    return {}


# -- a second time ----------------------------------------------------------------------------


def _second(recorder: "Recorder", walk: Walk) -> dict[str, Any]:
    """The newest earlier backward through nodes of this graph, and where these entered it."""
    numbers = set(walk.sequence()) - {-1}
    for index, held in newest_first(recorder.failures.earlier):
        shared = numbers.intersection(held)
        if not shared:
            continue
        facts: dict[str, Any] = {"cause": index, "detail": f"{len(shared)} of {len(numbers)}"}
        facts["made"] = made_at(recorder, max(shared))
        if len(shared) == len(numbers):
            return facts | {"how": "whole"}
        entered = [
            sequence_number(node)
            for node in walk.nodes
            if sequence_number(node) in numbers - shared
            and any(sequence_number(child) in shared for child, _ in node.next_functions)
        ]
        return facts | {"where": made_at(recorder, min(entered)) if entered else None}
    return {}


def made_at(recorder: "Recorder", number: int) -> Site | None:
    """The line that made the graph node of this sequence number; where lines were not followed, the
    forward in which it was made."""
    site = recorder.detail.site_of(number)
    return site or recorder.forwards.sites.get(recorder.forwards.of(number))


# -- the end ----------------------------------------------------------------------------------


def died(recorder: "Recorder", error: BaseException, site: Site | None) -> None:
    """The program ends with this exception: say so, with what was learnt of it."""
    failures = recorder.failures
    chain: BaseException | None = error
    while chain is not None and id(chain) != failures.error:
        chain = chain.__cause__ or chain.__context__
    facts = dict(failures.facts) if chain is not None and failures.error else {}
    try:
        message = str(error)
    except Exception as broken:
        message = f"(its text cannot be read: {type(broken).__name__})"
    at = facts.pop("at", None) or site
    index, kind = recorder.index(), type(error).__name__
    recorder.emit(Failure(index, recorder.step, at, kind, message[:2000], **facts))
