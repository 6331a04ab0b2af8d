"""What became of the parameters, in rows: trained, by hand, unchanged and why, frozen."""

from collections.abc import Callable, Iterable

from steplens.model.chronicle import Fate
from steplens.model.report import Report
from steplens.model.site import Site
from steplens.views.names import Names
from steplens.views.speech import ENGLISH, Speech
from steplens.views.values import number

KINDS = ("trained", "by-hand", "unchanged", "frozen")
ROWS = 6  # rows of one kind
COUNTS = 4  # different counts of steps that have a row each


class FateRow:
    """Fates that are told in one row: a heading, short names, a count, and what is said of them."""

    def __init__(self, fates: list[Fate], words: "Words") -> None:
        self.fates = fates
        self.tensors = [tensor for fate in fates for tensor in fate.tensors]
        self.head = words.say(f"head.{fates[0].kind}")
        self.codes = tuple(dict.fromkeys(code for fate in fates for code in fate.codes))
        self.names = words.names.short(self.tensors)
        self.count = words.say("n.tensors", n=len(self.tensors))
        self.said = words.said(fates, len(self.tensors))


class Words:
    """How the facts of Fates are put, for one Report in one language."""

    def __init__(self, report: Report, speech: Speech = ENGLISH) -> None:
        self.report = report
        self.say = speech.say
        self.account = report.account
        here = [fate for fate in self.account.fates if fate.kind != "absent"]
        entries = {t: report.roster.tensors[t] for fate in here for t in fate.tensors}
        titles = report.roster.titles()
        if len({entry.root for entry in entries.values() if entry.root >= 0}) == 1:
            titles = {tensor: entry.name for tensor, entry in entries.items()}
        self.names = Names({tensor: titles[tensor] for tensor in entries}, speech)
        self.sizes = {size.tensor: size for size in self.account.sizes}

    def rows(self) -> list[FateRow]:
        """All rows in order; what is beyond the first ones of a kind is one more."""
        out: list[FateRow] = []
        for kind in KINDS:
            alike: dict[object, list[Fate]] = {}
            for fate in self.account.fates:
                if fate.kind == kind:
                    alike.setdefault(self._likeness(fate), []).append(fate)
            rows = [FateRow(fates, self) for group in alike.values() for fates in _parted(group)]
            rows.sort(key=lambda row: (not row.codes, -len(row.tensors)))
            out += rows[:ROWS]
            if len(rows) > ROWS:
                rest = FateRow([fate for row in rows[ROWS:] for fate in row.fates], self)
                rest.said = [self.say("fate.other-ways")]
                out.append(rest)
        return out

    def _likeness(self, fate: Fate) -> object:
        holders = tuple(dict.fromkeys(self.holder(n) for n in fate.optimizers))
        codes = fate.codes if fate.kind != "trained" else ()
        at = fate.at if fate.kind == "frozen" or fate.why == "cleared" else None
        return (fate.why, holders, codes, at, fate.rates)

    # -- words --------------------------------------------------------------------------------

    def said(self, fates: list[Fate], tensors: int) -> list[str]:
        """What is said of fates told together."""
        one, them = fates[0], self.say("them", n=tensors)
        if one.kind == "trained":
            frozen = self.say("fate.frozen-now") if one.frozen else ""
            words = [self.steps(fates, them), self.rate(one), self.ratio(fates), frozen]
            return [*filter(None, words)]
        if one.kind == "by-hand":
            return [self.say("fate.by-hand", them=them)]
        if one.kind == "frozen":
            where = self.line(one.at, self.report.program)
            since = self.say("fate.since", where=where) if where else ""
            held = self.say("fate.frozen-held", held=self.held(one)) if one.optimizers else ""
            return [self.say("fate.frozen", since=since, held=held)]
        return [WHY[one.why](self, fates, them)]

    def steps(self, fates: list[Fate], them: str) -> str:
        """How many steps moved the tensors."""
        moved = [fate.moved - fate.at_zero for fate in fates]
        steps = max(fate.steps for fate in fates)
        if min(moved) == max(moved) == steps:
            return self.say("fate.all-steps", n=steps, them=them)
        span: object = moved[0]
        if len(set(moved)) > 1:
            span = self.say("range", least=min(moved), most=max(moved))
        return self.say("fate.some-steps", moved=span, n=steps, them=them)

    def rate(self, fate: Fate) -> str:
        """The learning rate, at the first and the last step where they differ."""
        shown = [number(rate) for rate in fate.rates if rate is not None and rate >= 0]
        zero = self.say("fate.rate-zero", n=fate.at_zero) if fate.at_zero else ""
        rates = " -> ".join(dict.fromkeys(shown))
        return self.say("fate.rate", rates=rates, zero=zero) if shown else ""

    def ratio(self, fates: list[Fate]) -> str:
        """The size of the last update that was looked at, beside that of the weights."""
        sizes = [self.sizes[t] for fate in fates for t in fate.tensors if t in self.sizes]
        weight = sum((size.weight or 0.0) ** 2 for size in sizes) ** 0.5
        update = sum((size.update or 0.0) ** 2 for size in sizes) ** 0.5
        if not weight or any(size.weight is None or size.update is None for size in sizes):
            return ""
        return f"|update|/|weight| {number(float(f'{update / weight:.2g}'))}"

    def holder(self, optimizer: int) -> str:
        """What the user calls an optimizer, else its class."""
        entry = self.report.roster.optimizers.get(optimizer)
        return (
            f"`{entry.label or entry.type}`" if entry is not None else self.say("fate.an-optimizer")
        )

    def held(self, fate: Fate) -> str:
        """The optimizers that hold the tensors of a Fate, by name."""
        names = list(dict.fromkeys(self.holder(number) for number in fate.optimizers))
        first, rest = ", ".join(names[:2]), len(names) - 2
        return self.say("and-more", names=first, n=rest) if rest > 0 else first

    def line(self, site: Site | None, program: str) -> str:
        """A place in a few letters: `line 12` in the program itself, else `model.py:12`."""
        if site is None:
            return ""
        same = not site.cell and site.file == program
        return self.say("line", n=site.line) if same else site.place

    def made(self, sites: Iterable[Site | None]) -> str:
        """Where tensors were made, '' when it is not known."""
        places = dict.fromkeys(self.line(site, self.report.program) for site in sites if site)
        first, rest = next(iter(places), ""), len(places) - 1
        return self.say("fate.more-places", first=first, n=rest) if rest > 0 else first

    def maker(self) -> str:
        """Where the optimizer that stepped was made, when there is one such place."""
        entries = self.report.roster.optimizers
        sites = {entries[n].site for n, steps in self.account.steps.items() if steps}
        site = next(iter(sites)) if len(sites) == 1 else None
        return self.line(site, self.report.program)


