"""Why a part of the program fares as it does: the chain of a parameter, or of the loss."""

from difflib import get_close_matches

from steplens.errors import BadSetting
from steplens.model.chronicle import Fate, Loss
from steplens.model.finding import Finding
from steplens.model.report import Report
from steplens.views.account import WIDE, made, value
from steplens.views.fates import Words
from steplens.views.paint import PLAIN, Look, Row, Span, paint
from steplens.views.summary import counted
from steplens.views.values import number

LINKS = ("trainable", "optimizer", "loss", "gradient", "rate", "steps")
BREAKS = {
    "in-no-optimizer": "optimizer",
    "apart": "loss",
    "not-reached": "loss",
    "never-stepped": "steps",
    "cleared": "gradient",
    "not-used": "gradient",
    "lr-zero": "rate",
    "not-moved": "steps",
    "without-effect": "steps",
}
CHAINS = 6  # fates told one by one
COLUMN = 12


def render(report: Report, name: str, look: Look = PLAIN) -> str:
    """The chain of a parameter, of all below a prefix, or of the loss.

    Raises BadSetting when the run has nothing of this name.
    """
    words = Words(report)
    chosen = _chosen(report, words, name)
    if not chosen and name == "loss":
        return paint(_losses(report, words), look)
    if not chosen:
        raise BadSetting(f"nothing in this run is called `{name}`{_near(words, name)}")
    wanted = set(chosen)
    fates = [fate for fate in report.account.fates if not wanted.isdisjoint(fate.tensors)]
    fates.sort(key=lambda fate: fate.kind == "trained")
    rows: list[Row] = []
    for fate in fates[:CHAINS]:
        rows += [*Chain(report, words, fate, wanted).rows(), []]
    if len(fates) > CHAINS:
        rest = counted(len(fates) - CHAINS, "more group")
        rows.append([(f"{rest} of tensors below `{name}`: give a longer name", "plain")])
    return paint(rows[:-1] if not rows[-1] else rows, look)


def _chosen(report: Report, words: Words, name: str) -> list[int]:
    """The tensors of this name, or below it; an optimizer's name stands for all it holds."""
    wanted = name.removesuffix("*").removesuffix(".")
    found: list[int] = []
    for tensor, title in words.names.titles.items():
        entry = report.roster.tensors[tensor]
        root = report.roster.modules.get(entry.root)
        names = [title, *entry.names, *([f"{root.label}.{entry.name}"] if root else [])]
        if any(each == wanted or each.startswith(wanted + ".") for each in names):
            found.append(tensor)
    if not found:
        entries = report.roster.optimizers.values()
        found = [t for entry in entries if entry.label == wanted for t in entry.tensors]
    return [tensor for tensor in found if tensor in words.names.titles]


def _near(words: Words, name: str) -> str:
    known = {"loss": None}
    for title in words.names.titles.values():
        parts = title.split(".")
        known.update(dict.fromkeys(".".join(parts[: n + 1]) for n in range(len(parts))))
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean `{close[0]}`?"
    few = list(known)[:6]
    return f"; there are {', '.join(few)}{' and more' if len(known) > len(few) else ''}"


