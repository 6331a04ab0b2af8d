"""What is said of a value that became NaN or infinite, and what to change (SL601)."""

from steplens.model.event import Origin, Values

HELP = {
    "sqrt": "keep the argument of `sqrt` above 0, as with `.clamp_min(1e-12)` or `+ eps` under it",
    "log": "keep the argument of `log` above 0, as with `.clamp_min(1e-12)`, or use the loss "
    "function that takes logits",
    "division": "keep the divisor away from 0, as with `.clamp_min(eps)`",
    "softmax": "leave at least one entry of each row unmasked",
    "log_softmax": "leave at least one entry of each row unmasked",
    "acos": "keep the argument within -1 and 1, as with `.clamp(-1 + eps, 1 - eps)`",
    "nll_loss": "leave out batches in which every label is ignored, or sum and divide by "
    "`count.clamp_min(1)`",
    "ctc_loss": "pass `zero_infinity=True`, or leave out samples whose target does not fit",
    "exp": "bound the argument of `exp` from above, or use a form such as `logsumexp`",
}
OWN_CAUSE = "under a finite loss"  # in the message of a value that nothing else explains
EMPTY = "leave out batches of which nothing is selected, or sum and divide by `count.clamp_min(1)`"
NOTHING = "no element to average"  # the point of a mean, or of a loss that takes one
OTHER = "look at the values that this operation is given, at the data and at the learning rate"


def advice(origin: Origin | None) -> str:
    """What to change where this operation made the value."""
    if origin is not None and origin.point == NOTHING:
        return EMPTY
    return HELP.get(origin.op if origin is not None else "", OTHER)


def words(event: Values) -> tuple[str, str]:
    """The message, without its step, and the label."""
    origin = event.origin
    if origin is None or not origin.op:
        if not event.loss_finite:
            return "the loss became NaN or infinite", "not finite from here on"
        kind = "gradients" if event.bad_gradients else "parameters"
        return f"{kind} became NaN or infinite", "not finite from here on"
    if origin.how == "input":
        told = f"`{origin.op}` was given values that are not finite"
        return f"{told}, and the loss became so", "its input was not finite"
    label = f"`{origin.op}` had {origin.point}"
    if not origin.measured:
        label = f"of this loss's operations, only `{origin.op}` can: it may have {origin.point}"
    if origin.how == "forward":
        return f"`{origin.op}` gave values that are not finite, and the loss became so", label
    return f"the gradient of `{origin.op}` became NaN or infinite {OWN_CAUSE}", label
