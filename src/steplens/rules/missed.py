"""Missed: calls of ``eval()`` that did not reach what then answered, as SL102 tells of them."""

from steplens.model.event import End, Forward, Mode
from steplens.model.roster import ModeReading, Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, seen, several
from steplens.rules.flagged import Flagged
from steplens.rules.mistaken import Answer, Mistaken
from steplens.rules.trees import Trees
from steplens.rules.unreached import Unreached


class Missed:
    """The modules of a model whose own ``train`` keeps ``eval()`` from them, or whose flag alone
    was set, and a copy that was asked in the place of the model that sleeps."""

    def __init__(self, roster: Roster, cases: Cases, trees: Trees) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = trees
        self.unreached = Unreached(self._unreached)
        self.flagged = Flagged(trees, self._flagged)
        self.mistaken = Mistaken(trees, self._mistaken)

    def mode(self, event: Mode) -> None:
        """A call of ``train`` or ``eval``."""
        self.unreached.mode(event)
        self.flagged.mode(event)
        self.mistaken.mode(event)

    def backward(self) -> None:
        """Any backward pass."""
        self.mistaken.backward()

    def ran(self, event: Forward) -> None:
        """Any forward."""
        self.mistaken.ran(event)
        self.flagged.ran(event)

    def forward(self, event: Forward, reading: ModeReading) -> None:
        """A forward without grad, with modules in train mode."""
        if not (reading.asleep or event.purpose or event.discarded):
            self.unreached.forward(event, reading)
            self.flagged.forward(event, reading)
            self.mistaken.forward(event)

    def end(self, event: End) -> None:
        """The run is over."""
        self.mistaken.end(event)

    def _unreached(self, event: Forward, call: Mode, awake: tuple[int, ...]) -> None:
        self._open(
            event,
            awake,
            f"`eval()` reached none of the {len(call.missed)} modules in it",
            ("this switched one flag only", call.site),
            ("this method takes the place of torch's", call.override),
            help="in a `train` method of one's own, call `super().train(mode)`",
        )

    def _flagged(self, event: Forward, awake: tuple[int, ...]) -> None:
        self._open(
            event,
            awake,
            "its own flag alone was set to False",
            help="call torch's `eval()`: in an `eval` of one's own, `super().eval()`",
        )

    def _mistaken(self, module: int, answer: Answer) -> None:
        name, model = self.roster.module_name(module), self.roster.module_name(answer.model)
        self._open(
            answer.first,
            self.roster.modes[answer.first.modes].awake,
            f"`eval()` was called on `{model}`, which did not run",
            ("this switched the other model", answer.call.site),
            ("this had woken it", answer.woke.site if answer.woke is not None else None),
            help=f"call `{name}.eval()`, once, after it is made"
            if answer.woke is None
            else f"call `{name}.eval()` before it is evaluated",
        )
        if answer.times > 1:
            self.cases.amend(module, count=answer.times, last_step=max(answer.step, 1))

    def _open(
        self,
        event: Forward,
        awake: tuple[int, ...],
        fact: str,
        *causes: tuple[str, Site | None],
        help: str,
    ) -> None:
        step = max(event.step, 1)
        if self.cases.again(event.module, step):
            return
        evidence = [seen("in train mode", self.trees.names(awake), "none in an evaluation")]
        norms = [module for module in event.statistics if module in awake]
        if norms:
            evidence.append(
                seen("running statistics moved", f"in {several(len(norms), 'norm')}", 0)
            )
        self.cases.open(
            event.module,
            step,
            event.site,
            f"`{self.roster.module_name(event.module)}` was evaluated while {len(awake)} of its "
            f"modules were in train mode: {fact}",
            label="ran without grad, with these in train mode",
            because=[mark for words, site in causes for mark in because(words, site)],
            evidence=evidence,
            help=help,
            event=event.index,
        )
