"""GraphReading: what a walk of the autograd graph said."""

import msgspec

from steplens.model.site import Site


class Op(msgspec.Struct, frozen=True):
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


class GraphReading(msgspec.Struct, frozen=True):
    """The graph behind one backward.

    ``nodes`` counts all nodes; ``ops`` holds the first of them, the loss's own node at 0, then
    breadth first. ``old_nodes`` counts those made before the previous step of the program ended.
    """

    nodes: int
    ops: tuple[Op, ...] = ()
    old_nodes: int = 0
