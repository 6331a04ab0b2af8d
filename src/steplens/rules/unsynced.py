"""Unsynced: steps on gradients that no rank averaged, though the wrapper was called."""

from steplens.model.event import Exchange, Forward, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, seen
from steplens.rules.trees import Trees

TIMES = 3  # steps in a row


class Unsynced:
    """The steps in a row of each optimizer whose gradients were not averaged, though every forward
    behind them went through the wrapper: `no_sync` was on, or its flag was off. Or the forwards
    ``around`` it, behind the last backward, came after one that had averaged.

    torch: `DistributedDataParallel._pre_forward` reads `require_backward_grad_sync`, so that one
    set between the forward and its backward comes too late.
    """

    def __init__(self, roster: Roster, cases: Cases, trees: Trees) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = trees
        self.rows: dict[int, int] = {}

    def step(
        self,
        event: Step,
        exchange: Exchange,
        behind: list[Forward],
        around: list[Forward],
        passed: Site | None,
    ) -> object:
        """One more step, whose last gradients ``passed`` left; the cause of a finding, None where
        there is none."""
        above = {*self.trees.above(exchange.wrapper)}
        through = bool(behind) and all(forward.module in above for forward in behind)
        if (exchange.averaged and not exchange.trailing) or not (through or around):
            self.rows.pop(event.optimizer, None)
            return None
        self.rows[event.optimizer] = self.rows.get(event.optimizer, 0) + self.cases.weight
        last = around[0] if around else behind[-1] if exchange.trailing else behind[0]
        cause = ("unsynced", last.site or event.optimizer)
        if self.rows[event.optimizer] < TIMES or self.cases.again(cause, event.step + 1):
            return None
        wrapper = self.roster.modules[exchange.wrapper]
        self.cases.open(
            cause,
            event.step + 1,
            last.site,
            f"{TIMES} steps in a row used gradients that were not averaged over the "
            f"{exchange.ranks} ranks, though `{wrapper.type}` was called: "
            + (
                "the last forward went around it"
                if around
                else f"`no_sync` was on when it ran{' last' if exchange.trailing else ''}"
            ),
            label="the backward of this forward averages nothing",
            because=(
                *because("this backward", passed if exchange.trailing else None),
                *because("this step used its gradients", event.site),
            ),
            evidence=(
                seen(
                    "collectives launched within the last backward pass"
                    if exchange.trailing
                    else "collectives launched within backward passes",
                    0,
                    "those of the wrapper",
                ),
                seen("steps in a row", self.rows[event.optimizer], 0),
            ),
            help=f"call the `{wrapper.type}` itself, or add the losses up and call `backward` once"
            if around
            else "leave `no_sync()`, or set `require_backward_grad_sync`, before the last forward "
            "of each step",
            event=event.index,
        )
        return cause
