"""SL304: parameters were replaced, and their optimizer went on with the moments of the old ones."""

from steplens.model.event import Made, Step, Update, Write
from steplens.model.finding import Because
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules.base import Cases, named, number, rule, seen
from steplens.rules.fleeting import Fleeting

LEAST_APART = 0.01  # of the larger update: less is no difference to speak of
FADED = 0.1  # of what the step moved as many others by: all that is left comes to about one step


@rule(
    "SL304",
    "stale-optimizer-state",
    "warning",
    needs=("step",),
    claims=("moments-outlive-values",),
)
class StaleOptimizerState:
    """Steps on replaced values with the moments of the values they replaced.

    ## What it does
    Reports a step whose parameters (or some of their elements) were put to other values since the
    last step, while the optimizer kept momentum and second moments of the old values. The step
    taken is measured beside the one that the same optimizer would have taken with fresh state.
    Values put back to those before the first step count, however near they are to the last ones.
    So is one that moves elements which were set to zero (pruned) before the step before, though
    they have had no gradient since. Notes an optimizer with moments that a line makes anew for each
    step.

    ## Why is this bad?
    An optimizer's state belongs to a parameter, not to its values. After a re-initialisation the
    first updates go where the old weights were going, and at the step size the old gradients
    earned.

    ## Example
        model.reset_parameters()
        train(model, optimizer)

    ## Use instead
        model.reset_parameters()
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        train(model, optimizer)

    ## When it is fine
    Loading the optimizer's state as well, or resetting it (for some rows, those rows), is not
    reported; nor is what the old moments made no difference to, as they had faded (a row that had
    no gradient for long, put to new values). Small writes are not replacements: clipping, weight
    decay, averages, normalisation, quantisation, a mask that zeroes some elements which then stay
    zero or have gradients (one that is put on again after each step), a constraint that writes the
    same tensors before every step. Values assigned to `p.data` are told by a sample of the old
    ones, kept at looks; on tensors of fewer than 16 elements they are not.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.writes = Newest[int, Write](512)
        self.found: dict[int, frozenset[int]] = {}  # optimizer -> tensors of its finding
        self.fleeting = Fleeting(roster, cases)

    def made(self, event: Made) -> None:
        self.fleeting.made(event)

    def write(self, event: Write) -> None:
        self.writes[event.index] = event

    def step(self, event: Step) -> None:
        optimizer = event.optimizer
        self.fleeting.step(event)
        if event.constrained and self.found.get(optimizer, frozenset()) <= {*event.constrained}:
            self.cases.withdraw(optimizer)
        updates = [update for update in event.updates if _counts(update)]
        if not updates or self.cases.again(optimizer, event.step + 1):
            return
        self.found[optimizer] = frozenset(update.tensor for update in updates)
        self._open(event, updates)

    def _open(self, event: Step, updates: list[Update]) -> None:
        names = named(self.roster, [update.tensor for update in updates])
        writes = [self.writes[u.write] for u in updates if u.write in self.writes]
        elements = sum(update.changed for update in updates)
        masked = bool(writes) and all(write.how == "zeroed" for write in writes)
        done = "set to 0" if masked else "replaced"
        words = "set to 0, no gradient since" if masked else "replaced since the last step"
        if writes and all(write.how == "rewound" for write in writes):
            done = words = "put back to those before the first step"  # a ticket, another fold
        evidence = [seen(words, f"{elements} elements of {names}")]
        for update in sorted(updates, key=lambda update: -(update.apart or 0.0))[:4]:
            expected = (
                f"{number(update.fresh)} with fresh state" if update.fresh is not None else ""
            )
            name = self.roster.name(update.tensor)
            evidence.append(seen(f"|update| of `{name}`", update.update, expected))
        entry = self.roster.optimizers[event.optimizer]
        self.cases.open(
            event.optimizer,
            event.step + 1,
            event.site,
            f"values of {names} were {done}, and `{entry.type}` went on with the moments of the "
            "old ones",
            label="stepped with the old moments here",
            because=_places(writes),
            evidence=evidence,
            help="make the optimizer anew after the values are replaced, or clear its state for "
            f"them (`{self.roster.variable(event.optimizer)}.state.pop(parameter, None)`; for some "
            "rows, zero those rows)",
            event=event.index,
            tensors=[update.tensor for update in updates],
        )


def _counts(update: Update) -> bool:
    """Whether the old moments made a difference, where it could be measured."""
    if update.fresh is None or update.apart is None or update.update is None:
        return True
    if update.usual is not None and update.apart < FADED * update.usual:
        return False
    return update.apart > LEAST_APART * max(update.update, update.fresh)


def _places(writes: list[Write]) -> list[Because]:
    """The lines that replaced the values, and those that called them."""
    found: dict[object, Because] = {}
    for label, sites in (
        ("values were replaced here", [write.site for write in writes]),
        ("by this call", [write.caller for write in writes]),
    ):
        for site in sites:
            if site is not None and site not in found and len(found) < 6:
                found[site] = Because(label, site)
    return list(found.values())
