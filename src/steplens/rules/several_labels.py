"""Several labels: samples with more than one, of which a softmax gives one, as SL510 tells."""

from steplens.model.event import Backward
from steplens.model.graph import GraphReading, Unreachable
from steplens.model.site import Site
from steplens.rules.base import Cases, because, number, seen
from steplens.rules.chains import stem


def tell(
    cases: Cases, event: Backward, at: Site | None, reading: GraphReading, far: Unreachable
) -> None:
    """``far`` counts the samples whose labels sum to more than 1, and has the least and the largest
    sum."""
    maker = reading.ops[far.maker]
    binary = stem(reading.ops[far.op]) == "BinaryCrossEntropy"
    cases.open(
        at,
        event.step + 1,
        at,
        (
            "binary cross-entropy was given the output of a softmax, and "
            if binary
            else "cross-entropy takes one label for each sample, or a distribution, and "
        )
        + f"{far.count} of {far.of} samples have several labels: the outputs sum to 1, and cannot "
        "come to these",
        label="this loss asks each class by itself" if binary else "the classes compete here",
        because=because(
            "a softmax lets the classes compete",
            maker.site if binary and maker.site != at else None,
        ),
        evidence=(
            seen("samples with several labels", f"{far.count} of {far.of}", 0),
            seen("labels of a sample", f"{number(far.low)} to {number(far.high)}", "1"),
        ),
        help="take a sigmoid of each class: `binary_cross_entropy_with_logits` of the logits",
        severity="warning",
        event=event.index,
    )
