"""Probe of learning-rate schedulers."""

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import lr_scheduler

from steplens.model.event import Made, Schedule
from steplens.model.roster import SchedulerEntry
from steplens.record.falls import Falls
from steplens.record.layouts import numbers_of
from steplens.record.levelled import about_to_level
from steplens.record.naming import made_as, spots
from steplens.record.numbers import Numbers
from steplens.record.optim import rates
from steplens.record.plain import plain
from steplens.record.plateaus import Plateaus
from steplens.record.step_calls import StepCalls
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LENGTHS = {
    "OneCycleLR": "total_steps",
    "CosineAnnealingLR": "T_max",
    "LinearLR": "total_iters",
    "PolynomialLR": "total_iters",
    "ConstantLR": "total_iters",
}


class Progress(threading.local):
    """What a thread is in the midst of."""

    def __init__(self) -> None:
        self.depth = 0  # constructors and steps of schedulers entered
        self.running: list[Any] = []  # schedulers whose step is running, outermost first


class Scalers:
    """What the schedulers of the run are doing."""

    def __init__(self) -> None:
        self.numbers: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.counts: dict[int, int] = {}
        self.given = Numbers()
        self.progress = Progress()
        self.own: set[type] = set()  # classes with a step of their own that is wrapped
        self.calls: StepCalls | None = None
        self.plateaus = Plateaus()
        self.falls = Falls()


def expect(recorder: "Recorder") -> None:
    """Note where the user's code would step the schedulers that have not stepped."""
    scalers = recorder.scaler
    for number, entry in list(recorder.roster.schedulers.items()):
        if entry.parent < 0 and not scalers.counts.get(number):
            if scalers.calls is None:
                scalers.calls = StepCalls(recorder.places)
            entry.calls = scalers.calls.of(entry.label)


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear schedulers being made and stepped; the step of a class of the user's is wrapped when
    one of it is made."""
    base = lr_scheduler.LRScheduler
    classes = [
        kind
        for kind in vars(lr_scheduler).values()
        if isinstance(kind, type) and issubclass(kind, base) and "step" in vars(kind)
    ]
    made = [
        kind
        for kind in vars(lr_scheduler).values()
        if isinstance(kind, type) and issubclass(kind, base) and "__init__" in vars(kind)
    ]
    scalers = recorder.scaler
    scalers.own = {*classes}
    removals = [_hear_step(recorder, kind) for kind in dict.fromkeys(classes)]
    removals += [
        around(recorder, "schedule", kind, "__init__", *_made(recorder))
        for kind in dict.fromkeys(made)
    ]
    return removals


def _hear_step(recorder: "Recorder", kind: type) -> Callable[[], None]:
    return around(recorder, "schedule", kind, "step", *_stepped(recorder), calm=True)


def _hear_own_step(recorder: "Recorder", scheduler: Any) -> None:
    """A class that overrides ``step`` need not call torch's."""
    for kind in type(scheduler).__mro__:
        if kind in recorder.scaler.own:
            return
        if "step" in vars(kind):
            recorder.scaler.own.add(kind)
            recorder.removals.append(_hear_step(recorder, kind))
            return


