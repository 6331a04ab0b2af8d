"""Plateaus: a `ReduceLROnPlateau` that waits for a loss to rise, or for right answers to get
fewer; and what metrics one is given that has cut the rate to a thousandth."""

from math import isfinite
from typing import TYPE_CHECKING, Any

from steplens.model.event import Vain
from steplens.model.newest import Newest
from steplens.model.roster import SchedulerEntry, Sunk
from steplens.record.metrics import HITS, LOSS, kind_of
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

SCHEDULERS = 64
SUNK = 1.01e-3  # of the rate when the first metric came: three cuts to a tenth, and their rounding
LOOKS = 4  # cuts of each at which the source is read
AGAINST = {"max": LOSS, "min": HITS}  # what is not to be waited for in this mode


class Seen:
    """The metrics that one scheduler was given: how many, the least and the largest."""

    __slots__ = ("count", "low", "high", "left")

    def __init__(self) -> None:
        self.count = 0
        self.low = float("inf")
        self.high = -float("inf")
        self.left = LOOKS


class Plateaus:
    """The schedulers of this kind, by number."""

    def __init__(self) -> None:
        self.seen = Newest[int, Seen](SCHEDULERS)
        # how many metrics each was given, the first of them, and the rate then
        self.begun = Newest[int, tuple[int, float, float]](SCHEDULERS)

    def given(self, entry: SchedulerEntry, metric: float | None, rates: tuple[float, ...]) -> None:
        """It was given a metric, and left these rates: is this the thousandth part, and what are
        the metrics from then on?"""
        if metric is None or not isfinite(metric) or not rates:
            return
        rate = max(rates)
        count, first, top = self.begun.get(entry.number, (0, metric, rate))
        self.begun[entry.number] = count + 1, first, top
        sunk = entry.sunk
        if sunk is not None:
            sunk.low, sunk.high = min(sunk.low, metric), max(sunk.high, metric)
            sunk.count, sunk.total = sunk.count + 1, sunk.total + metric
        elif 0 < rate <= SUNK * top:
            entry.sunk = Sunk(count + 1, first, 1, metric, metric, metric)

    def stepped(
        self,
        recorder: "Recorder",
        scheduler: Any,
        number: int,
        metric: float | None,
        cut: bool,
    ) -> None:
        """It was given a metric, and may have cut the rate: if that was at the best one so far, by
        what the metric was computed from, tell."""
        seen = self.seen.get(number)
        if seen is None:
            seen = self.seen[number] = Seen()
        if metric is None or seen.left <= 0:
            return
        mode = getattr(scheduler, "mode", "")
        best = metric < seen.low if mode == "max" else metric > seen.high
        seen.low, seen.high = min(seen.low, metric), max(seen.high, metric)
        seen.count += 1
        if cut and best and seen.count > 2:
            seen.left -= 1
            self._read(recorder, scheduler, number, metric, mode, seen)

    def _read(
        self,
        recorder: "Recorder",
        scheduler: Any,
        number: int,
        metric: float,
        mode: str,
        seen: Seen,
    ) -> None:
        frame = recorder.places.frame(1)
        tree = syntax_tree(frame.f_code.co_filename) if frame is not None else None
        groups = scheduler.optimizer.param_groups
        if frame is None or tree is None or any(group.get("maximize") for group in groups):
            return
        kind, text = kind_of(tree, frame.f_lineno or 0, "step")
        if kind == AGAINST.get(mode):
            seen.left = 0
            entry = recorder.roster.schedulers[number]
            at = recorder.index(), recorder.step, entry.site or recorder.site()
            what = f"plateau-{kind}"
            recorder.emit(Vain(*at, what, text, entry.optimizer, metric, recorder.site()))
