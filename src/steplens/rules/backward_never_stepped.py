"""SL204: backward passes whose gradients no step ever uses."""

from steplens.model.event import Backward, Clear, End, GradCall, Schedule, Step
from steplens.model.roster import Roster
from steplens.rules import thrown
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.unstepped import IN_ITS_PLACE, NONE, Suspect, Unstepped

MANY = 8  # backward passes by the end of the run
SOON = 3  # gradients cleared unused, while nothing in the program has stepped


@rule("SL204", "backward-never-stepped", "warning", needs=("backward",))
class BackwardNeverStepped:
    """Backward passes whose gradients no optimizer step has ever used.

    ## What it does
    Reports an optimizer that never steps although backward passes go on giving gradients to its
    parameters, which stay as they are, bit for bit: soon when the gradients are cleared unused
    again and again and nothing in the program has stepped, else at the end of the run. Steps that
    a `GradScaler` has skipped are none.

    ## Why is this bad?
    Only a step moves parameters. Without one the loss goes up and down with the batches, learning
    rates are scheduled and logged, and nothing is learned.

    ## Example
        loss.backward()
        if scheduler is not None:
            scheduler.step()
        else:
            optimizer.step()

    ## Use instead
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()

    ## When it is fine
    Parameters that are written by hand (`p.data -= lr * p.grad`): their values are looked at, at
    the first 16 backward passes and at each power of two. Gradients for something else than
    training: `autograd.grad`, a backward that reaches an input that requires grad, any model that
    no optimizer holds. The finding is taken back when the optimizer steps after all (gradient
    statistics, a warm-up loop). A run that was cut short is not judged at its end.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.unstepped = Unstepped(roster)

    def backward(self, event: Backward) -> None:
        if not (event.still or self.unstepped.suspects) or not self.unstepped.backward(
            event, self.cases.weight
        ):
            return
        for number in event.still:
            suspect = self.unstepped.suspects.get(number)
            if suspect is None:
                continue
            soon = suspect.lost >= SOON or (suspect.lost == SOON - 1 and suspect.schedules)
            if soon and not self.unstepped.used:
                self._open(number, suspect, event)

    def grad(self, event: GradCall) -> None:
        self.unstepped.grad(event)

    def clear(self, event: Clear) -> None:
        if self.unstepped.suspects and event.lost:
            self.unstepped.clear(event, self.cases.weight)

    def schedule(self, event: Schedule) -> None:
        self.unstepped.schedule(event, self.cases.weight)

    def step(self, event: Step) -> None:
        if self.unstepped.step(event, self.cases.weight):
            self.cases.withdraw(event.optimizer)

    def end(self, event: End) -> None:
        for number, suspect in self.unstepped.suspects.items():
            if number in self.cases.findings:
                self._count(number, suspect)
            elif (
                event.status == "done"
                and suspect.backwards >= MANY
                and 2 * suspect.stood_at
                >= suspect.backwards  # values are looked at ever more seldom
                and not self.unstepped.moved_by_others(suspect)
            ):
                self._open(number, suspect, event)

    def _open(self, number: int, suspect: Suspect, event: Backward | End) -> None:
        if number in self.cases.findings:
            return
        if number == NONE:
            thrown.tell(self.cases, suspect, event.index)
            self._count(number, suspect)
            return
        entry = self.roster.optimizers[number]
        line = suspect.unrun
        if line is not None and (line.file, line.line) in self.unstepped.ran:
            line = None  # the name stood for another optimizer there
        at, label = suspect.place(line)
        causes = [
            ("this backward made gradients", suspect.backward),
            (IN_ITS_PLACE, self.unstepped.in_its_place(suspect)),
            ("they were cleared unused here", suspect.clear),
            ("the schedule went on here", suspect.schedule),
            ("the optimizer was made here", entry.site),
        ]
        self.cases.open(
            number,
            suspect.first,
            at,
            f"no step of `{entry.label or entry.type}` has used the gradients of its parameters",
            label=label,
            because=[mark for words, site in causes if site != at for mark in because(words, site)],
            help=suspect.help(self.roster.variable(number)),
            event=event.index,
            tensors=suspect.tensors,
        )
        self._count(number, suspect)

    def _count(self, number: int, suspect: Suspect) -> None:
        """Put in the numbers so far."""
        held = self.roster.optimizers[number].tensors if number != NONE else suspect.tensors
        tensors = sorted(t for t in held if t in suspect.tensors)
        what = "it" if number != NONE else "any optimizer"
        evidence = (
            seen("backward passes that reached its parameters", suspect.backwards),
            seen(f"steps of {what}", 0, "at least 1"),
            *([seen("steps held back", suspect.held_back, 0)] if suspect.held_back else []),
            seen("gradients cleared unused", f"{suspect.lost} times"),
            seen("parameters", f"as they were, bit for bit ({named(self.roster, tensors)})"),
        )
        self.cases.amend(number, evidence=evidence, count=suspect.steps, last_step=suspect.last)
