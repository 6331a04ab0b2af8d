"""Probe of learning-rate schedulers."""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch.optim import lr_scheduler

from steplens.model.event import Made, Schedule
from steplens.model.roster import SchedulerEntry
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


class Scalers:
    """What the schedulers of the run are doing."""

    def __init__(self) -> None:
        self.numbers: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.counts: dict[int, int] = {}
        self.depth = 0


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear schedulers being made and stepped."""
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
    removals = [
        around(recorder, "schedule", kind, "step", *_stepped(recorder))
        for kind in dict.fromkeys(classes)
    ]
    removals += [
        around(recorder, "schedule", kind, "__init__", *_made(recorder))
        for kind in dict.fromkeys(made)
    ]
    return removals


def _made(recorder: "Recorder") -> tuple[Callable[..., Any], ...]:
    scalers = recorder.scaler

    def before(scheduler: Any, *_: Any, **__: Any) -> Any:
        scalers.depth += 1
        return scheduler

    def after(scheduler: Any, _: Any) -> None:
        scalers.depth -= 1
        if scalers.depth == 0:
            number = _number(recorder, scheduler)
            recorder.emit(
                Made(recorder.index(), recorder.step, recorder.site(), "scheduler", number)
            )

    def failed(scheduler: Any, error: BaseException) -> None:
        scalers.depth -= 1

    return before, after, failed


def _number(recorder: "Recorder", scheduler: Any) -> int:
    known = recorder.scaler.numbers.get(id(scheduler))
    if known is not None and known[0]() is scheduler:
        return known[1]
    number = len(recorder.roster.schedulers)
    recorder.scaler.numbers[id(scheduler)] = (weakref.ref(scheduler), number)
    optimizer = getattr(scheduler, "optimizer", None)
    place = recorder.census.optimizer(optimizer) if optimizer is not None else -1
    kind = type(scheduler).__name__
    length = getattr(scheduler, LENGTHS.get(kind, ""), 0) if kind in LENGTHS else 0
    options: dict[str, float | int | bool | str | None] = {
        key: value
        for key, value in vars(scheduler).items()
        if isinstance(value, (int, float, str, bool)) and not key.startswith("_")
    }
    recorder.roster.schedulers[number] = SchedulerEntry(
        number, kind, "", place, int(length or 0), recorder.site(), options
    )
    return number


def _stepped(recorder: "Recorder") -> tuple[Callable[..., Any], ...]:
    scalers = recorder.scaler

    def before(scheduler: Any, *_: Any, **__: Any) -> Any:
        scalers.depth += 1
        return scheduler

    def after(scheduler: Any, _: Any) -> None:
        scalers.depth -= 1
        if scalers.depth:
            return
        number = _number(recorder, scheduler)
        count = scalers.counts[number] = scalers.counts.get(number, 0) + 1
        entry = recorder.roster.schedulers[number]
        optimizer = getattr(scheduler, "optimizer", None)
        lrs = (
            tuple(float(group["lr"]) for group in optimizer.param_groups)
            if optimizer is not None
            else ()
        )
        recorder.emit(
            Schedule(
                recorder.index(),
                recorder.step,
                recorder.site(),
                number,
                entry.optimizer,
                count,
                lrs,
            )
        )

    def failed(scheduler: Any, error: BaseException) -> None:
        scalers.depth -= 1

    return before, after, failed
