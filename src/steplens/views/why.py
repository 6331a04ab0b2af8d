"""Why a part of the program fares as it does: the chain of a parameter, or of the loss."""

from difflib import get_close_matches

from steplens.errors import BadSetting
from steplens.model.chronicle import Fate, Loss
from steplens.model.finding import Finding
from steplens.model.report import Report
from steplens.prose import padded
from steplens.views.account import WIDE, operations, value
from steplens.views.fates import Words
from steplens.views.paint import PLAIN, Look, Row, Span, paint
from steplens.views.speech import Speech
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
    words = Words(report, Speech(look.lang))
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
        rest = words.say("why.more-groups", n=len(fates) - CHAINS, name=name)
        rows.append([(rest, "plain")])
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
        self.say = words.say
        self.them = self.say("them", n=len(self.tensors))

    def rows(self) -> list[Row]:
        """A row for each link, the break marked, and what it comes to."""
        entries = [self.report.roster.tensors[tensor] for tensor in self.tensors]
        one = entries[0]
        shape = f"{one.dtype}[{', '.join(map(str, one.shape))}]"
        what = shape if len(entries) == 1 else self.say("n.tensors", n=len(entries))
        place = self.words.made(entry.site for entry in entries)
        made_at = self.say("why.made-at", where=place) if place else ""
        name = self.words.names.short(self.tensors)
        head = self.say("why.head", name=name, what=what, made=made_at)
        broken = "trainable" if self.fate.kind == "frozen" else BREAKS.get(self.fate.why, "")
        out: list[Row] = [[(head, "strong")]]
        for link in LINKS:
            text = getattr(self, f"_{link}")()
            if text:
                out.append(_link(self.say(f"why.link-{link}"), text, link == broken))
            if link == broken:
                out += self._break()
        return [*out, [("=> ", "frame"), (self._sum(), "strong")]]

    def _trainable(self) -> str:
        if not self.fate.frozen:
            return self.say("why.trainable")
        where = self.words.line(self.fate.at, self.report.program)
        since = self.say("fate.since", where=where) if where else ""
        return self.say("why.not-trainable", since=since)

    def _optimizer(self) -> str:
        if not self.fate.optimizers:
            maker = self.words.maker()
            where = self.say("why.maker", where=maker) if maker else ""
            return self.say("why.no-optimizer", them=self.them, where=where)
        entry = self.report.roster.optimizers[self.fate.optimizers[0]]
        where = self.words.line(entry.site, self.report.program)
        label = f"`{entry.label}` ({entry.type})" if entry.label else f"`{entry.type}`"
        more = len(self.fate.optimizers) - 1
        return self.say(
            "why.optimizer",
            label=label,
            made=self.say("why.made-at", where=where) if where else "",
            others=self.say("why.others", n=more) if more else "",
        )

    def _loss(self) -> str:
        total = self.report.account.backwards
        if not self.fate.reached:
            return self.say("why.unreached", n=total)
        losses = self.report.account.losses
        lines = [
            self.words.line(loss.site, self.report.program)
            for loss in losses
            if loss.site is not None and not set(self.tensors).isdisjoint(loss.leaves)
        ]
        joined = self.say("and").join(lines[:3])
        where = self.say("why.of-lines", lines=joined) if lines else ""
        return self.say("why.reached", reached=self.fate.reached, n=total, where=where)

    def _gradient(self) -> str:
        found = [self.words.sizes[t] for t in self.tensors if t in self.words.sizes]
        norms = [size.gradient for size in found if size.gradient is not None]
        lost = self.say("why.lost", n=self.fate.lost) if self.fate.lost else ""
        if self.fate.why == "cleared":
            line = self.words.line(self.fate.at, self.report.program)
            where = self.say("why.lost-at", where=line) if line else ""
            return self.say("why.cleared", lost=lost, where=where)
        if not norms:
            return lost or ("" if self.fate.reached else self.say("why.no-gradient"))
        least, most = number(min(norms)), number(max(norms))
        span = least if least == most else self.say("range", least=least, most=most)
        step = max(self.report.account.sized_at.get(n, 0) for n in self.fate.optimizers)
        said = self.say("why.gradient", norm=span, step=step)
        return self.say("comma").join(filter(None, [said, lost]))

    def _rate(self) -> str:
        return self.words.rate(self.fate) if self.fate.optimizers else ""

    def _steps(self) -> str:
        if self.fate.kind == "by-hand":
            return self.say("why.by-hand", them=self.them)
        if not self.fate.steps:
            return self.say("why.never-stepped") if self.fate.optimizers else ""
        words = [self.words.steps([self.fate], self.them), self._ratio()]
        return self.say("comma").join(filter(None, words))

    def _ratio(self) -> str:
        chosen = Fate("", "", tuple(self.tensors))
        return self.words.ratio([chosen]) if self.fate.kind == "trained" else ""

    def _break(self) -> list[Row]:
        """What says that the chain breaks here."""
        mine = set(self.tensors)
        said = [f for f in self._findings() if not mine.isdisjoint(f.tensors)]
        if not said:
            return [[("  ^ ", "warning"), (self.say("why.ends"), "plain")]]
        rows: list[Row] = []
        for found in said:
            text = self.say("why.breaks", finding=_found(found, self.words))
            rows.append([("  ^ ", "warning"), (text, found.severity.value)])
        return rows

    def _findings(self) -> list[Finding]:
        return [*self.report.findings, *self.report.suppressed]

    def _sum(self) -> str:
        kind = self.fate.kind
        key = kind if kind in ("trained", "by-hand") else "stays"
        return self.say(f"why.sum-{key}", n=len(self.tensors), them=self.them)


