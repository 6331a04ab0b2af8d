"""Turned sides: a loss that was given its labels first, as SL510 tells of it."""

from steplens.model.event import Backward
from steplens.model.graph import Op
from steplens.model.site import Site
from steplens.rules.base import Cases, seen
from steplens.rules.chains import stem


def tell(cases: Cases, event: Backward, at: Site | None, op: Op) -> None:
    """A binary cross-entropy took the labels for its prediction."""
    if cases.again(at, event.step + 1):
        return
    logits = stem(op).endswith("WithLogits")
    cases.open(
        at,
        event.step + 1,
        at,
        "binary cross-entropy was given the labels first and the prediction second",
        label="takes the labels for the prediction",
        evidence=(
            seen("first argument", "from 0 to 1, without a graph", "the prediction"),
            seen("second argument", "the outcome of a graph", "the labels"),
        ),
        help=f"exchange the two: `binary_cross_entropy{'_with_logits' if logits else ''}"
        "(prediction, labels)`",
        event=event.index,
    )
