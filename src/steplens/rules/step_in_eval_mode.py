"""SL101: a step used gradients of a forward that ran in eval mode."""

from steplens.model.event import Backward, Forward, Mode, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.reached import Reached
from steplens.rules.switches import Switches
from steplens.rules.trees import Trees

KEPT = 256
PARTS = "note"  # severity of parts that the author put to sleep while the model was awake


@rule("SL101", "step-in-eval-mode", "warning", needs=("step",), claims=("eval-is-not-no-grad",))
class StepInEvalMode:
    """Steps that used gradients of a forward in which dropout or norms were in eval mode.

    ## What it does
    Reports an `optimizer.step()` that used a backward whose forward ran while mode-sensitive
    modules (dropout, batch norm, recurrent nets and attention with dropout, functional dropout that
    follows its module's flag) were in eval mode, where the step trained parameters of those modules
    or beside them. It names the call that switched them and that nothing switched back.

    ## Why is this bad?
    Nothing fails: gradients flow and the loss falls. But dropout drops nothing and batch norm
    stops following the data, so the model that is trained is not the one that was written.

    ## Example
        for epoch in range(epochs):
            train(model)
            validate(model)              # calls model.eval() and leaves it there

    ## Use instead
        for epoch in range(epochs):
            model.train()
            train(model)
            validate(model)

    ## When it is fine
    A frozen backbone kept in eval mode; parameters that the step does not use; norms or dropouts
    that were switched by a call on themselves, as `for m in model.modules(): m.eval()` does for
    batch norms. A part with other trainable parameters that was put to sleep while the model around
    it was in train mode, and was not evaluated since, may be meant: that is a note. A flag written
    by hand below a model in train mode is left alone. Custom modules that read `self.training`
    themselves are seen only through the dropout functions they call.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = Trees(roster)
        self.switches = Switches(self.trees)
        self.asleep: Reached[Forward] = Reached(KEPT)
        self.judged: dict[tuple[int, int, int], object] = {}

    def mode(self, event: Mode) -> None:
        self.switches.mode(event)

    def forward(self, event: Forward) -> None:
        if event.modes < 0:
            return
        reading = self.roster.modes[event.modes]
        if not reading.asleep:
            return
        if event.recorded and not set(reading.trainable).isdisjoint(reading.asleep):
            self.asleep.forward(event.index, event)
        else:
            self.switches.rested(event.modes, reading)

    def backward(self, event: Backward) -> None:
        self.asleep.backward(event)

    def step(self, event: Step) -> None:
        passes = self.asleep.passes
        if not passes or event.skipped:
            return
        used: dict[int, list[tuple[int, ...]]] = {}
        for share in event.uses:
            for contribution in share.holds:
                if not contribution.used_by and contribution.backward in passes:
                    used.setdefault(contribution.backward, []).append(share.tensors)
        for backward, parts in used.items():
            forward = passes[backward]
            key = (forward.modes, event.optimizer, sum(map(len, parts)))
            if key not in self.judged:
                self.judged[key] = self._judge(event, forward, {t for part in parts for t in part})
            elif self.judged[key] is not None:
                self.cases.again(self.judged[key], event.step + 1)

    def _judge(self, event: Step, forward: Forward, used: set[int]) -> object:
        """The cause of what is wrong with this forward, None if nothing is."""
        reading = self.roster.modes[forward.modes]
        found: dict[tuple[bool, int], list[int]] = {}
        for module in reading.asleep:
            if module in reading.trainable and not used.isdisjoint(self.trees.around(module)):
                verdict = self.switches.verdict(module, reading, forward)
                if verdict is not None:
                    found.setdefault((verdict, reading.switched.get(module, -1)), []).append(module)
        if not found:
            return None
        sure, switch = max(found, key=lambda key: (key[0], len(found[key])))
        cause = (forward.module, switch)
        if not self.cases.again(cause, event.step + 1):
            modules = tuple(m for key in found for m in found[key] if key[0] == sure)
            self._open(cause, event, forward, modules, used, sure)
        return cause

    def _open(
        self,
        cause: tuple[int, int],
        event: Step,
        forward: Forward,
        modules: tuple[int, ...],
        used: set[int],
        sure: bool,
    ) -> None:
        reading = self.roster.modes[forward.modes]
        mode = self.switches.modes.get(cause[1])
        switched = mode if mode is not None and not mode.training else None
        woken = self.switches.before(switched) if switched else None
        beside = sorted(t for m in modules for t in self.trees.around(m) & used)
        name = self.roster.module_name(switched.module if switched else forward.module)
        calls = "no call since then woke it" if switched else "no call of this run woke it"
        self.cases.open(
            cause,
            event.step + 1,
            forward.site,
            "a step used gradients of a forward that ran in eval mode",
            label="ran in eval mode",
            because=(
                *because("switched to eval mode here", switched.site if switched else None),
                *because("this step used its gradients", event.site),
                *because("woken before that, the last time here", woken.site if woken else None),
            ),
            evidence=[
                seen(
                    "asleep",
                    f"{len(modules)} of {len(reading.asleep) + len(reading.awake)} mode-sensitive "
                    f"modules: {self.trees.names(modules)}",
                    "train mode",
                ),
                seen("trained around them", named(self.roster, dict.fromkeys(beside))),
                seen(f"`{name}`", calls),
            ],
            help=f"call `{name}.train()` before the forward that trains, after each evaluation",
            severity=None if sure else PARTS,
            event=event.index,
        )
