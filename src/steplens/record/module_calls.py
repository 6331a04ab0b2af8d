"""Probe of module calls: the wrapper of ``Module.__call__``, which tells the outermost ones or,
while rounds are counted, compares them.

In a round that is compared in brief (``Steady.brief``) the comparing stands in the wrapper: each
further function that a step of 0.2 ms goes through costs more time to fetch than to run.
"""

import functools
from collections.abc import Callable
from contextlib import nullcontext
from threading import get_ident
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.compiler import is_compiling, is_dynamo_compiling

from steplens.record.counters import sequence_now
from steplens.record.forwards import (
    bearing,
    entered,
    heard_in,
    inner_call,
    reads_of,
    returned,
)
from steplens.record.functions import RUNNING
from steplens.record.rounds import Call
from steplens.record.short import forward_begins, forward_ended, gave
from steplens.record.silence import SILENCE
from steplens.record.underway import graph_task
from steplens.record.wrap import around, note, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

INSIDE = 2  # depth within a forward in which no module call is looked at


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear module calls, and averages of models; know a forward that ``update_bn`` runs on
    purpose."""
    return [_module_calls(recorder), *_update_bn(recorder)]


def _module_calls(recorder: "Recorder") -> Callable[[], None]:  # noqa: C901  as few frames as can be
    original = nn.Module.__call__
    local = recorder.local
    steady, rested = recorder.steady, recorder.learner.rested
    names = getattr(getattr(original, "__code__", None), "co_names", ())
    plain = names == ("_compiled_call_impl", "_call_impl")

    @functools.wraps(original)
    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:  # noqa: C901
        if is_dynamo_compiling():
            return original(self, *args, **kwargs)
        if steady.inside == get_ident():
            if plain and self._compiled_call_impl is None:
                return self._call_impl(*args, **kwargs)  # what torch's own does
            return original(self, *args, **kwargs)
        due = steady.due
        if due is None or steady.owner != get_ident():
            if local.depth == INSIDE:
                return original(self, *args, **kwargs)
            due = take_up(self) if due is None and rested.rounds and not local.depth else None
            if due is None:
                if steady.on:
                    steady.leave()
                return full(local.depth, self, args, kwargs)
        # called as methods, these would be looked up anew each time
        brief, ref, passed = steady.brief, due.ref, due.passed
        try:
            if brief and ref() is self and due.form == "forward" and self.training is due.value:
                due.seq = sequence_now()
                steady.current = due
                begins = steady.on or steady.claimed(due)
            elif brief and passed() is self:
                begins = None
            else:
                begins = forward_begins(steady, due, self, args, kwargs)
                if begins and steady.branched >= 0:  # perhaps of another round than the one due
                    brief, due = steady.brief, steady.current or due
        except Exception as error:
            note(recorder, "steady", error)
            begins = False
        if not begins:
            if begins is None:
                return original(self, *args, **kwargs)
            return full(local.depth, self, args, kwargs)
        local.depth, steady.inside = INSIDE, steady.owner
        try:
            if plain and self._compiled_call_impl is None:
                result = self._call_impl(*args, **kwargs)
            else:
                result = original(self, *args, **kwargs)
        except BaseException:
            steady.leave()
            raise
        finally:
            local.depth = steady.inside = 0
        try:
            if brief and steady.current is due:
                if steady.feeds:
                    gave(steady, result)
                steady.at += 1
                steady.current = None
                steady.due = due.next
                counted = steady.on or steady.settled()
                if counted and not steady.steps and due.next is steady.round[0]:
                    steady.rounded()
            else:
                counted = forward_ended(steady, due, result)
            if not counted:
                returned(recorder, self, steady.token, result, None)
        except Exception as error:
            note(recorder, "forward", error)
        return result

    def take_up(self: nn.Module) -> Call | None:
        try:
            return rested.take_up(recorder, "forward", self)
        except Exception as error:
            note(recorder, "steady", error)
            return None

    def full(depth: int, self: nn.Module, args: Any, kwargs: Any) -> Any:
        if is_compiling() or not recorder.active or SILENCE.quiet or graph_task() >= 0:
            return original(self, *args, **kwargs)
        if depth:
            if RUNNING.stack is not None:
                return inner_call(recorder, original, self, args, kwargs)
            return original(self, *args, **kwargs)
        reads = search = token = None
        try:
            if recorder.terms.listener is not None:
                recorder.terms.end()
            token = entered(recorder, self, args, kwargs)
            reads = reads_of(recorder, self, token) if token is not None else None
            search = recorder.hunt.begin(recorder, self) if recorder.hunt.left > 0 else None
        except Exception as error:
            note(recorder, "forward", error)
            token = local.ran = None
        if token is None:
            with search or nullcontext():
                return bearing(recorder, original, self, args, kwargs)
        asked = not self.training or local.ran is not None  # which module is running
        RUNNING.dozing, RUNNING.stack = not self.training, [self] if asked else None
        local.depth = 1 if asked else INSIDE
        try:
            with reads or nullcontext(), search or nullcontext():
                result = original(self, *args, **kwargs)
        finally:
            local.depth, RUNNING.dozing, RUNNING.stack = 0, False, None
            ran, local.ran = local.ran, None
        try:
            returned(recorder, self, token, result, ran)
            if reads is not None:
                heard_in(recorder, reads)
            _look(recorder, self, args, kwargs)
            recorder.learner.forward_ended()
            if recorder.terms.left > 0 and self.training:
                recorder.terms.listen(recorder)
        except Exception as error:
            note(recorder, "forward", error)
        return result

    return replace(recorder, nn.Module, "__call__", call)


def _update_bn(recorder: "Recorder") -> list[Callable[[], None]]:
    from torch.optim import swa_utils

    def before(_: Any = None, model: Any = None, *__: Any, **___: Any) -> Any:
        recorder.behind.averages.updated(recorder, model)
        recorder.forwards.purpose = "update_bn"
        return ()

    def after(_: Any, __: Any) -> None:
        recorder.forwards.purpose = ""

    return [
        around(recorder, "update-bn", swa_utils, "update_bn", before, after, after),
        recorder.behind.averages.install(recorder),
        recorder.behind.unfed.install(recorder),
    ]


def _look(recorder: "Recorder", module: nn.Module, args: Any, kwargs: Any) -> None:
    """What a root module was given is looked at, where something still waits for it."""
    if recorder.rows.left > 0:
        recorder.rows.look(recorder, module, args, kwargs)
    if recorder.batches.left.batch:
        recorder.batches.left.look(recorder, module.training, args, kwargs)
    if recorder.foresight.left > 0:
        recorder.foresight.forward(recorder, module, args, kwargs)
