"""Values: the numbers read at a step some time after it, and what they tell."""

import msgspec

from steplens.model.chronicle import Size
from steplens.model.event.seen import Real, Seen
from steplens.model.site import Site


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The operation that made the first non-finite value.

    ``op`` is its name in words (``sqrt``), ``how`` is gradient (its output was finite), forward or
    input (it was given the value), ``point`` says where it stood, for ``elements`` of its elements
    when ``measured``; else it is the only operation in the graph that has such a point. ``source``
    is where the variable was bound that an operation was given and that held the value.
    """

    op: str
    how: str
    point: str
    site: Site | None = None
    elements: int = 0
    measured: bool = True
    source: Site | None = None


class Faint(msgspec.Struct, frozen=True, gc=False):
    """A tensor whose gradient norm is 0 or under 1e-8 of the largest one at the same look."""

    tensor: int
    norm: Real


class Units(msgspec.Struct, frozen=True, gc=False):
    """Units of a ReLU behind the weight ``tensor``: ``dead`` gave 0 for every one of ``samples``
    samples seen at the latest looks (eight at most), of ``looks`` so far. With a ``kind`` (tanh,
    sigmoid), ``dead`` is the part of all outputs that had no slope, in units, at the look at which
    most had one."""

    tensor: int
    units: int
    dead: int
    samples: int
    looks: int
    site: Site | None = None
    kind: str = ""


class Twins(msgspec.Struct, frozen=True, gc=False):
    """Rows (or columns) of a weight, bit-equal when first seen: ``pairs`` then, ``left`` still.

    ``moved`` is how far they have gone since, ``apart`` the largest difference between the rows of
    a pair now; both 0 when neither gradient nor step ever reached them. ``site`` is the line that
    filled the weight, where it is known.
    """

    tensor: int
    rows: int
    pairs: int
    left: int
    moved: Real
    apart: Real
    gradient: Real
    site: Site | None = None
    axis: int = 0  # 1: columns


class Values(Seen, frozen=True, tag="values"):
    """Values read at the Step (or, outside of steps, Backward) event ``of``, some time after it.

    ``loss`` is that of the latest backward (None: not read, or not finite: ``loss_finite``),
    ``gradient`` the L2 norm of all gradients that the step used (None: not read, or not finite).
    ``bad_gradients`` and ``bad_parameters`` hold non-finite values (at most 64 are named,
    ``bad`` counts them), ``finite_at`` is the step after which all was last seen finite and
    ``before`` the gradient norm then. The rest is read at full looks only (``full``):
    ``largest`` is the tensor with the largest gradient, ``ratio`` the largest |update|/|weight|.
    """

    of: int
    optimizer: int = -1
    at: Site | None = None
    loss: float | None = None
    loss_finite: bool = True
    gradient: float | None = None
    bad_gradients: tuple[int, ...] = ()
    bad_parameters: tuple[int, ...] = ()
    bad: int = 0
    finite_at: int = -1
    before: float | None = None
    origin: Origin | None = None
    full: bool = False
    tensors: int = 0  # that had a gradient
    largest: int = -1
    largest_norm: Real = 0.0
    faint: tuple[Faint, ...] = ()
    ratio: float | None = None
    units: tuple[Units, ...] = ()
    twins: tuple[Twins, ...] = ()
    looks: int = 0  # full looks at this optimizer so far
    recovered: bool = False  # tensors of it that were not finite are finite at the end
    sizes: tuple[Size, ...] = ()  # of each tensor with a gradient; heard, not kept in the Timeline