def _made(recorder: "Recorder") -> tuple[Callable[..., Any], ...]:
    progress = recorder.scaler.progress

    def before(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
        outermost, progress.depth = not progress.depth, progress.depth + 1
        return scheduler, about_to_level(scheduler, args, kwargs) if outermost else ()

    def after(token: Any, _: Any) -> None:
        progress.depth -= 1
        if progress.depth == 0:
            scheduler, before = token
            number = _number(recorder, scheduler)
            recorder.roster.schedulers[number].levelled = before
            _hear_own_step(recorder, scheduler)
            for child in getattr(scheduler, "_schedulers", ()):
                recorder.roster.schedulers[_number(recorder, child)].parent = number
            recorder.emit(
                Made(recorder.index(), recorder.step, recorder.site(), "scheduler", number)
            )

    def failed(token: Any, error: BaseException) -> None:
        progress.depth -= 1

    return before, after, failed


def _number(recorder: "Recorder", scheduler: Any) -> int:
    known = recorder.scaler.numbers.get(id(scheduler))
    if known is not None and known[0]() is scheduler:
        return known[1]
    scalers, key, site = recorder.scaler, id(scheduler), recorder.site()
    kind = type(scheduler).__name__
    number, again = scalers.given.take((kind, site))
    if again:
        scalers.counts.pop(number, None)
        scalers.falls.known.pop(number, None)

    def gone(_: Any) -> None:
        scalers.numbers.pop(key, None)
        scalers.given.give_back(number)

    scalers.numbers[key] = (weakref.ref(scheduler, gone), number)
    optimizer = getattr(scheduler, "optimizer", None)
    place = recorder.census.optimizer(optimizer) if optimizer is not None else -1
    options: dict[str, float | int | bool | str | None] = {
        key: known
        for key, value in vars(scheduler).items()
        if (known := plain(value)) is not None and not key.startswith("_")
    }
    milestones = getattr(scheduler, "milestones", None)
    if kind == "MultiStepLR" and milestones:
        options |= {"first_milestone": min(milestones), "last_milestone": max(milestones)}
    base = {*getattr(scheduler, "base_lrs", ())}
    if kind == "LambdaLR" and len(base) == 1:
        options["base"] = plain(base.pop())
    children = getattr(scheduler, "_schedulers", None)
    if kind == "SequentialLR" and children:
        options["last"] = type(children[-1]).__name__
    recorder.roster.schedulers[number] = SchedulerEntry(
        number,
        kind,
        made_as(spots(recorder.places)),
        place,
        _length(scheduler),
        site,
        options,
        numbers=numbers_of(getattr(scheduler, "lr_lambdas", ())) if kind == "LambdaLR" else (),
    )
    return number


def _length(scheduler: Any) -> int:
    """How many steps a schedule is laid out for, 0 where it has no end."""
    kind = type(scheduler).__name__
    if kind == "SequentialLR" and scheduler._schedulers and scheduler._milestones:
        last = _length(scheduler._schedulers[-1])
        return int(scheduler._milestones[-1]) + last if last else 0
    return int(getattr(scheduler, LENGTHS[kind], 0) or 0) if kind in LENGTHS else 0


def _stepped(recorder: "Recorder") -> tuple[Callable[..., Any], ...]:
    progress = recorder.scaler.progress

    def before(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
        progress.depth += 1
        outer = progress.running[0] if progress.running else scheduler
        if outer is not scheduler:
            number = _number(recorder, outer)
            recorder.roster.schedulers[_number(recorder, scheduler)].parent = number
        progress.running.append(scheduler)
        plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
        epoch = kwargs.get("epoch", args[0] if args and not plateau else None)
        metric = before_cut = None
        if plateau:
            metric = _number_of(kwargs.get("metrics", args[0] if args else None))
            before_cut = rates(scheduler.optimizer.param_groups)
        return scheduler, epoch is not None, _number_of(epoch), metric, before_cut

    def after(token: Any, _: Any) -> None:
        leave()
        if not progress.depth:
            _tell(recorder, *token[:3])
            _, _, _, metric, before_cut = token
            if before_cut is not None:
                scheduler = token[0]
                now = rates(scheduler.optimizer.param_groups)
                number = _number(recorder, scheduler)
                plateaus = recorder.scaler.plateaus
                plateaus.given(recorder.roster.schedulers[number], metric, now)
                plateaus.stepped(recorder, scheduler, number, metric, now < before_cut)

    def failed(token: Any, error: BaseException) -> None:
        leave()

    def leave() -> None:
        progress.depth -= 1
        progress.running.pop()

    return before, after, failed


def _number_of(epoch: Any) -> float | None:
    """An epoch or a metric that was given. Reading it waits for the device, as torch's own does."""
    if isinstance(epoch, torch.Tensor):
        readable = epoch.numel() == 1 and epoch.device.type != "meta" and not epoch.is_complex()
        return float(epoch.detach()) if readable else None
    known = plain(epoch)
    return float(known) if isinstance(known, (int, float)) else None


def _tell(recorder: "Recorder", scheduler: Any, given: bool, epoch: float | None) -> None:
    number = _number(recorder, scheduler)
    count = recorder.scaler.counts[number] = recorder.scaler.counts.get(number, 0) + 1
    entry = recorder.roster.schedulers[number]
    optimizer = getattr(scheduler, "optimizer", None)
    lrs = rates(optimizer.param_groups) if optimizer is not None else ()
    recorder.emit(
        Schedule(
            recorder.index(),
            recorder.step,
            recorder.site(),
            number,
            entry.optimizer,
            count,
            lrs,
            given,
            epoch,
            recorder.scaler.falls.stepped(number, count, lrs),
        )
    )
