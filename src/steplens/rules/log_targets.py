"""Log targets: a `kl_div` whose target is of the other kind than it was told, as SL503 tells."""

from steplens.model.event import Backward
from steplens.model.graph import LogProbs
from steplens.model.site import Site
from steplens.rules.base import Cases, seen


def tell(
    cases: Cases, event: Backward, at: Site | None, given: LogProbs, logs: bool, sums: str
) -> None:
    """Logarithms (``logs``) as a target that is taken for probabilities, or probabilities as one
    that ``log_target=True`` takes for logarithms; ``sums`` are those of their exponentials."""
    if cases.again(at, event.step + 1):
        return
    message, label, expected, help = (
        (
            "`kl_div` was given log-probabilities as its target, which it takes for probabilities",
            "this loss takes the logarithm of its target itself",
            "no matter",
            "say `log_target=True`, or give it the `softmax` of the target's logits",
        )
        if logs
        else (
            "`kl_div` was given probabilities as its target, and `log_target=True`",
            "this loss takes its target for logarithms",
            "1",
            "leave `log_target` out, or give it the `log_softmax` of the target's logits",
        )
    )
    cases.open(
        at,
        event.step + 1,
        at,
        message,
        label=label,
        evidence=(
            seen("values of the target above 0", given.positive, "all" if logs else 0),
            seen("sum of a row's exponentials", sums, expected),
        ),
        help=help,
        event=event.index,
    )
