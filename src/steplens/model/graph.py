"""GraphReading: what a walk of the autograd graph said."""

import msgspec

from steplens.model.site import Site

OPS_READ = 400  # ops kept in a full reading, from the loss down


class Op(msgspec.Struct, frozen=True, gc=False):
    """One node of the autograd graph: an operation of the forward.

    ``name`` is torch's (``LogSoftmaxBackward0``), ``shape`` that of its first output, ``inputs``
    the positions of the ops that made its inputs in ``GraphReading.ops`` (-1 for one that carries
    no gradient, is a leaf, or was not read), ``leaves`` the tensors that feed it directly, ``site``
    the user's line that made it where line detail was on, ``saved`` the small attributes that torch
    keeps (``dim``, ``reduction``).
    """

    name: str
    shape: tuple[int, ...] = ()
    inputs: tuple[int, ...] = ()
    leaves: tuple[int, ...] = ()
    site: Site | None = None
    saved: dict[str, int | float | bool | str] = {}
    forward: int = -1  # index of the Forward event in which it was made, -1 outside


class Broadcast(msgspec.Struct, frozen=True, gc=False):
    """Op number ``op`` made ``result`` of a prediction and an operand without gradient, each of
    them repeated along the other's samples; ``target`` is () where its own shape is not known.
    ``made`` is the line that bound the operand, where that is a variable."""

    op: int
    prediction: tuple[int, ...]
    target: tuple[int, ...]
    result: tuple[int, ...]
    made: Site | None = None


class LogProbs(msgspec.Struct, frozen=True, gc=False):
    """What the NLL loss ``op`` was given: rows looked at, values above 0, the least and the largest
    sum of a row's exponentials (None: infinite). ``source`` is the softmax that made what a
    `kl_div` was given, or the layer, whose values are not read (``rows`` is 0); -1 for an NLL loss.
    ``target`` says that all this is of the target of a `kl_div`: log-probabilities where it takes
    probabilities, or a distribution where it takes their logarithms."""

    op: int
    rows: int
    positive: int
    low: float | None
    high: float | None
    source: int = -1
    target: bool = False


class Labels(msgspec.Struct, frozen=True, gc=False):
    """What the loss ``op`` was given as labels: how many, of which ``strange`` are none that it
    knows, the least and the largest of all."""

    op: int
    count: int
    strange: int
    low: float
    high: float


class Unreachable(msgspec.Struct, frozen=True, gc=False):
    """``count`` of the ``of`` values of the target of the loss ``op``, which go from ``low`` to
    ``high``, lie beyond what the activation ``maker`` gives: ``share`` of their variance."""

    op: int
    maker: int
    count: int
    of: int
    low: float
    high: float
    share: float


class PaddedLabels(msgspec.Struct, frozen=True, gc=False):
    """``count`` of the ``of`` labels of the loss ``op`` are ``token``, at the ends of rows: the
    padding of the tokens that its model was given."""

    op: int
    token: int
    count: int
    of: int


class Single(msgspec.Struct, frozen=True, gc=False):
    """The least and the largest of the ``count`` labels of the NLL loss ``op``, one for each
    sample."""

    op: int
    count: int
    low: int
    high: int


class GraphReading(msgspec.Struct, frozen=True, gc=False):
    """The graph behind one backward.

    ``nodes`` counts all nodes; ``ops`` holds the first of them, the loss's own node at 0, then
    breadth first. ``old_nodes`` counts those made before the previous step of the program ended.
    ``labelled`` are ops whose target has rows that sum to one, looked for where a softmax ran over
    dimension 0. ``apart`` are differences between a leaf and something without a gradient, of which
    a square, norm or the like is taken, and those between a leaf and itself; ``alike`` those of
    them that are 0 in every element. ``labels`` are the losses given labels that they do not know.
    ``divided`` are the numbers by which the loss was divided at its end, one after the other, and
    the place of the op below. ``padded`` are losses that count the padding as labels,
    ``unreachable`` those whose targets lie beyond their predictions' range; ``nil`` those whose
    prediction and target are the same to the last bit, and no mere constant. ``counted`` tells of
    an NLL loss that is averaged and divided by one number: over how many labels, and how many it
    ignored. ``turned`` are losses whose labels and prediction took each other's place.
    """

    nodes: int
    ops: tuple[Op, ...] = ()
    old_nodes: int = 0
    broadcasts: tuple[Broadcast, ...] = ()
    log_probs: tuple[LogProbs, ...] = ()
    labelled: tuple[int, ...] = ()
    apart: tuple[int, ...] = ()
    alike: tuple[int, ...] = ()
    labels: tuple[Labels, ...] = ()
    divided: tuple[tuple[float, ...], int] = ((), 0)
    padded: tuple[PaddedLabels, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    nil: tuple[int, ...] = ()
    counted: tuple[int, int] = (0, 0)
    single: tuple[Single, ...] = ()
    turned: tuple[int, ...] = ()
