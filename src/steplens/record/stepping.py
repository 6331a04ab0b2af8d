"""Probe of steps, of every kind: torch's global hooks, which tell each or, while rounds are
counted, compare it; in brief (``Steady.brief``) right here."""

from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from steplens.record.closures import Evaluations
from steplens.record.counters import sequence_now
from steplens.record.optim import describe_step, step_closes, step_opens
from steplens.record.short import go_on, step_begins, step_ended
from steplens.record.silence import SILENCE, unheard
from steplens.record.wrap import note

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the steps of optimizers."""
    before, after = _steps(recorder)
    return [
        register_optimizer_step_pre_hook(before).remove,
        register_optimizer_step_post_hook(after).remove,
    ]


def _steps(  # noqa: C901  as few frames as can be
    recorder: "Recorder",
) -> tuple[Callable[..., None], Callable[..., None]]:
    steps, local, steady = recorder.steps, recorder.local, recorder.steady

    def before(optimizer: Any, args: Any, kwargs: Any) -> None:
        due = steady.due
        if due is not None and (steady.owner == get_ident() or not steady.elsewhere()):
            try:
                ref = due.ref
                if (
                    steady.brief
                    and ref() is optimizer
                    and due.form == "step"
                    and len(args) == 1
                    and not kwargs
                    and (not steady.exchanged or recorder.exchanges.due(recorder, due))
                ):
                    steady.current = due
                    if steady.on or steady.claimed(due):
                        return
                    steady.leave()
                elif step_begins(steady, due, optimizer, args, kwargs):
                    return
            except Exception as error:
                note(recorder, "steady", error)
        if recorder.active and not SILENCE.quiet:
            begins(optimizer, args, kwargs)
        else:
            recorder.captured |= recorder.paused

    @unheard
    def begins(optimizer: Any, args: Any, kwargs: Any) -> None:
        try:
            for outer in steps.pending:
                outer.inner = True
            recorder.terms.end()
            recorder.detail.trains()
            pending = step_opens(recorder, optimizer)
            given = [*args[1:], *kwargs.values()]  # torch gives the optimizer itself first
            pending.closure = any(callable(value) for value in given)
            if pending.closure:
                pending.evaluations = Evaluations(optimizer)
            describe_step(recorder, optimizer, pending, given)
            pending.look = recorder.effects.before(recorder, pending)
            pending.rounding = recorder.rounding.before(recorder, optimizer, pending)
            pending.masked = recorder.withheld.before_step(recorder, optimizer, pending)
            pending.rescaled = recorder.steps.rescaled.before_step(recorder, pending)
            pending.opposed = recorder.opposition.before(recorder, optimizer, pending)
            steps.pending.append(pending)
            pending.values = recorder.values.before_step(
                optimizer, pending.number, pending.accounts, pending.closure
            )
            local.stepping = pending.number
        except Exception as error:
            note(recorder, "step", error)

    def after(optimizer: Any, args: Any, kwargs: Any) -> None:  # noqa: C901
        due = steady.due
        counted = False
        try:
            if due is not None and steady.current is due and steady.owner == get_ident():
                if steady.brief:
                    groups, rates = optimizer.param_groups, due.rates
                    if len(groups) != 1 or groups[0].get("lr") is not rates[0]:
                        rates = [group.get("lr") for group in groups]
                    if rates is due.rates or rates == due.rates or go_on(due, rates):
                        due.kept[steady.at // steady.size & 1] = due.rates = rates
                        due.unread += 1
                        steady.seq = steady.step_end = sequence_now()
                        steady.at += 1
                        steady.current = None
                        steady.due = due.next
                        counted = steady.on or steady.settled()
                        if counted:
                            step = recorder.step = recorder.census.steps = recorder.step + 1
                            if step >= steady.rouse:
                                steady.roused(due)
                    else:
                        steady.leave()
                else:
                    counted = step_ended(steady, due, optimizer)
                if counted and steady.exchanged:
                    recorder.exchanges.counted(recorder, due)
            else:
                steady.overtaken()  # perhaps just now
        except Exception as error:
            note(recorder, "steady", error)
        if counted:
            if recorder.stop_at and recorder.step >= recorder.stop_at:
                raise recorder.stop
            return
        if not steps.pending or SILENCE.quiet or not recorder.active:
            return
        try:
            ended(optimizer)
        except Exception as error:
            note(recorder, "step", error)
        if recorder.stop_at and recorder.step >= recorder.stop_at:
            raise recorder.stop

    @unheard
    def ended(optimizer: Any) -> None:
        number = recorder.census.optimizer(optimizer)
        while steps.pending and steps.pending[-1].number != number:
            steps.pending.pop()  # a step that raised
        if not steps.pending:
            return
        pending = steps.pending.pop()
        local.stepping = pending.outer
        step_closes(recorder, optimizer, pending)
        recorder.detail.step_ended()
        recorder.detail.lull.stepped()

    return before, after
