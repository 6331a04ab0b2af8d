"""Values: norms, losses and flags, queued as tensors while the program runs and read later."""

import math
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling

from steplens.model.event import Faint, Origin, Step, Units, Values
from steplens.record.account import Account
from steplens.record.graph import Walk
from steplens.record.likeness import Likeness
from steplens.record.norms import differences, near, norms, readable, resample, sample, share, sizes
from steplens.record.origin import Origins, Suspect
from steplens.record.readings import Finite, Latest, Reading, latest
from steplens.record.unfinite import NAMED, Unfinite
from steplens.record.units import Activations, units
from steplens.record.wrap import note

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

FAINT = 1e-8  # of the largest gradient
THREADS = 256  # whose newest backward is remembered
FORCED = 50  # looks out of turn


class Queue:
    """Reads values when the Cadence allows it, and a step or more after they were made on a GPU.

    A look reads gradient, weight and update norms; a flag only whether gradients are finite. The
    loss is read at every backward where that waits for nothing (on the CPU). A parameter that is
    not finite stays so, and is found at the latest by the next look.
    """

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        self.origins = Origins(recorder)
        self.activations = Activations(recorder)
        self.likeness = Likeness(recorder)
        self.waiting: deque[Reading] = deque()
        self.unfinite = Unfinite(recorder, self)
        self.threads: dict[int, Latest] = {}
        self.highest = -math.inf  # the largest loss at a look
        self.forced = 0

    loss: float | None = latest("loss")
    loss_step: int = latest("step")
    pending: Origin | None = latest("pending")
    suspects: list[Suspect] = latest("suspects")
    due: int = latest("due")

    def newest(self) -> Latest:
        """Of this thread: several may train models of their own."""
        thread = self.recorder.underway.whose()
        found = self.threads.get(thread)
        if found is None:
            if len(self.threads) >= THREADS:
                self.threads.pop(next(iter(self.threads)), None)
            found = self.threads[thread] = Latest()
        return found

    def guarded(self, work: Callable[[], Any]) -> Any:
        """Run a piece of our own work with torch, unheard, its cost counted, its faults caught."""
        recorder = self.recorder
        if "values" in recorder.off or is_compiling():
            return None
        began = perf_counter()
        try:
            with recorder.quiet(), torch.no_grad():
                return work()
        except Exception as error:
            note(recorder, "values", error)
            return None
        finally:
            recorder.cadence.spend(perf_counter() - began)

    # -- backward -----------------------------------------------------------------------------

    def before_backward(self, walk: Walk, roots: list[torch.Tensor], leaves: list[Account]) -> None:
        """The graph is complete and not yet freed."""
        root = roots[0] if len(roots) == 1 and roots[0].numel() == 1 else None
        if self.recorder.scaling.on:
            root = None  # a GradScaler has multiplied it
        newest, cadence = self.newest(), self.recorder.cadence
        newest.loss, newest.tensor = None, None
        if root is not None and cadence.may_read(root) and readable(root):
            newest.loss = loss = root.item().real  # at a look it waits for the device
            if not math.isfinite(loss):
                self.guarded(lambda: self.unfinite.loss(walk, leaves))
            else:
                newest.step = self.recorder.step
                self._risen(loss)
        if not (cadence.looking or cadence.flagging):
            return
        if root is not None and newest.loss is None and readable(root):
            newest.tensor = root.detach()
        self.guarded(lambda: self._before_backward(walk))

    def _risen(self, loss: float) -> None:
        """Look at a step whose loss has risen so far, and at the next: gradients may explode."""
        if self.recorder.cadence.looking:
            self.highest = max(self.highest, loss)
        elif loss > self.most():
            self.highest, self.forced, self.newest().due = loss, self.forced + 1, 2

    def most(self) -> float:
        """The largest loss that is no reason to look: twice the largest so far."""
        return max(self.highest, 2 * self.highest) if self.forced < FORCED else math.inf

    def _before_backward(self, walk: Walk) -> None:
        found = self.origins.suspects(walk)
        self.origins.remember(walk)
        if found and len(self.suspects) < 256:
            self.origins.measure(walk, found)
            self.suspects += found
        if self.recorder.cadence.looking:
            self.activations.look(walk)
            self.likeness.reached(walk)

    # -- step ---------------------------------------------------------------------------------

    def before_step(
        self, optimizer: Any, number: int, accounts: list[Account], closure: bool
    ) -> Reading | None:
        """Gradients are as the step will use them; after a closure they are read when it ends."""
        cadence = self.recorder.cadence
        if not (cadence.looking or cadence.flagging):
            newest = self.newest()
            if newest.due <= 0 and newest.pending is None:
                return None
        if hasattr(optimizer, "found_inf") or self.unfinite.of(number).told:
            return None  # a GradScaler lets the fused step itself decide
        reading: Reading | None = self.guarded(
            lambda: self._before_step(optimizer, number, accounts, closure)
        )
        return reading

    def _before_step(
        self, optimizer: Any, number: int, accounts: list[Account], closure: bool
    ) -> Reading:
        newest = self.newest()
        reading = Reading(number, self.recorder.cadence.looking or newest.due > 0)
        newest.due = max(0, newest.due - 1)
        reading.all, reading.closure = accounts, closure
        if not closure:
            self._gradients(reading, accounts)
        if reading.full:
            rates = all(float(group.get("lr", 1.0)) > 0 for group in optimizer.param_groups)
            reading.twins = self.likeness.look(accounts, rates)
            held = [(account.number, account.ref()) for account in accounts]
            able = [(n, t) for n, t in held if t is not None and readable(t) and t.numel()]
            reading.most = share([tensor for _, tensor in able])
            reading.copies = [(n, tensor, sample(tensor, reading.most)) for n, tensor in able]
        return reading

    def _gradients(self, reading: Reading, accounts: list[Account]) -> None:
        gradients: list[torch.Tensor] = []
        for account in accounts:
            tensor = account.ref()
            gradient = tensor.grad if tensor is not None else None
            if gradient is not None and readable(gradient):
                reading.accounts.append(account)
                gradients.append(gradient)
        reading.vector.put("gradients", norms(gradients))

    def after_step(self, reading: Reading | None, event: Step, accounts: list[Account]) -> None:
        """The step has ended and been told: send its values off, read what has arrived."""
        if reading is not None:
            self.guarded(lambda: self._after_step(reading, event, accounts))
        self.turned()
        if self.waiting:
            self.guarded(lambda: self.read(wait=False))

    def turned(self) -> None:
        """What was suspected of a step's graphs is over with it."""
        newest = self.newest()
        newest.suspects, newest.pending = [], None

    def _after_step(self, reading: Reading, event: Step, accounts: list[Account]) -> None:
        reading.of, reading.step, reading.site = event.index, event.step, event.site
        newest = self.newest()
        reading.suspects, reading.loss = newest.suspects, newest.loss
        reading.pending = newest.pending
        vector = reading.vector
        if "gradients" not in vector.spans:
            self._gradients(reading, accounts)
        if newest.tensor is not None:
            vector.put("loss", [newest.tensor])
        if reading.full:
            now = [resample(tensor, reading.most) for _, tensor, _ in reading.copies]
            was = [copy for _, _, copy in reading.copies]
            vector.put("weights", norms(now))
            vector.put("updates", norms(differences(now, was)))
            reading.sized = [number for number, _, _ in reading.copies]
            counted = self.activations.counts([a.number for a in accounts], event.step)
            reading.living = [(number, alive) for number, alive, _ in counted]
            vector.put("living", [count.float() for _, _, count in counted])
        reading.copies = []
        vector.send()
        if vector.ready is None and (vector.held is None or near(vector.held)):
            self._arrived(reading, immediate=True)
        else:
            self.waiting.append(reading)

    # -- reading ------------------------------------------------------------------------------

    def read(self, wait: bool) -> None:
        """Tell of the readings that have arrived; ``wait`` for those that have not."""
        with self.recorder.lock:  # readings are told in the order of their steps
            while self.waiting:
                first = self.waiting[0]
                if not wait and (
                    first.step >= self.recorder.step - 1 or not first.vector.arrived()
                ):
                    return
                self._arrived(self.waiting.popleft(), immediate=False)

    def _arrived(self, reading: Reading, immediate: bool) -> None:
        values = reading.vector.read()
        finite = self.unfinite.of(reading.number)
        finite.looks += reading.full
        gradients = values["gradients"]
        loss = (
            reading.loss if reading.loss is not None else next(iter(values.get("loss", ())), None)
        )
        total = math.hypot(*gradients) if gradients else 0.0
        weights = values.get("weights", [])
        suspicious = not math.isfinite(total) or not math.isfinite(math.fsum(weights))
        bad_loss = not reading.closure and loss is not None and not math.isfinite(loss)
        if finite.told:
            return
        if (suspicious or bad_loss) and self.unfinite.suspicion(
            reading, gradients, loss, finite, immediate
        ):
            return
        if math.isfinite(total):
            finite.step, finite.norm = reading.step + 1, total
        if reading.full:
            self.recorder.emit(self._full(reading, values, loss, total, finite))

    def _full(
        self,
        reading: Reading,
        values: dict[str, list[float]],
        loss: float | None,
        total: float,
        finite: Finite,
    ) -> Values:
        gradients = values["gradients"]
        place = max(range(len(gradients)), key=gradients.__getitem__, default=-1)
        most = gradients[place] if gradients else 0.0
        faint = [
            Faint(account.number, norm)
            for account, norm in zip(reading.accounts, gradients, strict=True)
            if norm <= FAINT * most
        ]
        ratios = [
            update / weight
            for update, weight in zip(values["updates"], values["weights"], strict=True)
            if weight > 0 and math.isfinite(update / weight)
        ]
        found: list[Units] = [
            units(number, alive, living)
            for (number, alive), living in zip(reading.living, values["living"], strict=True)
            if 2 * living < alive.last.numel()
        ]
        recorder = self.recorder
        ok = loss is not None and math.isfinite(loss)
        return Values(
            recorder.index(),
            reading.step + 1,
            reading.site,
            reading.of,
            reading.number,
            loss=loss if ok else None,
            loss_finite=ok or loss is None,
            gradient=total if math.isfinite(total) else None,
            full=True,
            tensors=len(gradients),
            largest=reading.accounts[place].number if gradients else -1,
            largest_norm=most if math.isfinite(most) else 0.0,
            faint=tuple(faint[:NAMED]) if most > 0 else (),
            ratio=max(ratios, default=None),
            units=tuple(found),
            twins=reading.twins,
            looks=finite.looks,
            sizes=sizes([a.number for a in reading.accounts], reading.sized, values),
        )

    def finish(self) -> None:
        """The run is over: read what is still on its way."""
        self.guarded(lambda: self.read(wait=True))
        self.guarded(self.unfinite.last)
        self.guarded(self.unfinite.recovered)