def _parted(fates: list[Fate]) -> list[list[Fate]]:
    """Like fates, those with the same counts of steps together as long as that makes few rows."""
    groups: dict[object, list[Fate]] = {}
    for fate in fates:
        key = (fate.moved - fate.at_zero, fate.steps) if fate.kind == "trained" else fate.steps
        groups.setdefault(key, []).append(fate)
    return list(groups.values()) if len(groups) <= COUNTS else [fates]


def _left_out(words: Words, fates: list[Fate], them: str) -> str:
    made, maker = words.made(fate.at for fate in fates), words.maker()
    places = [
        words.say("fate.made-at", where=made) if made else "",
        words.say("fate.optimizer-at", where=maker) if maker else "",
    ]
    told = words.say("comma").join(filter(None, places))
    where = words.say("fate.places", places=told) if told else ""
    return words.say("fate.in-no-optimizer", them=them, places=where)


def _unstepped(words: Words, fates: list[Fate], _: str) -> str:
    entry = words.report.roster.optimizers.get(fates[0].optimizers[0])
    line = words.line(entry.site if entry is not None else None, words.report.program)
    where = words.say("fate.where", where=line) if line else ""
    return words.say("fate.never-stepped", held=words.held(fates[0]), where=where)


def _cleared(words: Words, fates: list[Fate], _: str) -> str:
    where = words.line(fates[0].at, words.report.program)
    return words.say("fate.cleared-at" if where else "fate.cleared", where=where)


def _held(key: str) -> Callable[[Words, list[Fate], str], str]:
    return lambda words, fates, them: words.say(key, held=words.held(fates[0]), them=them)


WHY: dict[str, Callable[[Words, list[Fate], str], str]] = {
    "in-no-optimizer": _left_out,
    "apart": lambda words, _, them: words.say("fate.apart", them=them),
    "not-reached": _held("fate.not-reached"),
    "never-stepped": _unstepped,
    "cleared": _cleared,
    "not-used": _held("fate.not-used"),
    "not-moved": lambda words, fates, them: words.say(
        "fate.not-moved", n=max(fate.used for fate in fates), them=them
    ),
    "lr-zero": lambda words, fates, them: words.say(
        "fate.lr-zero", n=max(fate.at_zero for fate in fates), them=them
    ),
    "without-effect": _held("fate.without-effect"),
}
