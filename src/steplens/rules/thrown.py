"""Thrown: an update by hand whose result goes nowhere, as SL204 tells of it."""

from steplens.rules.base import Cases, because
from steplens.rules.unstepped import NONE, Suspect


def tell(cases: Cases, suspect: Suspect, index: int) -> None:
    """The parameters ``suspect`` of a program without optimizers get gradients, and the line that
    is to update them writes nothing; ``index`` is the event at which this is told."""
    cases.open(
        NONE,
        suspect.first,
        suspect.unrun,
        "the update by hand makes new values and drops them: no parameter changes",
        label="the result goes nowhere",
        because=[
            *because("this backward made gradients", suspect.backward),
            *because("they were cleared unused here", suspect.clear),
        ],
        help="write in place, under `torch.no_grad()`: `p -= lr * p.grad`, `p.sub_(...)`",
        event=index,
        tensors=suspect.tensors,
    )
