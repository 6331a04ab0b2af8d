"""SL312: a state that was loaded into the very tensors it consists of."""

from steplens.model.event import Load, Step
from steplens.model.roster import Roster
from steplens.rules import hoarded_states
from steplens.rules.base import Cases, because, named, rule, seen

SAID = {
    "module": (
        "loaded here, from itself",
        "{} was loaded from its own tensors{}: the load changes nothing",
    ),
    "copy": (
        "copied here, from itself",
        "the parameters of {} were copied from their own memory: the copy changes nothing",
    ),
    "average": (
        "averaged here, with itself",
        "the average of {} is kept in its own memory: it is the present model at any time",
    ),
}
ELSEWHERE = {"elsewhere": "loaded", "save": "saved", "unchanged": "worked with"}
COPY = (
    "keep a copy: `copy.deepcopy(model.state_dict())`, or "
    "`{key: value.clone() for key, value in model.state_dict().items()}`"
)


@rule("SL312", "load-of-itself", "error", needs=("load",), claims=("state-dict-is-a-view",))
class LoadOfItself:
    """A `load_state_dict` whose tensors are those it loads into.

    ## What it does
    Reports a load in which every tensor given shares memory with the one it is loaded into, after
    the program has trained: the state that was to be restored has moved with the model. Reports a
    line, too, that copies all trained parameters of a model (`p.data.copy_(kept[name])`) from a
    list or dictionary whose tensors are these parameters' own memory, or that averages such tensors
    with the parameters (`kept[name].mul_(d).add_(p, alpha=1 - d)`), or the parameters with
    themselves under another name, as where teacher and student are one module. A state that is
    taken at one line again and again, or under an `if` that keeps the best of something, is
    reported, too, when it is loaded into another model, or saved, at a later step than it was
    taken; and one that is still held when loads at one line have brought the model the very values
    it had, three times, with steps between; and three states that one line has taken of a model at
    different steps and that are all still held: they are one.

    ## Why is this bad?
    `state_dict()` holds references. Kept without a copy, the 'best' state is the present state at
    any time, and loading it changes nothing: what is evaluated or saved is the last model.

    ## Example
        if loss < best:
            best_state = model.state_dict()
        model.load_state_dict(best_state)

    ## Use instead
        if loss < best:
            best_state = copy.deepcopy(model.state_dict())
        model.load_state_dict(best_state)

    ## When it is fine
    A load from a real copy or a file; one in which some tensors come from elsewhere
    (`state = model.state_dict(); state.update(pretrained)`); any load before the first step; a loop
    in which some parameters are copied onto themselves, as those that two models share, or a
    parameter from itself (`p.data.copy_(p.to(device))`).
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.stepped: dict[int, int] = {}  # optimizer -> its last step

    def step(self, event: Step) -> None:
        if event.uses:
            self.stepped[event.optimizer] = event.step + 1

    def load(self, event: Load) -> None:
        if event.what in ELSEWHERE:
            self._elsewhere(event)
            return
        if event.what == "hoarded":
            if self._moved(event) and not self.cases.again(event.site, event.step):
                hoarded_states.tell(self.cases, self.roster, event, COPY)
            return
        whole = bool(event.aliases) and len(event.aliases) >= event.given
        if event.what not in ("module", "copy", "average") or not whole:
            return
        cause = event.taken_at or event.site
        if not event.step or self.cases.again(cause, event.step):
            return
        module = self.roster.module_name(event.owner)
        moved = event.step - event.taken if event.taken >= 0 else 0
        since = f", taken {moved} steps ago" if moved else ""
        did, said = SAID[event.what]
        self.cases.open(
            cause,
            event.step,
            cause,
            said.format(f"`{module}`", since),
            label="taken here without a copy" if event.taken_at else did,
            because=(
                *because(did, event.site if event.taken_at else None),
                *[each for site in event.bound for each in because("one module since here", site)],
            ),
            evidence=[
                seen(
                    "tensors given that share memory with their targets",
                    f"{len(event.aliases)} of {event.given}",
                    f"0 of {event.given}",
                ),
                seen("for example", named(self.roster, event.aliases)),
            ],
            help="keep a copy: `p.detach().clone()`" if event.what != "module" else COPY,
            event=event.index,
        )

    def _elsewhere(self, event: Load) -> None:
        """A kept state that has moved with its model went into another one, or into a file."""
        cause = event.taken_at or event.site
        if not self._moved(event) or self.cases.again(cause, event.step):
            return
        module = self.roster.module_name(event.owner)
        did = ELSEWHERE[event.what]
        self.cases.open(
            cause,
            event.step,
            cause,
            f"the state of `{module}` that was {did} has moved with it for "
            f"{event.step - event.taken} steps since it was taken",
            label="taken here without a copy",
            because=because(
                f"{did} here"
                if event.what != "unchanged"
                else "what was loaded here were the present values",
                event.site,
            ),
            evidence=[
                seen("tensors that are still the model's", len(event.aliases), 0),
                seen("for example", named(self.roster, event.aliases)),
            ],
            help=COPY,
            event=event.index,
        )

    def _moved(self, event: Load) -> bool:
        """Whether a step has moved these tensors since their state was taken."""
        return any(
            step > event.taken
            and not {*self.roster.optimizers[number].tensors}.isdisjoint(event.aliases)
            for number, step in self.stepped.items()
        )
