"""Shared moments: two optimizers whose state is one, as SL313 tells of them."""

from steplens.model.event import Load
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, seen


def tell(roster: Roster, cases: Cases, event: Load) -> None:
    """Both have stepped in turn since the load at this line."""
    if cases.again(("moments", event.site), event.step + 1):
        return
    given, owner = roster.optimizers[event.owner], roster.optimizers[event.taken]
    cases.open(
        ("moments", event.site),
        event.step + 1,
        event.site,
        f"the `{given.type}` was given the state of another one, and both go on in the same "
        "memory: each step writes the moments of the other",
        label="loads the other's tensors themselves",
        because=(
            *because("the one that was given it was made here", given.site),
            *because("its owner was made here", owner.site if owner.site != given.site else None),
        ),
        evidence=(seen("tensors of state that both write", event.given, 0),),
        help="load a copy: `b.load_state_dict(copy.deepcopy(a.state_dict()))`",
        event=event.index,
    )
