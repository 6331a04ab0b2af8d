"""Several: samples with more than one label, of which a softmax gives one, as SL510 tells."""

from steplens.model.event import Backward
from steplens.model.graph import Op, Unreachable
from steplens.model.site import Site
from steplens.rules.base import Cases, because, number, seen


def tell(cases: Cases, event: Backward, at: Site | None, maker: Op, far: Unreachable) -> None:
    """``far`` counts the samples whose labels sum to more than 1, and has the least and the largest
    sum."""
    cases.open(
        at,
        event.step + 1,
        at,
        f"binary cross-entropy was given the output of a softmax, and {far.count} of {far.of} "
        "samples have several labels: the outputs sum to 1, and cannot come to these",
        label="this loss asks each class by itself",
        because=because(
            "a softmax lets the classes compete", maker.site if maker.site != at else None
        ),
        evidence=(
            seen("samples with several labels", f"{far.count} of {far.of}", 0),
            seen("labels of a sample", f"{number(far.low)} to {number(far.high)}", "1"),
        ),
        help="take a sigmoid of each class: `binary_cross_entropy_with_logits` of the logits",
        severity="warning",
        event=event.index,
    )