def _found(finding: Finding, words: Words) -> str:
    at = words.say("why.at", where=finding.at.place) if finding.at is not None else ""
    return f"{finding.code} {finding.name}{at}"


def _link(head: str, text: str, broken: bool) -> Row:
    mark: Span = ("x ", "error") if broken else ("  ", "plain")
    room = WIDE - COLUMN - 2
    return [mark, (padded(head, COLUMN), "strong"), (text[: room * 2], "plain")]


def _losses(report: Report, words: Words) -> list[Row]:
    """The chain of each line's losses."""
    rows: list[Row] = []
    if not report.account.losses:
        raise BadSetting("this run has no loss: `backward` was never called")
    for loss in sorted(report.account.losses, key=lambda loss: -loss.times)[:CHAINS]:
        rows += [*_loss(report, words, loss), []]
    return rows[:-1]


def _loss(report: Report, words: Words, loss: Loss) -> list[Row]:
    say = words.say
    where = words.line(loss.site, report.program) or say("nowhere")
    leaves = set(loss.leaves)
    fates = [fate for fate in report.account.fates if fate.kind != "absent"]
    held = [t for f in fates if f.optimizers and not f.frozen for t in f.tensors]
    missed = [tensor for tensor in held if tensor not in leaves]
    used = [n for n in report.account.steps if not leaves.isdisjoint(_tensors(report, n))]
    reached = words.names.short([t for t in words.names.titles if t in leaves])
    users = [f"{words.holder(n)} ({say('n.steps', n=report.account.steps[n])})" for n in used[:4]]
    said = {
        "made": operations(loss, words) or (say("why.plain") if loss.leaf else ""),
        "value": value(loss, words),
        "graph": say("why.graph", n=loss.nodes) if loss.nodes else "",
        "reaches": say("why.reaches", n=len(leaves), names=reached)
        if leaves
        else say("why.reaches-none"),
        "not": say("why.missed", n=len(missed), names=words.names.short(missed)) if missed else "",
        "used": ", ".join(users) or say("why.unused"),
    }
    head = say("why.loss", where=where, times=say("n.times", n=loss.times))
    rows: list[Row] = [[(head, "strong")]]
    rows += [_link(say(f"why.loss-{key}"), text, False) for key, text in said.items() if text]
    codes = ("SL5", "SL601", "SL607", "SL4")
    for found in report.findings:
        if found.code.startswith(codes):
            rows.append([("  ^ ", "warning"), (_found(found, words), found.severity.value)])
    return rows


def _tensors(report: Report, optimizer: int) -> tuple[int, ...]:
    entry = report.roster.optimizers.get(optimizer)
    return entry.tensors if entry is not None else ()
