"""Unfinite: tells of losses, gradients and parameters that are not finite, and of what made them
so."""

import math
from typing import TYPE_CHECKING

from steplens.model.event import Origin, Values
from steplens.model.newest import Newest
from steplens.record.account import Account
from steplens.record.graph import Walk
from steplens.record.norms import Vector, norms, readable
from steplens.record.readings import Finite, Reading, is_finite, spoiled

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.values import Queue

NAMED = 64  # tensors named in one event


class Unfinite:
    """Judges what the Queue has read. A parameter that is not finite is told once."""

    def __init__(self, recorder: "Recorder", queue: "Queue") -> None:
        self.recorder = recorder
        self.queue = queue
        self.finite = Newest[int, Finite](1024)  # of thousands of short-lived optimizers
        self.broken: list[tuple[int, list[Account]]] = []  # optimizer -> tensors that were spoilt

    def of(self, number: int) -> Finite:
        """What is known of an optimizer's tensors."""
        found = self.finite.get(number)
        if found is None:
            found = self.finite[number] = Finite()
        return found

    def loss(self, walk: Walk, leaves: list[Account]) -> None:
        """The loss is NaN or infinite: either parameters are so already, or this forward made
        it."""
        queue, origins = self.queue, self.queue.origins
        if queue.pending is not None or self.recorder.local.stepping >= 0:
            return  # known already, or a trial point of a closure
        number = min((min(a.optimizers, default=-1) for a in leaves), default=-1)
        queue.read(wait=True)  # the step before may be the one
        finite = self.of(number)
        if finite.told:
            return
        bad = spoiled(leaves)
        if bad:
            finite.told = True
            origin = origins.blame(queue.suspects, "gradient") or origins.guess(walk)
            self._tell(-1, bad, [], finite, origin, number, leaves)
            return
        queue.newest().step = self.recorder.step
        suspects = origins.suspects(walk)
        origins.measure(walk, suspects)
        queue.newest().pending = (
            origins.blame(suspects, "forward")
            or origins.trace(walk)
            or Origin("", "forward", "", None, 0, False)
        )

    def suspicion(
        self,
        reading: Reading,
        gradients: list[float],
        loss: float | None,
        finite: Finite,
        immediate: bool,
    ) -> bool:
        """Look at the tensors themselves: a norm may overflow, and an optimizer may hold back."""
        named = [
            account
            for account, norm in zip(reading.accounts, gradients, strict=True)
            if not math.isfinite(norm)
        ]
        slopes = [
            account.number
            for account in named
            if not immediate
            or (tensor := account.ref()) is None
            or tensor.grad is None
            or not is_finite(tensor.grad)
        ]
        bad = spoiled(reading.all)
        bad_loss = not reading.closure and loss is not None and not math.isfinite(loss)
        known = immediate or reading.pending is not None  # it was read when it was made
        if not bad and not (bad_loss and known) and not (slopes and immediate):
            return False
        finite.told = bool(bad)
        if not bad and finite.noted:
            return True
        finite.noted = True
        origin = reading.pending or self.queue.origins.blame(
            reading.suspects, "forward" if bad_loss else "gradient"
        )
        self._tell(reading.of, bad, slopes, finite, origin, reading.number, reading.all, loss)
        return True

    def _tell(
        self,
        of: int,
        bad: list[int],
        slopes: list[int],
        finite: Finite,
        origin: Origin | None,
        number: int,
        accounts: list[Account],
        loss: float | None = None,
    ) -> None:
        recorder = self.recorder
        event = Values(
            recorder.index(),
            recorder.step,
            recorder.site(),
            of,
            number,
            loss=loss if loss is not None and math.isfinite(loss) else None,
            loss_finite=loss is None or math.isfinite(loss),
            bad_gradients=tuple(slopes[:NAMED]),
            bad_parameters=tuple(bad[:NAMED]),
            bad=max(len(bad), len(slopes)),
            finite_at=max(finite.step, self.queue.loss_step),
            before=finite.norm,
            origin=origin,
        )
        recorder.emit(event)
        spoilt = set(bad)
        self.broken.append((number, [a for a in accounts if a.number in spoilt]))

    def recovered(self) -> None:
        """Say of tensors that were spoilt whether the program has put them right since."""
        recorder = self.recorder
        for number, accounts in self.broken:
            alive = [account for account in accounts if account.ref() is not None]
            if alive and not spoiled(alive):
                recorder.emit(
                    Values(recorder.index(), recorder.step, None, -1, number, recovered=True)
                )

    def last(self) -> None:
        """Whether the parameters of each optimizer are finite, where its steps since the last
        reading were not looked at."""
        recorder = self.recorder
        for number, event in recorder.steps.last.items():
            finite = self.of(number)
            if finite.told or finite.noted:
                continue
            _, accounts = recorder.steps.groups.get(number, ((), []))
            held = [tensor for account in accounts if (tensor := account.ref()) is not None]
            vector = Vector()
            vector.put("weights", norms([tensor for tensor in held if readable(tensor)]))
            vector.send()
            if math.isfinite(math.fsum(vector.read()["weights"])):
                continue
            bad = spoiled(accounts)
            if bad:
                finite.told = True
                self._tell(event, bad, [], finite, None, number, accounts)
