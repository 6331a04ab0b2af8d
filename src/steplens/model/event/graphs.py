"""Events of graphs: made and never used, cut, kept alive."""

from steplens.model.event.seen import Real, Seen
from steplens.model.site import Site


class Idle(Seen, frozen=True, tag="idle"):
    """The graph that Forward event ``forward`` made in eval mode is gone. ``nodes`` and ``bytes``
    (of saved tensors, parameters left out) were measured when it was made, -1 where they were
    not."""

    forward: int
    nodes: int = -1
    bytes: int = -1


class Cut(Seen, frozen=True, tag="cut"):
    """Values taken out of the graph by the user's line: ``how`` is detach, item, tolist, numpy or
    torch.tensor, ``leaves`` what they depend on. Heard at the steps at which values are read, the
    first times at each place; and by any operation (``data``, ``argmax``, ``>``) or ``no_grad``, in
    the forwards after a step that held tensors which no backward had reached. With backward, the
    line of a Function's backward that gave ``leaves`` no gradient; with checkpoint, the line of a
    reentrant one whose block was given nothing that requires one. ``caller`` is the
    user's line that called the one of a decorated function, ``decorated`` the decorator's.
    ``graph``: under ``no_grad``, values that had been made with a graph were used; ``dark``: it was
    on already as the outermost forward began."""

    how: str
    leaves: tuple[int, ...] = ()
    caller: Site | None = None
    decorated: Site | None = None
    graph: bool = False
    dark: bool = False


class Drawn(Seen, frozen=True, tag="drawn"):
    """``sample`` of a distribution of this ``family`` gave a value without a gradient, though what
    it is made of has one. A loss went through that value and through the distribution's parameters,
    ``times`` by now, and no ``log_prob`` was asked in between; or, with a ``weight``, a loss
    multiplied the value's ``log_prob`` by that, for all that was drawn."""

    family: str
    times: int = 2
    weight: Real = 0.0


class Term(Seen, frozen=True, tag="term"):
    """A loss was about to go backward that adds a number without a graph, computed from what has
    one: ``how`` cut it off at ``site`` (an operation without a derivative, or ``autograd.grad``
    without ``create_graph``), and nothing on purpose (``detach``, ``no_grad``). ``joined`` is the
    line of the sum; ``value`` what it adds to ``loss``, before any factor of the sum's."""

    how: str
    value: Real = None
    loss: Real = None
    joined: Site | None = None


class Kept(Seen, frozen=True, tag="kept"):
    """Graphs of ``graphs`` earlier steps are alive, one more with each of the last steps.

    ``form`` is what holds them: sum (one tensor whose graph has grown over them), state (one that
    each forward is given by the one before), list, dict, deque (one with a bound), '' unknown;
    ``name`` the user's name of it, ``where`` the line that keeps them, ``made`` the line that made
    the first of what is kept, or of the first of their backward passes, ``nodes`` how many graph
    nodes the holder reaches, ``counts`` the graphs alive at the last steps. ``caller`` is the line
    that gives them to the function that keeps them.
    """

    graphs: int
    form: str = ""
    name: str = ""
    where: Site | None = None
    made: Site | None = None
    nodes: int = 0
    counts: tuple[int, ...] = ()
    caller: Site | None = None
