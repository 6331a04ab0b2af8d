"""Events of a forward and of a backward, and of the modes they run in."""

from steplens.model.event.seen import Overlap, Seen
from steplens.model.graph import GraphReading
from steplens.model.site import Site


class Mode(Seen, frozen=True, tag="mode"):
    """The outermost ``train(training)`` or ``eval()`` call on ``module``; ``switched`` modules
    changed their flag. ``missed`` are the modules inside of it where the call reached none of them:
    ``override`` is the ``train`` method of the user's class that keeps it from them."""

    module: int
    training: bool
    switched: tuple[int, ...] = ()
    missed: tuple[int, ...] = ()
    override: Site | None = None


class GradMode(Seen, frozen=True, tag="grad-mode"):
    """Gradient recording switched by the user's code: ``how`` is the call (``set_grad_enabled``,
    ``no_grad``), ``form`` one of enter, exit, call."""

    enabled: bool
    how: str
    form: str


class Forward(Seen, frozen=True, tag="forward"):
    """A forward of an outermost module call.

    ``grad`` is the grad mode, ``recorded`` whether an output carries a graph, ``modes`` a position
    in ``Roster.modes`` (-1: nothing mode-sensitive), ``ran`` the modules that ran inside (in the
    detail window), ``fed_by`` the Forward events whose outputs it was given, ``statistics`` the
    norms whose running statistics it moved, ``drew`` whether it drew random numbers (None: not
    looked at), ``off_since`` the GradMode event that left gradient recording off without a running
    ``with`` block (-1: none).
    """

    module: int
    grad: bool
    recorded: bool
    training: bool
    modes: int = -1
    ran: tuple[int, ...] | None = None
    fed_by: tuple[int, ...] = ()
    statistics: tuple[int, ...] = ()
    drew: bool | None = None
    off_since: int = -1
    inference: bool = False
    purpose: str = ""  # update_bn, checkpoint, function: the torch routine it runs on behalf of
    again: int = -1  # the Forward just before it that was given the very same tensors (no grad)
    discarded: bool = False  # the caller threw the output away (mode-sensitive modules)
    dark: tuple[int, ...] = ()  # frozen norms in train mode whose inputs carried no graph
    without_grad: tuple[int, ...] = ()  # of `ran`, those that ran with grad mode off only
    # of `ran`, those that were given nothing that others made with a graph; None: not looked at
    raw: tuple[int, ...] | None = None
    drawn: bool = False  # the source says that it was given what was drawn at random


class Blended(Seen, frozen=True, tag="blended"):
    """After each of so many ``updates``, a parameter that no optimizer holds (tensor ``average``
    of ``module``) was what mixing it with the trained one, ``source``, makes of it, and it kept
    ``share`` of itself at the most. ``written`` is the line that writes parameters of one model by
    those of another."""

    module: int
    average: int
    source: int
    share: float
    updates: int
    written: Site | None = None


class Behind(Seen, frozen=True, tag="behind"):
    """A ``module`` that no optimizer holds was asked in eval mode, and all of its ``count`` norms
    had the statistics of a new one; ``norms`` are those whose weights are trained. ``written`` is
    the line that writes parameters of one model by those of another. With ``averaged``, it is an
    average of so many models, made on the line ``written``, and nothing wrote its norms' statistics
    since: they are those of the last of these models. ``unfed``: it is an average, made on the line
    ``written``, that no model had gone into to the end of the run, in ``count`` steps; ``named``
    says that code which ran names the method that would do it."""

    module: int
    norms: tuple[int, ...]
    count: int
    written: Site | None = None
    averaged: int = 0
    unfed: bool = False
    named: bool = False


class Drop(Seen, frozen=True, tag="drop"):
    """A dropout dropped values inside ``module``, the innermost one running, which is in eval mode.

    ``given`` says that the call wrote a training argument; ``stray`` is the number of a Dropout
    module that ``module`` does not hold, so that ``eval()`` cannot reach it (-1: a function).
    ``dropped`` of ``of`` nonzero values are zero now. ``masked``: by a mask that a layer of the
    program's own (``function``) draws.
    """

    module: int
    function: str
    p: float
    given: bool = False
    stray: int = -1
    dropped: int = 0
    of: int = 0
    masked: bool = False


class Backward(Seen, frozen=True, tag="backward"):
    """A backward pass: ``leaves`` received a contribution, ``forwards`` are the Forward events its
    graph reaches.

    ``inside`` is the Step (its future index is not known, so the optimizer's number) in whose
    closure it ran, -1 outside. ``overwrote`` lists the Shares whose gradients, already used by a
    step, this backward added to; ``loss`` is the value where it was looked at.
    """

    leaves: tuple[int, ...]
    forwards: tuple[int, ...] = ()
    graph: GraphReading | None = None
    retain_graph: bool = False
    create_graph: bool = False
    inside: int = -1
    loss: float | None = None
    weighted: bool = False  # a gradient= argument was given
    root_leaf: bool = False  # the loss is itself a leaf: no operation made it
    # optimizers that hold leaves of it, have never stepped, and whose tensors (those looked at)
    # still bear the bits of the first backward that reached them, though their gradient is not zero
    still: tuple[int, ...] = ()
    unrun: tuple[Site | None, ...] = ()  # lines of the running code that name the steps of `still`
    strays: tuple[int, ...] = ()  # leaves in no optimizer, reached before, that nobody wrote since
    nodes: int = 0  # of its graph
    old_nodes: int = 0  # of them made before the last step ended
    again: int = 0  # of them gone through by an earlier backward with retain_graph too
    # leaves in no optimizer whose gradient has moved them by hand twice and was not cleared, and
    # the cosine of that way with the falling gradient
    by_hand: tuple[int, ...] = ()
    along: float = 0.0
    scaled: bool = False  # its loss bore a GradScaler's scale
    # the optimizers whose tensors each summand of its loss depends on, where it has several and
    # there are several; read at the first passes of each line
    summands: tuple[tuple[int, ...], ...] = ()
    # leaves whose gradients still held what the optimizer that runs the closure had read after an
    # earlier evaluation of it, and a comparison of that part with what this pass added
    piled: tuple[int, ...] = ()
    overlap: Overlap | None = None


class GradCall(Seen, frozen=True, tag="grad"):
    """``torch.autograd.grad``: ``forwards`` as in Backward, ``leaves`` the targets that are known
    tensors."""

    leaves: tuple[int, ...] = ()
    forwards: tuple[int, ...] = ()
    create_graph: bool = False
