"""Probe of GradScalers: which gradients still bear a scale, which steps were held back."""

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Scale, Step
from steplens.record.account import Account
from steplens.record.graph import sequence_number
from steplens.record.nested import tensors_in
from steplens.record.optim import accounts_of
from steplens.record.wrap import around

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


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear a GradScaler's scale, unscale_, step and update."""
    return [
        around(recorder, "scaler", torch.amp.GradScaler, how, *_scaler(recorder, how.rstrip("_")))
        for how in ("scale", "unscale_", "step", "update")
    ]


def _scaler(recorder: "Recorder", how: str) -> tuple[Callable[..., Any], ...]:
    scaling = recorder.scaling

    def before(scaler: Any, *args: Any, **kwargs: Any) -> Any:
        if not scaler.is_enabled():
            return None
        optimizer = kwargs.get("optimizer", args[0] if args else None)
        if how not in ("unscale", "step") or optimizer is None:
            return scaler, -1, (), recorder.step, False
        number = recorder.census.optimizer(optimizer)
        accounts = accounts_of(recorder, optimizer, number)
        recorder.ledger.look(accounts)
        kept = how == "unscale" and recorder.exchanges.kept(recorder)
        return scaler, number, accounts, recorder.step, kept

    def after(token: Any, result: Any) -> None:
        scaler, number, accounts, steps, kept = token
        if how in ("scale", "update"):
            scaling.on = how == "scale"
        if how == "scale":
            _scaled(recorder, scaler, result)
        elif number >= 0:  # a step unscales as well, if nobody has
            recorder.ledger.written_by_torch(accounts)
            scaling.unscaled[number] = recorder.next_index
            if kept:
                recorder.exchanges.renew(recorder)
        skipped = how == "step" and recorder.step == steps
        recorder.emit(Scale(recorder.index(), recorder.step, recorder.site(), how, number, skipped))
        if skipped:
            _skip(recorder, number, accounts)

    return before, after


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
