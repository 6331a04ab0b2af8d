"""What a rule is: metadata read off its docstring, and a fold over Events that opens Cases."""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from steplens.errors import described
from steplens.model.event import EVENTS, Event
from steplens.model.finding import Because, Evidence, Finding, Severity
from steplens.model.repeats import Repeats, Weighed
from steplens.model.roster import Roster
from steplens.model.site import Site

SECTIONS = ("What it does", "Why is this bad?", "Example", "Use instead", "When it is fine")
KINDS = {str(event.__struct_config__.tag).replace("-", "_"): event for event in EVENTS}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule's code, name, severity, page and the class that folds it.

    ``hears`` maps an event kind to the method that hears it; ``triggers`` are the kinds without
    which the rule had nothing to look at; ``claims`` the lab's claims it rests on. ``opinion``
    rules are off by default.
    """

    code: str
    name: str
    severity: Severity
    page: str
    fold: type
    hears: tuple[str, ...]
    triggers: tuple[str, ...]
    claims: tuple[str, ...] = ()
    opinion: bool = False

    @property
    def summary(self) -> str:
        """The page's first line."""
        return self.page.partition("\n")[0]


def rule(
    code: str,
    name: str,
    severity: str,
    *,
    needs: Iterable[str],
    claims: Iterable[str] = (),
    opinion: bool = False,
) -> Callable[[type], Rule]:
    """Make a Rule of a class whose methods are named for the event kinds they hear.

    The class is made with ``(roster, cases)``; ``step(event)``, ``backward(event)`` and so on are
    called in order of the events, ``end(event)`` last. ``needs`` names the kinds without which it
    has nothing to look at. Raises ValueError for a docstring without the five sections, or a method
    that hears nothing.
    """

    def make(fold: type) -> Rule:
        page = _page(fold.__doc__ or "", code)
        hears = tuple(method for method in vars(fold) if method in KINDS)
        unknown = [kind for kind in needs if kind.replace("-", "_") not in KINDS]
        if not hears or unknown:
            raise ValueError(
                f"{code}: hears {hears}, needs {tuple(needs)}; kinds are {', '.join(KINDS)}"
            )
        return Rule(
            code, name, Severity(severity), page, fold, hears, tuple(needs), tuple(claims), opinion
        )

    return make


def _page(docstring: str, code: str) -> str:
    text = inspect.cleandoc(docstring)  # from Python 3.13 on the compiler has done so
    found = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    if tuple(found) != SECTIONS:
        raise ValueError(f"{code}: sections are {found}, expected {list(SECTIONS)}")
    return text


class Tally:
    """How many findings all rules of a run have now: asked after each event."""

    opened = 0


class Cases(Weighed):
    """The Findings of one rule in one run: one per cause, counted however many steps it touches.

    ``weight`` is how often the event now heard has happened in this way: more than once for the
    events that follow a Repeat. What a rule counts over events, it counts by it.
    """

    def __init__(self, rule: Rule, tally: Tally) -> None:
        self.rule = rule
        self.tally = tally
        self.findings: dict[object, Finding] = {}

    def again(self, cause: object, step: int) -> bool:
        """Whether this cause is known already; if so, count one more step."""
        known = self.findings.get(cause)
        if known is None:
            return False
        self.findings[cause] = msgspec.structs.replace(
            known, last_step=max(step, known.last_step), count=known.count + self.weight
        )
        return True

    def open(
        self,
        cause: object,
        step: int,
        at: Site | None,
        message: str,
        *,
        label: str = "",
        because: Iterable[Because] = (),
        evidence: Iterable[Evidence] = (),
        help: str = "",
        severity: str | None = None,
        event: int = -1,
        tensors: Iterable[int] = (),
    ) -> None:
        """Record a new Finding for this cause (any hashable); ``step`` is 1 for the first optimizer
        step, ``tensors`` are the parameters it is about."""
        self.tally.opened += cause not in self.findings
        self.findings[cause] = Finding(
            code=self.rule.code,
            name=self.rule.name,
            severity=Severity(severity) if severity else self.rule.severity,
            message=message,
            at=at,
            label=label,
            because=tuple(because),
            evidence=tuple(evidence),
            help=help,
            claims=self.rule.claims,
            first_step=step,
            last_step=step,
            event=event,
            tensors=tuple(tensors),
        )

    def amend(self, cause: object, **fields: object) -> None:
        """Replace fields of a known Finding: a message with a final count, more evidence."""
        self.findings[cause] = msgspec.structs.replace(self.findings[cause], **fields)

    def withdraw(self, cause: object) -> None:
        """Take a Finding back: later events showed that it was meant."""
        if self.findings.pop(cause, None) is not None:
            self.tally.opened -= 1


