"""What became of the parameters, in rows: trained, by hand, unchanged and why, frozen."""

from collections.abc import Callable, Iterable

from steplens.model.chronicle import Fate
from steplens.model.report import Report
from steplens.model.site import Site
from steplens.views.names import Names
from steplens.views.summary import counted
from steplens.views.values import number

KINDS = ("trained", "by-hand", "unchanged", "frozen")
ROWS = 6  # rows of one kind
COUNTS = 4  # different counts of steps that have a row each


class FateRow:
    """Fates that are told in one row: a heading, short names, a count, and what is said of them."""

    def __init__(self, fates: list[Fate], words: "Words") -> None:
        self.fates = fates
        self.tensors = [tensor for fate in fates for tensor in fate.tensors]
        self.head = fates[0].kind.replace("-", " ")
        self.codes = tuple(dict.fromkeys(code for fate in fates for code in fate.codes))
        self.names = words.names.short(self.tensors)
        self.count = counted(len(self.tensors), "tensor")
        self.said = words.said(fates, len(self.tensors))


class Words:
    """How the facts of Fates are put, for one Report."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.account = report.account
        here = [fate for fate in self.account.fates if fate.kind != "absent"]
        entries = {t: report.roster.tensors[t] for fate in here for t in fate.tensors}
        titles = report.roster.titles()
        if len({entry.root for entry in entries.values() if entry.root >= 0}) == 1:
            titles = {tensor: entry.name for tensor, entry in entries.items()}
        self.names = Names({tensor: titles[tensor] for tensor in entries})
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
                rest.said = ["in other ways"]
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
        one = fates[0]
        them = "it" if tensors == 1 else "them"
        if one.kind == "trained":
            words = [self.steps(fates, them), self.rate(one), self.ratio(fates)]
            return [*filter(None, words), *(["frozen now"] if one.frozen else [])]
        if one.kind == "by-hand":
            return [f"written by the program, no step of an optimizer moved {them}"]
        if one.kind == "frozen":
            where = self.line(one.at, self.report.program)
            held = f", held by {self.held(one)}" if one.optimizers else ""
            return ["requires_grad is False" + (f" since {where}" if where else "") + held]
        return [WHY[one.why](self, fates, them)]

    def steps(self, fates: list[Fate], them: str) -> str:
        """How many steps moved the tensors."""
        moved = [fate.moved - fate.at_zero for fate in fates]
        steps = max(fate.steps for fate in fates)
        if min(moved) == max(moved) == steps:
            return f"{'all ' if steps > 1 else ''}{counted(steps, 'step')} moved {them}"
        span = number(moved[0]) if len(set(moved)) == 1 else f"{min(moved)} to {max(moved)}"
        return f"{span} of {counted(steps, 'step')} moved {them}"

    def rate(self, fate: Fate) -> str:
        """The learning rate, at the first and the last step where they differ."""
        shown = [number(rate) for rate in fate.rates if rate is not None and rate >= 0]
        zero = f" (0 at {counted(fate.at_zero, 'step')})" if fate.at_zero else ""
        return f"lr {' -> '.join(dict.fromkeys(shown))}{zero}" if shown else ""

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
        return f"`{entry.label or entry.type}`" if entry is not None else "an optimizer"

    def held(self, fate: Fate) -> str:
        """The optimizers that hold the tensors of a Fate, by name."""
        names = list(dict.fromkeys(self.holder(number) for number in fate.optimizers))
        rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
        return ", ".join(names[:2]) + rest

    def line(self, site: Site | None, program: str, word: str = "line ") -> str:
        """A place in a few letters: `line 12` in the program itself, else `model.py:12`."""
        if site is None:
            return ""
        same = not site.cell and site.file == program
        return f"{word}{site.line}" if same else site.place

    def made(self, sites: Iterable[Site | None]) -> str:
        """Where tensors were made, '' when it is not known."""
        places = dict.fromkeys(self.line(site, self.report.program) for site in sites if site)
        first = next(iter(places), "")
        rest = f" and {counted(len(places) - 1, 'more place')}" if len(places) > 1 else ""
        return first + rest

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
    places = [f"made at {made}" if made else "", f"the optimizer at {maker}" if maker else ""]
    told = ", ".join(filter(None, places))
    return f"gradients reach {them}, in no optimizer" + (f" ({told})" if told else "")


def _unstepped(words: Words, fates: list[Fate], them: str) -> str:
    entry = words.report.roster.optimizers.get(fates[0].optimizers[0])
    where = words.line(entry.site if entry is not None else None, words.report.program)
    return f"held by {words.held(fates[0])}{f' ({where})' if where else ''}, which never stepped"


def _cleared(words: Words, fates: list[Fate], them: str) -> str:
    where = words.line(fates[0].at, words.report.program)
    place = f" at {where}" if where else ""
    return f"the gradients were cleared{place} before a step used them"


WHY: dict[str, Callable[[Words, list[Fate], str], str]] = {
    "in-no-optimizer": _left_out,
    "apart": lambda words, fates, them: f"in no optimizer, and no loss reaches {them}",
    "not-reached": lambda words, fates, them: (
        f"held by {words.held(fates[0])}, and no loss reaches {them}"
    ),
    "never-stepped": _unstepped,
    "cleared": _cleared,
    "not-used": lambda words, fates, them: (
        f"gradients reach {them}, and no step of {words.held(fates[0])} used one"
    ),
    "not-moved": lambda words, fates, them: (
        f"{counted(max(f.used for f in fates), 'step')} used a gradient and did not write {them}"
    ),
    "lr-zero": lambda words, fates, them: (
        f"learning rate 0 at all {counted(max(f.at_zero for f in fates), 'step')} that used {them}"
    ),
    "without-effect": lambda words, fates, them: (
        f"the steps of {words.held(fates[0])} leave {them} bit for bit as before"
    ),
}
