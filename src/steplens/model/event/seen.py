"""What every Event has, and the parts that several Events are made of."""

import msgspec

from steplens.model.site import Site

Real = float | None  # None in a file stands for a number that was not finite: JSON has none


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """What one backward added to a gradient: its Backward event and the Step events that have
    already used it."""

    backward: int
    used_by: tuple[int, ...] = ()


class Share(msgspec.Struct, frozen=True, gc=False):
    """Tensors whose gradients hold the same contributions, oldest first."""

    tensors: tuple[int, ...]
    holds: tuple[Contribution, ...]


class Overlap(msgspec.Struct, frozen=True, gc=False):
    """Old and new part of a gradient that a second backward added to: L2 norms over all tensors,
    and their cosine."""

    tensors: int
    old_norm: Real
    new_norm: Real
    cosine: Real


class Seen(msgspec.Struct, frozen=True, gc=False, tag_field="kind"):
    """What every Event has: its place in the Timeline, the steps ended before it, and the user's
    line."""

    index: int
    step: int
    site: Site | None
