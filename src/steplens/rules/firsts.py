"""Firsts: loaders whose passes begin with the same batch, as SL506 tells of them."""

from steplens.model.event import Batch
from steplens.model.finding import Evidence
from steplens.rules.base import Cases, because, seen
from steplens.rules.passes import Pass

PASSES = 40  # whose first batches are compared
UNLIKELY = 1e-3  # that one of them begins so by chance: a small set, one sample at a time
FIRSTS = 3  # passes in a row that gave only the same first batch


class Firsts:
    """Compares the first batches of passes; ``noted`` are those whose cause has been told."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.noted: set[object] = set()
        self.times: dict[object, int] = {}  # passes that a finding is about

    def begin(self, event: Batch, current: Pass) -> None:
        """The first batch of a pass has come: compare it with that of the pass before."""
        same = bool(event.digest) and event.digest == current.digest
        current.alike = current.alike + 1 if same else 0
        if not same:
            current.trained = None
        by_chance = PASSES * current.chance**current.alike > UNLIKELY
        alike = same and current.seen == 0 and not by_chance
        if alike and current.length > 1 and current.trained is None:
            self.note(event.step, event.index, current)
        current.seen = current.seen + 1 if same and current.seen else 1
        current.before = current.before if same else 0
        current.digest = event.digest
        if same and current.seen >= FIRSTS <= current.before + 1 and current.length > 1:
            self._repeated(event, current)

    def _repeated(self, event: Batch, current: Pass) -> None:
        known = (current.first, "first")
        self.times[known] = current.seen
        if self._again(known, event.step):
            return
        self.cases.open(
            known,
            event.step + 1,
            current.site,
            f"each of the last {current.seen} steps began a new pass over the loader and took the "
            "same first batch"
            if current.before == current.seen - 1
            else f"the last {current.seen} passes over the loader gave the same first batch and no "
            "other",
            label="a new pass begins here",
            evidence=(
                seen("batches in a pass", current.length),
                seen("batches with other content, in as many steps", 0),
                self._counted(known),
            ),
            help="make one iterator and take `next` of it, or loop over the loader",
            event=event.index,
        )

    def note(self, step: int, index: int, current: Pass) -> None:
        """A shuffled pass began as the one before, and one model is trained with both."""
        known = current.key
        if known in self.noted:
            return
        self.times[known] = self.times.get(known, 0) + 1
        if self._again(known, step):
            return
        self.cases.open(
            known,
            step + 1,
            current.site,
            "a shuffling loader began two passes in a row with the same batch",
            label="this pass begins like the one before",
            because=because("its loader was made here", current.made),
            evidence=(seen("batches in a pass", current.length), self._counted(known)),
            help="do not reset the loader's generator between passes",
            severity="note",
            event=index,
        )

    def _again(self, known: object, step: int) -> bool:
        """Whether a finding is there already, which then says how often this has been seen: later
        passes are not compared, so that no steps are counted."""
        finding = self.cases.findings.get(known)
        if finding is None:
            return False
        evidence = (*finding.evidence[:-1], self._counted(known))
        self.cases.amend(known, evidence=evidence, last_step=step + 1)
        return True

    def _counted(self, known: object) -> Evidence:
        return seen(f"passes that began so, of the first {PASSES}", self.times[known])
