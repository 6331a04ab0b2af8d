"""SL701: gradients that no rank averaged, as the forward went around DistributedDataParallel."""

from steplens.model.event import Backward, Exchange, Forward, Made, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.trees import Trees
from steplens.rules.unsynced import Unsynced

WRAPPER = "DistributedDataParallel"
KEPT = 512  # forwards and backward passes remembered


@rule("SL701", "wrapper-bypassed", "error", needs=("step",))
class WrapperBypassed:
    """A forward that went around DistributedDataParallel, so that no gradient was averaged.

    ## What it does
    Reports a step of a model in a DistributedDataParallel of several ranks, when every forward
    behind its gradients ran through the module inside the wrapper, and the ranks exchanged nothing
    since the step before: no collective was launched in any process group, or none within a
    backward and the gradients were as the backward (clipping, a GradScaler) had left them. Also
    three such steps in a row, although the forwards went through the wrapper: each ran under
    `no_sync()`, or with `require_backward_grad_sync` off; or the last backward before it did, or
    went around the wrapper, after one that averaged: what it added is each rank's own.

    ## Why is this bad?
    The wrapper's forward prepares the averaging of the next backward. Around it each rank steps on
    the gradient of its own batch: the replicas part, and the one that is saved was trained on a
    fraction of the data. The losses of all ranks fall.

    ## Example
        model = DistributedDataParallel(net)
        for x, y in loader:
            loss = criterion(model.module(x), y)

    ## Use instead
        for x, y in loader:
            loss = criterion(model(x), y)

    ## When it is fine
    Evaluation through `.module`. One rank. A backward that also reaches a forward through the
    wrapper. Gradients that the program averages itself, and models whose parameters it averages
    every few steps. A step is not judged if the program launched a collective and also wrote the
    gradients itself. Backends that do not count their collectives are not looked at.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = Trees(roster)
        self.forwards = Newest[int, Forward](KEPT)
        self.backwards = Newest[int, Backward](KEPT)
        self.wrapped, self.modules = False, 0  # whether one of so many modules is a wrapper
        self.averaged: set[int] = set()  # optimizers whose parameters the program averages
        self.causes: dict[int, set[object]] = {}  # findings by optimizer
        self.unsynced = Unsynced(roster, cases, self.trees)

    def made(self, event: Made) -> None:
        if event.what == "optimizer":  # its number may have been another's
            self.averaged.discard(event.number)
            self.causes[event.number] = set()

    def forward(self, event: Forward) -> None:
        modules = self.roster.modules
        if not self.wrapped and self.modules != len(modules):
            self.modules = len(modules)
            self.wrapped = any(entry.type == WRAPPER for entry in modules.values())
        if event.recorded and self.wrapped:
            self.forwards[event.index] = event

    def backward(self, event: Backward) -> None:
        if self.wrapped:
            self.backwards[event.index] = event

    def step(self, event: Step) -> None:
        exchange = event.exchange
        if exchange is None or event.closure or event.optimizer in self.averaged:
            return
        if exchange.written:
            self.averaged.add(event.optimizer)
            for cause in self.causes.pop(event.optimizer, ()):
                self.cases.withdraw(cause)
        elif event.moved and not (event.rewritten or event.unknown):
            if not exchange.averaged:
                self._look(event, exchange)
            known = self._passes(event)
            passed = known[-1].site if known else None
            last = known[-1].index if known and exchange.trailing else -1
            around = self._around(last, exchange)
            cause = self.unsynced.step(event, exchange, self._behind(known), around, passed)
            if cause is not None:
                self.causes.setdefault(event.optimizer, set()).add(cause)

    def _look(self, event: Step, exchange: Exchange) -> None:
        inside = self.trees.tensors(exchange.inside) | self.trees.tensors(exchange.wrapper)
        shares = [share for share in event.uses if not inside.isdisjoint(share.tensors)]
        found: list[Forward] = []
        for index in dict.fromkeys(held.backward for s in shares for held in s.holds):
            around = self._around(index, exchange)
            if not around:
                return
            found += [forward for forward in around if forward not in found]
        cause = found[0].site or event.optimizer if found else None
        if cause is None or self.cases.again(cause, event.step + 1):
            return
        self.causes.setdefault(event.optimizer, set()).add(cause)
        first, passed = found[0], self.backwards[shares[0].holds[-1].backward].site
        tensors = [tensor for share in shares for tensor in share.tensors]
        within = exchange.inside in self.trees.above(first.module)
        place = "in" if within else "that holds the module of"
        wrapper, called = self.roster.modules[exchange.wrapper], self.roster.modules[first.module]
        self.cases.open(
            cause,
            event.step + 1,
            first.site,
            f"a step used gradients that were not averaged over the {exchange.ranks} ranks: every "
            f"forward behind them went around `{wrapper.type}`",
            label=f"this calls the `{called.type}` {place} the wrapper, not the wrapper",
            because=(
                *because("no collective was launched in this backward", passed),
                *because("this step used its gradients", event.site),
            ),
            evidence=(
                seen("forwards behind this step", f"{len(found)} around the wrapper, 0 through it"),
                seen("collectives launched within backward passes", 0, "those of the wrapper"),
                seen("tensors", f"{len(tensors)} ({named(self.roster, tensors)})"),
            ),
            help=f"call the `{wrapper.type}` itself",
            event=event.index,
            tensors=tensors,
        )

    def _passes(self, event: Step) -> list[Backward]:
        """The backward passes behind a step's gradients."""
        passes = {held.backward for share in event.uses for held in share.holds}
        return [self.backwards[index] for index in sorted(passes) if index in self.backwards]

    def _behind(self, known: list[Backward]) -> list[Forward]:
        """The forwards behind backward passes."""
        numbers = [index for backward in known for index in backward.forwards]
        return [self.forwards[index] for index in numbers if index in self.forwards]

    def _around(self, passed: int, exchange: Exchange) -> list[Forward]:
        """The forwards of the wrapped module behind a backward; none where one of them is not
        known, or may have gone through the wrapper."""
        found: list[Forward] = []
        wrapper, inside = exchange.wrapper, exchange.inside
        backward = self.backwards.get(passed)
        for index in backward.forwards if backward is not None else ():
            forward = self.forwards.get(index)
            ran = forward.ran or () if forward is not None else ()
            if forward is None or forward.module in self.trees.above(wrapper) or wrapper in ran:
                return []
            above = {*self.trees.above(forward.module)}  # where another holds it, it ran in that
            if wrapper in above or inside in above or inside in ran:
                found.append(forward)
        return found