class Chain:
    """The links between some tensors that fared alike and their updates."""

    def __init__(self, report: Report, words: Words, fate: Fate, wanted: set[int]) -> None:
        self.report = report
        self.words = words
        self.fate = fate
        self.tensors = [tensor for tensor in fate.tensors if tensor in wanted]
        self.them = "it" if len(self.tensors) == 1 else "them"

    def rows(self) -> list[Row]:
        """A row for each link, the break marked, and what it comes to."""
        entries = [self.report.roster.tensors[tensor] for tensor in self.tensors]
        one = entries[0]
        shape = f"{one.dtype}[{', '.join(map(str, one.shape))}]"
        what = shape if len(entries) == 1 else counted(len(entries), "tensor")
        place = self.words.made(entry.site for entry in entries)
        made_at = f", made at {place}" if place else ""
        head = f"{self.words.names.short(self.tensors)} ({what}{made_at})"
        broken = "trainable" if self.fate.kind == "frozen" else BREAKS.get(self.fate.why, "")
        out: list[Row] = [[(head, "strong")]]
        for link in LINKS:
            text = getattr(self, f"_{link}")()
            if text:
                out.append(_link(link, text, link == broken))
            if link == broken:
                out += self._break()
        return [*out, [("=> ", "frame"), (self._sum(), "strong")]]

    def _trainable(self) -> str:
        if not self.fate.frozen:
            return "yes"
        where = self.words.line(self.fate.at, self.report.program)
        return "no: requires_grad is False" + (f" since {where}" if where else "")

    def _optimizer(self) -> str:
        if not self.fate.optimizers:
            maker = self.words.maker()
            where = f"; the one that steps was made at {maker}" if maker else ""
            return f"none holds {self.them}{where}"
        entry = self.report.roster.optimizers[self.fate.optimizers[0]]
        where = self.words.line(entry.site, self.report.program)
        label = f"`{entry.label}` ({entry.type})" if entry.label else f"`{entry.type}`"
        more = len(self.fate.optimizers) - 1
        others = f", and in {counted(more, 'other')}" if more else ""
        return f"in {label}{f', made at {where}' if where else ''}{others}"

    def _loss(self) -> str:
        total = counted(self.report.account.backwards, "backward pass", "es")
        if not self.fate.reached:
            return f"reached by none of {total}"
        losses = self.report.account.losses
        lines = [
            self.words.line(loss.site, self.report.program)
            for loss in losses
            if loss.site is not None and not set(self.tensors).isdisjoint(loss.leaves)
        ]
        where = f", of {' and '.join(lines[:3])}" if lines else ""
        return f"reached by {self.fate.reached} of {total}{where}"

    def _gradient(self) -> str:
        found = [self.words.sizes[t] for t in self.tensors if t in self.words.sizes]
        norms = [size.gradient for size in found if size.gradient is not None]
        lost = f"cleared unused {counted(self.fate.lost, 'time')}" if self.fate.lost else ""
        if self.fate.why == "cleared":
            where = self.words.line(self.fate.at, self.report.program)
            return f"{lost}{f', at {where}' if where else ''}, and never used by a step"
        if not norms:
            return lost or ("" if self.fate.reached else "none")
        span = number(min(norms)) if min(norms) == max(norms) else _span(norms)
        step = max(self.report.account.sized_at.get(n, 0) for n in self.fate.optimizers)
        return f"norm {span} at step {step}, the last look{', ' + lost if lost else ''}"

    def _rate(self) -> str:
        return self.words.rate(self.fate) if self.fate.optimizers else ""

    def _steps(self) -> str:
        if self.fate.kind == "by-hand":
            return f"none; the program itself writes {self.them}"
        if not self.fate.steps:
            return "the optimizer never stepped" if self.fate.optimizers else ""
        words = [self.words.steps([self.fate], self.them), self._ratio()]
        return ", ".join(filter(None, words))

    def _ratio(self) -> str:
        chosen = Fate("", "", tuple(self.tensors))
        return self.words.ratio([chosen]) if self.fate.kind == "trained" else ""

    def _break(self) -> list[Row]:
        """What says that the chain breaks here."""
        mine = set(self.tensors)
        said = [f for f in self._findings() if not mine.isdisjoint(f.tensors)]
        if not said:
            text = "the chain ends here; no rule says that this is wrong"
            return [[("  ^ ", "warning"), (text, "plain")]]
        rows: list[Row] = []
        for found in said:
            at = f", at {found.at.place}" if found.at is not None else ""
            text = f"the chain breaks here: {found.code} {found.name}{at}"
            rows.append([("  ^ ", "warning"), (text, found.severity.value)])
        return rows

    def _findings(self) -> list[Finding]:
        return [*self.report.findings, *self.report.suppressed]

    def _sum(self) -> str:
        one = len(self.tensors) == 1
        kind = self.fate.kind
        if kind == "trained":
            return "it trains" if one else "they train"
        if kind == "by-hand":
            return f"the program updates {self.them} by hand"
        return "it stays as it is" if one else "they stay as they are"


def _span(norms: list[float]) -> str:
    return f"{number(min(norms))} to {number(max(norms))}"


def _link(head: str, text: str, broken: bool) -> Row:
    mark: Span = ("x ", "error") if broken else ("  ", "plain")
    room = WIDE - COLUMN - 2
    return [mark, (f"{head:<{COLUMN}}", "strong"), (text[: room * 2], "plain")]


def _losses(report: Report, words: Words) -> list[Row]:
    """The chain of each line's losses."""
    rows: list[Row] = []
    if not report.account.losses:
        raise BadSetting("this run has no loss: `backward` was never called")
    for loss in sorted(report.account.losses, key=lambda loss: -loss.times)[:CHAINS]:
        rows += [*_loss(report, words, loss), []]
    return rows[:-1]


def _loss(report: Report, words: Words, loss: Loss) -> list[Row]:
    where = words.line(loss.site, report.program) or "an unknown place"
    leaves = set(loss.leaves)
    fates = [fate for fate in report.account.fates if fate.kind != "absent"]
    held = [t for f in fates if f.optimizers and not f.frozen for t in f.tensors]
    missed = [tensor for tensor in held if tensor not in leaves]
    used = [n for n in report.account.steps if not leaves.isdisjoint(_tensors(report, n))]
    reached = words.names.short([t for t in words.names.titles if t in leaves])
    said = {
        "made by": made(loss, words).removeprefix("made by ") or _plainly(loss),
        "value": value(loss, words),
        "graph": f"{loss.nodes} operations when last read" if loss.nodes else "",
        "reaches": f"{counted(len(leaves), 'tensor')}: {reached}" if leaves else "no tensor",
        "not": f"{counted(len(missed), 'tensor')} held by an optimizer: {words.names.short(missed)}"
        if missed
        else "",
        "used by": ", ".join(
            f"{words.holder(n)} ({counted(report.account.steps[n], 'step')})" for n in used[:4]
        )
        or "no step of an optimizer",
    }
    rows: list[Row] = [
        [(f"loss of {where}, backward called {counted(loss.times, 'time')}", "strong")]
    ]
    rows += [_link(head, text, False) for head, text in said.items() if text]
    codes = ("SL5", "SL601", "SL607", "SL4")
    for found in report.findings:
        if found.code.startswith(codes):
            at = f", at {found.at.place}" if found.at is not None else ""
            text = f"{found.code} {found.name}{at}"
            rows.append([("  ^ ", "warning"), (text, found.severity.value)])
    return rows


def _plainly(loss: Loss) -> str:
    return "no operation: it is a plain tensor" if loss.leaf else ""


def _tensors(report: Report, optimizer: int) -> tuple[int, ...]:
    entry = report.roster.optimizers.get(optimizer)
    return entry.tensors if entry is not None else ()
