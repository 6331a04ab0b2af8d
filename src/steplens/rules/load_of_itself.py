"""SL312: a state that was loaded into the very tensors it consists of."""

from steplens.model.event import Load
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, rule, seen


@rule("SL312", "load-of-itself", "error", needs=("load",), claims=("state-dict-is-a-view",))
class LoadOfItself:
    """A `load_state_dict` whose tensors are those it loads into.

    ## What it does
    Reports a load in which every tensor given shares memory with the one it is loaded into, after
    the program has trained: the state that was to be restored has moved with the model. Reports a
    line, too, that copies all trained parameters of a model (`p.data.copy_(kept[name])`) from a
    list or dictionary whose tensors are these parameters' own memory.

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

    def load(self, event: Load) -> None:
        whole = bool(event.aliases) and len(event.aliases) >= event.given
        if event.what not in ("module", "copy") or not whole:
            return
        if not event.step or self.cases.again((event.owner, event.site), event.step):
            return
        module = self.roster.module_name(event.owner)
        moved = event.step - event.taken if event.taken >= 0 else 0
        since = f", taken {moved} steps ago" if moved else ""
        copied = event.what == "copy"
        did, act = ("copied", "copy") if copied else ("loaded", "load")
        said = f"`{module}` was loaded from its own tensors{since}"
        if copied:
            said = f"the parameters of `{module}` were copied from their own memory"
        self.cases.open(
            (event.owner, event.site),
            event.step,
            event.taken_at or event.site,
            f"{said}: the {act} changes nothing",
            label="taken here without a copy" if event.taken_at else f"{did} here",
            because=because(f"{did} here, from itself", event.site if event.taken_at else None),
            evidence=[
                seen(
                    "tensors given that share memory with their targets",
                    f"{len(event.aliases)} of {event.given}",
                    f"0 of {event.given}",
                ),
                seen("for example", named(self.roster, event.aliases)),
            ],
            help="keep a copy: `p.detach().clone()`"
            if copied
            else "keep a copy: `copy.deepcopy(model.state_dict())`, or "
            "`{key: value.clone() for key, value in model.state_dict().items()}`",
            event=event.index,
        )
