"""Evaluations: what SL102 says of a model that was evaluated in train mode, by how it shows."""

from steplens.model.event import Forward
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, seen, several
from steplens.rules.bursts import Burst
from steplens.rules.restored import Answers
from steplens.rules.trees import Trees
from steplens.rules.woken import Woken


class Evaluations:
    """The findings, one for each model; a note where train mode may be meant."""

    def __init__(self, roster: Roster, cases: Cases, trees: Trees, woken: Woken) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = trees
        self.woken = woken

    def without_grad(self, module: int, burst: Burst) -> None:
        """Forwards without gradient recording that no training step waited for."""
        norms = [m for m in burst.moved if m in burst.awake]
        sampled = self._sampled(burst.first)
        if (not norms and burst.repeats) or (sampled and burst.first.drawn):
            return
        step = max(burst.first.step, 1)
        if not self.cases.again(module, step):
            sure = bool(norms) or not burst.meant
            self._open(module, burst, norms, step, sure and not sampled)

    def whole_pass(self, event: Forward, count: int) -> None:
        """A pass over a DataLoader that nothing trains with, in train mode and with grad on."""
        said = "went through a whole pass that trained nothing"
        self._with_grad(event, said, "forwards in the pass, with gradient recording on", count)

    def no_backward(self, event: Forward, count: int, sure: bool) -> None:
        """Forwards at a line that no backward ever reaches."""
        said = "ran for no backward and no step"
        subject = "forwards at this line before the next step"
        if not sure:
            subject = "forwards at this line after the last step"
        self._with_grad(event, said, subject, count, sure)

    def restored(self, module: int, answers: Answers, loaded: Site | None) -> None:
        """A model with saved weights, asked in train mode."""
        if module in self.cases.findings:
            return
        name = self.roster.module_name(module)
        awake = self.roster.modes[answers.first.modes].awake
        norms = [number for number in answers.moved if number in awake]
        evidence = [seen("forwards without grad", answers.count)]
        if norms:
            names = self.trees.names(tuple(norms))
            evidence.append(
                seen("running statistics moved", f"in {several(len(norms), 'norm')}: {names}", 0)
            )
        if answers.drew:
            evidence.append(seen("random numbers drawn", f"in {answers.drew} forwards", 0))
        self.cases.open(
            module,
            max(answers.first.step, 1),
            answers.first.site,
            f"`{name}` answered with loaded weights while {len(awake)} of its modules were in "
            "train mode",
            label="ran in train mode, without grad",
            because=because("given its weights here", loaded),
            evidence=evidence,
            help=f"call `{name}.eval()` after loading",
            event=answers.first.index,
        )

    def _sampled(self, event: Forward) -> bool:
        """Whether a forward may have been asked for pictures, rather than evaluated."""
        return self.woken.generates(event.module) or self.woken.samples(event)

    def _open(self, module: int, burst: Burst, norms: list[int], step: int, sure: bool) -> None:
        name = self.roster.module_name(module)
        call = self.woken.call(module)
        others = tuple(m for m in burst.awake if m not in norms)
        evidence = [seen("forwards without grad", burst.count)]
        if norms:
            names = self.trees.names(tuple(norms))
            evidence.append(
                seen("running statistics moved", f"in {several(len(norms), 'norm')}: {names}", 0)
            )
        if burst.drew and others:
            names = self.trees.names(others)
            evidence.append(seen("random numbers drawn", f"in {burst.drew} forwards: {names}", 0))
        self.cases.open(
            module,
            step,
            burst.first.site,
            f"`{name}` was evaluated while {len(burst.awake)} of its modules were in train mode",
            label="ran in train mode, without grad",
            because=because("switched to train mode here", call.site if call else None),
            evidence=evidence,
            help=f"call `{name}.eval()` before the evaluation and `{name}.train()` after it",
            severity=None if sure else "note",
            event=burst.first.index,
        )

    def _with_grad(
        self, event: Forward, said: str, subject: str, count: int, sure: bool = True
    ) -> None:
        name, step = self.roster.module_name(event.module), max(event.step, 1)
        sampled = self._sampled(event)
        if (sampled and event.drawn) or self.cases.again(event.module, step):
            return
        awake = self.roster.modes[event.modes].awake
        norms = any(self.roster.modules[module].norm for module in awake)
        sure = sure and (norms or not self.woken.meant(event)) and not sampled
        call = self.woken.call(event.module)
        self.cases.open(
            event.module,
            step,
            event.site,
            f"`{name}` {said}, with {len(awake)} of its modules in train mode",
            label="ran in train mode, and no backward came",
            because=because("switched to train mode here", call.site if call else None),
            evidence=[
                seen(subject, count),
                seen("in train mode", self.trees.names(awake), "none in an evaluation"),
            ],
            help=f"call `{name}.eval()` before the evaluation and `{name}.train()` after it, and "
            "evaluate under `torch.no_grad()`",
            severity=None if sure else "note",
            event=event.index,
        )