class Bench:
    """The selected rules at work on one run: hears Events, holds their Findings."""

    def __init__(self, rules: Iterable[Rule], roster: Roster) -> None:
        self.tally = Tally()
        self.cases = [Cases(rule, self.tally) for rule in rules]
        self.faults: dict[str, str] = {}
        self.looked: set[type] = set()
        self.repeats = Repeats(self.cases)
        self.heard: dict[type, list[tuple[str, Callable[[Event], None]]]] = {}
        for cases in self.cases:
            try:
                fold = cases.rule.fold(roster, cases)
            except Exception as error:
                self.faults[cases.rule.code] = f"rule {cases.rule.code}: {described(error)}"
                continue
            for method in cases.rule.hears:
                hearer = cases.rule.code, getattr(fold, method)
                self.heard.setdefault(KINDS[method], []).append(hearer)

    def hear(self, event: Event) -> None:
        """Pass an event to each rule that hears its kind; a rule that raises is taken off and named
        in ``faults``."""
        name = type(event)
        if self.repeats.begins(event):
            return
        self.looked.add(name)
        code = ""
        hearers = self.heard.get(name, ())
        try:
            for code, method in hearers:  # noqa: B007  the handler below names it
                method(event)
        except Exception as error:  # a fault of ours never ends the user's run
            self._take_off(code, event, error)
            position = [pair[0] for pair in hearers].index(code)
            for code, method in hearers[position + 1 :]:
                try:
                    method(event)
                except Exception as another:
                    self._take_off(code, event, another)
        self.repeats.heard()

    def _take_off(self, code: str, event: Event, error: Exception) -> None:
        self.faults[code] = f"rule {code} failed at event {event.index}: {described(error)}"
        for kind_heard, hearers in self.heard.items():
            self.heard[kind_heard] = [pair for pair in hearers if pair[0] != code]

    @property
    def opened(self) -> int:
        """How many findings there are now."""
        return self.tally.opened

    @property
    def findings(self) -> list[Finding]:
        """All findings so far, by event and code."""
        found = [finding for cases in self.cases for finding in cases.findings.values()]
        return sorted(found, key=lambda finding: (finding.first_step, finding.event, finding.code))

    def ran(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Codes of the rules that had something to look at, and of those that had nothing."""
        looked = {name.replace("_", "-") for name, event in KINDS.items() if event in self.looked}
        ran = tuple(c.rule.code for c in self.cases if not looked.isdisjoint(c.rule.triggers))
        idle = tuple(c.rule.code for c in self.cases if c.rule.code not in ran)
        return ran, idle


def number(value: float | None) -> str:
    """A number with at most four significant digits, as messages show it; None is one that a
    report file could not keep, as it was not finite."""
    return "not finite" if value is None else f"{value:.4g}"


def seen(subject: str, got: object, expected: object = "") -> Evidence:
    """An Evidence whose numbers are shown with four significant digits."""
    words = [number(item) if isinstance(item, float) else str(item) for item in (got, expected)]
    return Evidence(subject, words[0], words[1])


def several(count: int, noun: str) -> str:
    """A count with its noun: ``1 norm``, ``3 norms``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def because(label: str, at: Site | None) -> tuple[Because, ...]:
    """A ``because`` for a place that may not be known."""
    return (Because(label, at),) if at is not None else ()


def named(roster: Roster, tensors: Iterable[int], most: int = 3) -> str:
    """Many parameters in a few words: names when few, else common prefixes with a count."""
    names = [roster.name(tensor) for tensor in tensors]
    if len(names) <= most:
        return ", ".join(f"`{name}`" for name in names)
    groups: dict[str, int] = {}
    full: dict[str, str] = {}
    depth = _depth(names)
    for name in names:
        prefix = ".".join(name.split(".")[:depth])
        groups[prefix] = groups.get(prefix, 0) + 1
        full[prefix] = name
    words = [
        f"`{prefix}.*` ({count} tensors)" if count > 1 else f"`{full[prefix]}`"
        for prefix, count in groups.items()
    ]
    if len(words) > most:
        rest = sum(list(groups.values())[most:])
        words = [*words[:most], f"{rest} more tensors"]
    return ", ".join(words)


def _depth(names: list[str]) -> int:
    """The number of leading name parts at which the names fall into few groups."""
    split = [name.split(".") for name in names]
    common = 0
    while all(len(parts) > common + 1 and parts[common] == split[0][common] for parts in split):
        common += 1
    return max(
        1, common + 1 if len({tuple(parts[: common + 1]) for parts in split}) <= 3 else common or 1
    )
