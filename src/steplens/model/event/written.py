"""Events of state that something else than a step wrote, tied or holds."""

from steplens.model.event.seen import Real, Seen
from steplens.model.site import Site
from steplens.model.state import Change


class Write(Seen, frozen=True, tag="write"):
    """Parameters or buffers written outside a step: ``replaced`` of ``elements`` looked at bear no
    relation to what stood there.

    ``how`` is load, hand or init (a function of ``torch.nn.init`` or ``reset_parameters``), rewound
    (put back to what they held before their optimizer's first step), or zeroed: these elements were
    set to zero before the last step, and the optimizer's state alone has moved them since. Norms
    are of the elements looked at.
    """

    tensor: int
    how: str
    elements: int = 0
    replaced: int = 0
    before_norm: Real = 0.0
    after_norm: Real = 0.0
    caller: Site | None = None  # the user's line that called the function with the write in it


class Load(Seen, frozen=True, tag="load"):
    """``load_state_dict`` of a module, optimizer, scheduler or scaler, or (``what`` is copy or
    average) all trained parameters of a module copied onto themselves, or averaged with themselves,
    by hand; ``aliases`` are tensors loaded from their own storage. Or (elsewhere, save) a state
    taken at an earlier step that was loaded into another module or saved: ``aliases`` are the
    parameters that it still is, ``owner`` is their model. Or (unchanged) loads at one line that
    brought a module the very values it had, each time, while a state of it that was taken at an
    earlier step is still held: ``aliases`` are the module's tensors, ``taken`` and ``taken_at`` are
    that state's. Or (undone) a load all of whose matrices (``aliases``) were drawn anew, at
    ``taken_at``, before a forward of the module. Or (moments) an optimizer that was given the state
    of another, ``taken``, of other parameters: both have stepped in turn since, and ``given``
    tensors of state are one memory. Or (hoarded) a ``state_dict`` whose line has taken ``given``
    states of ``aliases``, all still held, the first at step ``taken``. Where the state had none of
    a module's names, ``unknown`` counts those that it had, ``own`` and ``other`` are the first of
    the module's and of those, ``under`` the first of those that holds a dictionary. ``bound`` are
    the lines that made the two sides of a load one module."""

    what: str
    owner: int
    aliases: tuple[int, ...] = ()
    given: int = 0  # tensors given under the owner's names
    taken: int = -1  # the step at which the aliased state_dict was made, -1 unknown
    taken_at: Site | None = None
    unknown: int = 0
    own: str = ""
    other: str = ""
    under: str = ""
    bound: tuple[Site, ...] = ()


class Line(Seen, frozen=True, tag="line"):
    """A line of the user's code that changed the state, in the detail window. ``run`` counts how
    often the line has run."""

    changes: tuple[Change, ...]
    run: int = 1


class Flagged(Seen, frozen=True, tag="flagged"):
    """A line that set ``requires_grad`` of parameters to ``trainable``, once the detail window is
    over: the flags were read before it and before what came next."""

    tensors: tuple[int, ...]
    trainable: bool


class Drift(Seen, frozen=True, tag="drift"):
    """Parameters whose values the program has changed, though no optimizer that has stepped holds
    them: written by hand since they were first looked at. Told once for each."""

    tensors: tuple[int, ...]


class Parted(Seen, frozen=True, tag="parted"):
    """Two tensors that were one (or shared memory), reached by backward passes as two: ``site`` is
    where they were parted, ``tied`` where they had been tied. ``one_name`` is the place that was
    given another tensor; ``distance`` the L2 norm of their difference. ``memory`` says that they
    never parted: two Parameters of one optimizer over one memory, each with a gradient; ``tied`` is
    then where one was made, and ``site`` where it was given the memory of the other, if known."""

    one: int
    other: int
    tied: Site | None = None
    one_name: str = ""
    other_name: str = ""
    distance: float | None = None
    memory: bool = False


class Shared(Seen, frozen=True, tag="shared"):
    """``module`` is another object than ``model``, which an optimizer steps, and all its parameters
    lie in the same memory. ``shallow`` says that it is a ``copy.copy``; ``made`` where it was
    made, ``given`` where it was given that memory."""

    module: int
    model: int
    tensors: int = 0
    shallow: bool = False
    made: Site | None = None
    given: Site | None = None


class Misnamed(Seen, frozen=True, tag="misnamed"):
    """A plain attribute ``name`` set to False on parameters or a module, that torch does not know:
    ``tensors`` went on requiring gradients; or one set to True, and they do not require any.
    ``site`` is the line that sets it, where the code has one such line."""

    name: str
    tensors: tuple[int, ...] = ()
    module: int = -1
    value: bool = False


class Vain(Seen, frozen=True, tag="vain"):
    """A line that changes nothing. ``what`` is clip (``name`` is the expression, whose result goes
    nowhere), name (``name`` is a statement that binds a loop's variable), bind (one that binds it
    to another variable of the loop, which does nothing else), drop (``name`` is a statement that
    makes new values of a tensor, which go nowhere), made (``name`` is a statement that makes a new
    tensor of one that is used on, and drops it), fraction (``value`` was written into a tensor of
    integers, ``name`` is its type), repeat (``name`` made a list of ``value`` layers that are one),
    unset (the parameter ``name`` holds what its memory held), best (``name`` is a statement that
    keeps the model itself where the best one was to be kept), rate (``value`` was set as ``name``
    of ``optimizer``, which no step reads), faint (the line that brings the rate of ``optimizer``
    down by hand, now to ``value``: next to nothing), early (the line at which a loop over a loader
    of ``value`` batches returns the sum ``name`` in its first round), rectified (an activation has
    written over the variable ``name``, which a sum on the line ``other`` reads) inverted (``name``
    is the test ``i % k`` of an if that runs the step on the line ``other``, in code that divides by
    ``k``), plateau-loss or plateau-hits (a plateau's scheduler cut the rate of ``optimizer`` at the
    best ``value`` of ``name`` so far, given it on the line ``other``: a loss, and it waits for a
    rise; or right answers, and it waits for fewer), uncalled (``name`` names a method, and does
    not call it), lost (the loss ``name`` is computed, and bound anew on the line ``other``
    before anything reads it), copied (the line copies the weights of a table and a head,
    ``name``, which begin as one and are two, or those of two layers of which one is the other's
    transpose, where ``of`` is 1; ``value`` is 1 where its function or class says that it ties
    them), scattered (``of`` rows are added to the places ``name``, and ``value`` of them are lost,
    as others are for the same place), bootstrapped (the line makes a target of an estimate, which
    ``value`` parameters have made that made the prediction, too, as the loss on the line ``other``
    takes them), ended (step ``name``, the first is 1, is read of ``of``
    sequences, ``value`` of which have ended before it) or cancelled (the line adds a value and
    takes it away again; ``name`` is the operation within the other)."""

    what: str
    name: str
    optimizer: int = -1
    value: float | None = None
    other: Site | None = None
    of: int = 0


class Held(Seen, frozen=True, tag="held"):
    """A plain tensor attribute ``name`` of ``module``, neither parameter nor buffer, that forwards
    in training read and changed; ``made`` is the line of the module's class that sets it first."""

    module: int
    name: str
    shape: tuple[int, ...] = ()
    reads: int = 0
    made: Site | None = None
