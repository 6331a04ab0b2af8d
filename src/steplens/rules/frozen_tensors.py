"""Parameters that no loss can reach, as they do not require gradients: three causes of SL303."""

from steplens.model.event import Line, Misnamed, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, seen

FED = 2  # steps with gradients, the first ones, after which an optimizer has had nothing
STOOD = 8  # steps since then, at each of which none of its tensors required a gradient


def misnamed(roster: Roster, cases: Cases, event: Misnamed) -> None:
    """An attribute set to True that unfroze nothing."""
    on = "a module" if event.module >= 0 else "parameters"
    names = named(roster, event.tensors)
    cases.open(
        ("misnamed", event.name, event.module),
        event.step + 1,
        event.site,
        f"`{event.name} = True` set on {on} does not unfreeze {names}: no loss can reach them",
        label="torch does not read this attribute here",
        evidence=[
            seen(f"tensors behind `{event.name} = True` that do not require a gradient",
                 len(event.tensors), 0)
        ],
        help="call `module.requires_grad_(True)`, or set `requires_grad` on each parameter",
        event=event.index,
        tensors=event.tensors,
    )  # fmt: skip


def held_alone(roster: Roster, cases: Cases, event: Step) -> None:
    """An optimizer that holds nothing else."""
    entry = roster.optimizers[event.optimizer]
    names = named(roster, event.frozen)
    cases.open(
        event.optimizer,
        event.step + 1,
        entry.site,
        f"the optimizer holds only {names}, which do not require gradients: no step can move them",
        label="made with frozen parameters only",
        because=because("stepped here, with nothing to use", event.site),
        evidence=[seen("tensors that require a gradient", 0, f"some of {len(entry.tensors)}")],
        help="set `requires_grad_(True)` on the parameters that are to be trained, or make the "
        "optimizer with those that are",
        event=event.index,
        tensors=event.frozen,
    )


class FrozenSince:
    """Optimizers that had gradients at the first steps only: then all that they hold was frozen,
    and nobody unfroze it, though they step on and on.

    One that has trained for longer may be held still on purpose, for a phase or for good.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.fed: dict[int, int] = {}  # optimizer -> steps that used gradients
        self.stood: dict[int, int] = {}  # optimizer -> steps since then, all frozen
        self.frozen_at: dict[int, Site] = {}  # tensor -> the line that froze it first

    def line(self, event: Line) -> None:
        """A line that changed something."""
        for change in event.changes:
            if change.part == "trainable" and change.after is False and event.site is not None:
                self.frozen_at.setdefault(change.whose.number, event.site)

    def step(self, event: Step) -> bool:
        """Whether the step could do nothing, as all that was trained before is frozen."""
        number = event.optimizer
        cause, weight = ("since", number), self.cases.weight
        if event.uses or event.unknown:
            self.fed[number] = self.fed.get(number, 0) + weight
            self.stood.pop(number, None)
            self.cases.withdraw(cause)
            return False
        entry = self.roster.optimizers[number]
        fed = self.fed.get(number, 0)
        if event.skipped or not fed or len(event.frozen) != len(entry.tensors):
            return False
        self.stood[number] = stood = self.stood.get(number, 0) + weight
        if fed > FED or stood < STOOD or self.cases.again(cause, event.step + 1):
            return True
        sites = [self.frozen_at[t] for t in event.frozen if t in self.frozen_at]
        names = named(self.roster, event.frozen)
        self.cases.open(
            cause,
            event.step + 1,
            sites[0] if sites else entry.site,
            f"{names} were frozen after {fed} step{'s' * (fed > 1)} and not unfrozen: the steps of "
            "their optimizer move nothing",
            label="frozen here" if sites else "made with these tensors",
            because=(
                *because("stepped here, with nothing to use", event.site),
                *because("their optimizer was made here", entry.site if sites else None),
            ),
            evidence=[
                seen("steps with gradients", fed),
                seen("steps since then without any", stood, 0),
            ],
            help="call `requires_grad_(True)` again before the forward of the loss that is to "
            "train them",
            event=event.index,
            tensors=event.frozen,
        )
        return True
