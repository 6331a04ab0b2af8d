"""Parameters that no loss can reach, as they do not require gradients: two causes of SL303."""

from steplens.model.event import Misnamed, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, seen


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
