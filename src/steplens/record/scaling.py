"""Probe of GradScalers: which gradients still bear a scale, which steps were held back or used such
gradients."""

import functools
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_dynamo_compiling

from steplens.model.event import Scale, Step
from steplens.record.account import Account
from steplens.record.between import scale_begins, scale_counts
from steplens.record.graph import sequence_number
from steplens.record.nested import tensors_in
from steplens.record.optim import accounts_of
from steplens.record.silence import SILENCE, unheard
from steplens.record.wrap import note, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


class Scaling(threading.local):
    """The losses that a thread has scaled, the backward passes made from them, what was unscaled
    when."""

    def __init__(self) -> None:
        self.losses: deque[int] = deque(maxlen=16)  # sequence numbers of scaled losses
        self.backwards: deque[int] = deque(maxlen=64)  # Backward events made from scaled losses
        self.scale = 65536.0  # as last looked at; torch's own first scale
        self.on = False  # between a scale and the update that ends the step
        self.stepping = 0  # a scaler's own `step` runs, which sees to the scale
        self.unscaled: dict[int, int] = {}  # optimizer -> index at which it was unscaled

    def passed(self, backward: int, numbers: list[int]) -> None:
        """A backward went through these nodes (sorted sequence numbers)."""
        if not self.losses:
            return
        for loss in self.losses:
            place = bisect_left(numbers, loss)
            if place < len(numbers) and numbers[place] == loss:
                self.backwards.append(backward)
                return

    def scaled(self, accounts: Iterable[Account]) -> bool:
        """Whether a gradient's newest contribution still bears a scale: it was made from a scaled
        loss, and neither `unscale_` nor the author has written it since."""
        if not self.backwards:
            return False
        for account in accounts:
            held = account.holding
            if not held.contributions or account.rewritten is held:
                continue
            newest = held.contributions[-1]
            if newest.used_by or newest.backward not in self.backwards:
                continue
            if all(self.unscaled.get(n, -1) < newest.backward for n in account.optimizers):
                return True
        return False

    def left_on(self, optimizer: Any, accounts: Iterable[Account]) -> float:
        """The scale that the gradients still bear when an optimizer of torch's own is stepped by
        the program itself; 0 for none. An optimizer of the program's may divide by it."""
        if not self.backwards or self.stepping:
            return 0.0
        accounts = list(accounts)
        own = type(optimizer).__module__.startswith("torch.optim")
        return self.scale if own and self.scaled(accounts) and not _hooked(accounts) else 0.0


def _hooked(accounts: Iterable[Account]) -> bool:
    """Whether hooks of the program's see the gradients while they are made: these may divide."""
    tensors = [tensor for account in accounts if (tensor := account.ref()) is not None]
    names = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return any(getattr(tensor, name, None) for tensor in tensors for name in names)


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear a GradScaler's scale, unscale_, step and update."""
    return [_calls(recorder, name) for name in ("scale", "unscale_", "step", "update")]


def _calls(recorder: "Recorder", name: str) -> Callable[[], None]:
    """Wrap a method, in as many frames whether rounds are counted or not; one of a scaler that is
    off does nothing."""
    owner, how = torch.amp.GradScaler, name.rstrip("_")
    original, steady = getattr(owner, name), recorder.steady

    @functools.wraps(original)
    def call(scaler: Any, *args: Any, **kwargs: Any) -> Any:
        off = not getattr(scaler, "_enabled", True) or "scaler" in recorder.off
        if is_dynamo_compiling() or off or not recorder.active or SILENCE.quiet:
            return original(scaler, *args, **kwargs)
        optimizer = kwargs.get("optimizer", args[0] if args else None)
        steps, kept = recorder.step, False
        try:
            if not scale_begins(steady, how, scaler, optimizer):
                kept = _begins(recorder, how, optimizer)
        except Exception as error:
            note(recorder, "scaler", error)
        scaling = recorder.scaling
        scaling.stepping += how == "step"
        try:
            result = original(scaler, *args, **kwargs)
        finally:
            scaling.stepping -= how == "step"
        try:
            due, index = steady.due, steady.origin + steady.at
            skipped = how == "step" and recorder.step == steps
            if due is not None and scale_counts(steady, how, scaler, skipped):
                _switch(recorder, how, scaler, due.event.optimizer, index, result)
            else:
                _ended(recorder, how, scaler, optimizer, steps, kept, result)
        except Exception as error:
            note(recorder, "scaler", error)
        return result

    return replace(recorder, owner, name, call)


def _held(recorder: "Recorder", how: str, optimizer: Any) -> tuple[int, list[Account]]:
    """The optimizer that is unscaled or stepped, and its tensors; -1 for another call."""
    if how not in ("unscale", "step") or optimizer is None:
        return -1, []
    number = recorder.census.optimizer(optimizer)
    return number, accounts_of(recorder, optimizer, number)


@unheard
def _begins(recorder: "Recorder", how: str, optimizer: Any) -> bool:
    recorder.ledger.look(_held(recorder, how, optimizer)[1])
    return how == "unscale" and recorder.exchanges.kept(recorder)


@unheard
def _ended(
    recorder: "Recorder", how: str, scaler: Any, optimizer: Any, steps: int, kept: bool, result: Any
) -> None:
    described = recorder.learner.describe("scale", scaler)
    number, accounts = _held(recorder, how, optimizer)
    index = recorder.index()
    if number >= 0:  # a step unscales as well, if nobody has
        recorder.ledger.written_by_torch(accounts)
        if kept:
            recorder.exchanges.renew(recorder)
    _switch(recorder, how, scaler, number, index, result)
    skipped = how == "step" and recorder.step == steps
    recorder.local.described = described
    recorder.emit(Scale(index, recorder.step, recorder.site(), how, number, skipped))
    if skipped:
        _skip(recorder, number, accounts)


def _switch(
    recorder: "Recorder", how: str, scaler: Any, number: int, index: int, result: Any
) -> None:
    """What bears a scale now, and what does not."""
    scaling = recorder.scaling
    if how in ("scale", "update"):
        scaling.on = how == "scale"
    if how == "scale":
        _scaled(recorder, scaler, result)
    elif number >= 0:
        scaling.unscaled[number] = index


def _scaled(recorder: "Recorder", scaler: Any, losses: Any) -> None:
    scaling = recorder.scaling
    if recorder.cadence.looking:
        scaling.scale = float(scaler.get_scale())
    if scaling.scale == 1.0:
        return
    for loss in tensors_in(losses):
        if loss.grad_fn is not None:
            scaling.losses.append(sequence_number(loss.grad_fn))


def _skip(recorder: "Recorder", number: int, accounts: Any) -> None:
    """A held-back step has dealt with what the gradients hold: it counts as used."""
    uses, idle, unknown = recorder.ledger.holdings(accounts)
    index, site = recorder.index(), recorder.site()
    recorder.ledger.after_step(accounts, index)
    recorder.emit(
        Step(index, recorder.step, site, number, uses, idle, unknown, 0, (), skipped=True)
    )
