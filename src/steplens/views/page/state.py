"""State: what is known at each stop, as whole states at some stops and differences in between."""

from collections.abc import Iterable

from steplens.model import event as ev
from steplens.model.report import Report
from steplens.model.state import Change, Digest, Value
from steplens.views import values
from steplens.views.page.cast import Cast
from steplens.views.page.ledger import Ledger
from steplens.views.page.stops import Stop

EVERY = 50  # stops from one whole state to the next
LEVELS = 9  # heights of a bar in a histogram

Cell = int | float | bool | str | None


class States:
    """Cells of the state, each with a short name of its own, and their contents at each stop.

    ``p3`` is the value of tensor 3, ``g3`` its gradient, ``t3`` whether it is trainable, ``m2`` the
    mode of module 2, ``o0.3.exp_avg`` a part of an optimizer's state, ``l0.1`` the learning rate of
    its group 1, ``grad`` the grad mode. Tensors are positions in ``records``; holdings of gradients
    are kept apart, by tensor.
    """

    def __init__(self, report: Report, cast: Cast, bars: bool = True) -> None:
        self.report = report
        self.cast = cast
        self.bars = bars
        self.names: dict[str, int] = {}
        self.records: list[list[object]] = []
        self.known: dict[object, int] = {}
        self.now: dict[int, Cell] = {}
        self.ledger = Ledger()
        self.keys: list[list[object]] = []
        self.deltas: list[list[object]] = []
        self.titles = {title: number for number, title in report.roster.titles().items()}

    def run(self, found: list[Stop]) -> None:
        """Go through the stops."""
        self._begin()
        for position, stop in enumerate(found):
            before = dict(self.now)
            held = dict(self.ledger.held)
            for call in stop.calls:
                self._call(call)
            if stop.line is not None:
                self._changes(stop.line.changes)
            changed = {c: v for c, v in self.now.items() if before.get(c, "") != v}
            flat = [part for pair in changed.items() for part in pair]
            self.deltas.append([flat, self.ledger.moved(held)])
            if position % EVERY == 0:
                cells = [part for pair in self.now.items() for part in pair]
                self.keys.append([cells, self.ledger.all()])

    # -- what is put into cells -----------------------------------------------------------------

    def _begin(self) -> None:
        roster = self.report.roster
        for module in roster.modules.values():
            self._put(f"m{module.number}", module.training)
        for tensor in roster.tensors.values():
            if tensor.role == "parameter":
                self._put(f"t{tensor.number}", tensor.trainable)
        for optimizer in roster.optimizers.values():
            for group, options in enumerate(optimizer.groups):
                rate = options.get("lr")
                if isinstance(rate, int | float):
                    self._put(f"l{optimizer.number}.{group}", values.number(float(rate)))
        self._put("grad", True)
        self._changes(self.report.trail.start)
        self._first_seen()

    def _first_seen(self) -> None:
        """What the first change of a part says of the time before it."""
        first: dict[str, Change] = {}
        for event in self.report.timeline.events:
            if isinstance(event, ev.Line):
                for change in event.changes:
                    name = self._name(change)
                    if name not in first:
                        first[name] = change
        for name, change in first.items():
            if change.part in ("mode", "trainable", "grad-mode") or (
                name not in self.names and change.before is not None
            ):
                self._put(name, self._content(change, change.before))

    def _call(self, event: ev.Event) -> None:
        self.ledger.hear(event)
        if isinstance(event, ev.Mode):
            for module in event.switched:
                self._put(f"m{module}", event.training)
        elif isinstance(event, ev.GradMode):
            self._put("grad", event.enabled)
        elif isinstance(event, ev.Step | ev.Schedule):
            self._rates(event.optimizer, event.lrs)

    def _rates(self, optimizer: int, rates: Iterable[float]) -> None:
        for group, rate in enumerate(rates):
            self._put(f"l{optimizer}.{group}", values.number(rate))

    def _changes(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._put(self._name(change), self._content(change, change.after))

    def _name(self, change: Change) -> str:
        whose = change.whose
        match change.part:
            case "mode":
                number = whose.number if whose.number >= 0 else self._module(change.subject)
                return f"m{number}"
            case "grad-mode":
                return "grad"
            case "optimizer":
                if whose.key == "lr" and whose.number < 0:
                    return f"l{whose.optimizer}.{whose.group}"
                if whose.optimizer < 0:
                    return f"o?.{change.subject}"
                return f"o{whose.optimizer}.{whose.number}.{whose.key}"
            case _:
                letter = {"gradient": "g", "trainable": "t"}.get(change.part, "p")
                subject = change.subject.removesuffix(".grad") if letter == "g" else change.subject
                number = whose.number if whose.number >= 0 else self.titles.get(subject, -1)
                return f"{letter}{number}"

    def _module(self, subject: str) -> int:
        roster = self.report.roster
        named = (n for n in roster.modules if roster.module_name(n) == subject)
        return next(named, -1)

    def _content(self, change: Change, value: Value) -> Cell:
        if isinstance(value, Digest):
            return self._record(value)
        if change.part == "mode":
            return value in (True, "train")
        if change.part in ("trainable", "grad-mode") or value is None:
            return value
        return values.number(value) if not isinstance(value, bool) else value

    def _put(self, name: str, content: Cell) -> None:
        if name in self.names or self.cast.holds(name):
            self.now[self.names.setdefault(name, len(self.names))] = content

    def _record(self, digest: Digest) -> int:
        """The position of a tensor's record: values, shape, norm, zeros, non-finite, note, range
        and bars."""
        shown = None
        if digest.values is not None:
            shown = values.nested(digest.values, digest.shape)
        norm = None if digest.norm is None else values.number(digest.norm)
        record: list[object] = [
            shown, values.shape(digest), norm, digest.zeros, digest.nonfinite, digest.note,
        ]  # fmt: skip
        if digest.bars and self.bars and digest.low is not None and digest.high is not None:
            most = max(digest.bars)
            heights = "".join(str(-(-LEVELS * bar // most)) for bar in digest.bars)
            record += [values.number(digest.low), values.number(digest.high), heights]
        key = (digest.bits, *map(str, record))
        if key not in self.known:
            self.known[key] = len(self.records)
            self.records.append(record)
        return self.known[key]
