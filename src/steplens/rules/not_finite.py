"""SL601: a gradient, a parameter or the loss became NaN or infinite."""

from steplens.model.event import Backward, Step, Values
from steplens.model.finding import Evidence, Severity
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.origins import advice, words


@rule("SL601", "not-finite", "error", needs=("values",))
class NotFinite:
    """The first NaN or infinity in a gradient, a parameter or the loss that a step used.

    ## What it does
    Reports the first step that used a gradient which was not finite, or left a parameter so, with
    the operation and the line that made the value where they can be told. The operations that may
    stand at a point where their value or slope is infinite (`sqrt` at 0, `log` at 0, a division by
    0, `acos` at 1) are read at each backward that the budget allows.

    ## Why is this bad?
    NaN spreads: after one step every later output is NaN, while `argmax` goes on giving an answer.
    A finite loss may well have a gradient that is not: the slope of `sqrt` at 0 is infinite, and 0
    times infinity is NaN.

    ## Example
        distance = ((a - b) ** 2).sum(1).sqrt()      # a equals b

    ## Use instead
        distance = ((a - b) ** 2).sum(1).clamp_min(1e-12).sqrt()

    ## When it is fine
    Steps that a `GradScaler` skipped, and losses whose backward no step used, are not reported, nor
    is `-inf` in a mask or an output. When parameters stayed finite, or are finite again at the end
    (the program went back to a saved state), it is a note. Values are looked at on a cadence that
    keeps the budget; as a parameter stays NaN, none is missed, but the finding may then say
    'between step a and b'.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.backwards = Newest[int, Site | None](64)
        self.newest: Site | None = None  # of the newest backward
        self.steps = Newest[int, Step](64)  # by event
        self.last = Newest[int, Step](64)  # by optimizer
        self.causes: dict[int, int] = {}  # optimizer -> cause

    def backward(self, event: Backward) -> None:
        self.newest = self.backwards[event.index] = event.site

    def step(self, event: Step) -> None:
        self.steps[event.index] = self.last[event.optimizer] = event

    def values(self, event: Values) -> None:
        if event.recovered:
            cause = self.causes.get(event.optimizer)
            if cause is not None and cause in self.cases.findings:
                self.cases.amend(cause, severity=Severity.NOTE)
        elif event.bad or not event.loss_finite:
            step = self.steps.get(event.of) or self.last.get(event.optimizer)
            last = step.step + 1 if step is not None else event.step
            bad = event.bad_parameters or event.bad_gradients
            roots = [self.roster.tensors[tensor].root for tensor in bad[:1]]
            # all optimizers of one model tell of one cause
            cause = roots[0] if roots and roots[0] >= 0 else -1 - event.optimizer
            self.causes[event.optimizer] = cause
            known = self.cases.findings.get(cause)
            if known is not None and known.severity == Severity.NOTE and event.bad_parameters:
                self.cases.amend(cause, severity=Severity.ERROR)
            if not self.cases.again(cause, last):
                self._open(event, cause, step, last)

    def _open(self, event: Values, cause: int, step: Step | None, last: int) -> None:
        origin = event.origin
        ran = self.newest
        if step is not None and step.uses:
            ran = self.backwards.get(max(share.holds[-1].backward for share in step.uses), ran)
        at = (origin.site if origin is not None else None) or ran or event.site
        first = min(last, max(event.finite_at + 1, 1))
        when = f" at step {last}" if first == last else f" between steps {first} and {last}"
        when = when if last else ""  # stepped by hand
        message, label = words(event)
        self.cases.open(
            cause,
            last,
            at,
            f"{message}{when}",
            label=label,
            because=(
                *because("what it was given was made here", origin.source if origin else None),
                *because("this backward gave the gradient", ran if ran != at else None),
                *because("this step used it", step.site if step is not None else None),
            ),
            evidence=self._evidence(event, when),
            help=advice(origin),
            severity=None if event.bad_parameters else "note",
            event=event.index,
        )

    def _evidence(self, event: Values, when: str) -> list[Evidence]:
        bad = event.bad_parameters or event.bad_gradients
        kind = "parameters" if event.bad_parameters else "gradients"
        found: list[Evidence] = []
        if bad:
            found.append(seen(kind, f"{event.bad} not finite{when} ({named(self.roster, bad)})", 0))
        origin = event.origin
        if origin is not None and origin.elements:
            found.append(seen(f"`{origin.op}`", f"{origin.elements} elements: {origin.point}"))
        if event.loss is not None:
            found.append(seen("loss of that step", event.loss))
        if event.before is not None:
            found.append(seen(f"|gradient| at step {event.finite_at}, still finite", event.before))
        return found
