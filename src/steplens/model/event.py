"""Event: one observed call, its Site, its step number and what it changed.

Events refer to each other by ``index`` and to tensors, modules and optimizers by their number in
the Roster. ``step`` is the number of optimizer steps that had ended when the Event happened.
"""

import msgspec

from steplens.model.chronicle import Size
from steplens.model.graph import GraphReading
from steplens.model.site import Site
from steplens.model.state import Change

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


class Seen(msgspec.Struct, frozen=True, gc=False, tag_field="kind"):
    """What every Event has: its place in the Timeline, the steps ended before it, and the user's
    line."""

    index: int
    step: int
    site: Site | None


class Mode(Seen, frozen=True, tag="mode"):
    """The outermost ``train(training)`` or ``eval()`` call on ``module``; ``switched`` modules
    changed their flag."""

    module: int
    training: bool
    switched: tuple[int, ...] = ()


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


class GradCall(Seen, frozen=True, tag="grad"):
    """``torch.autograd.grad``: ``forwards`` as in Backward, ``leaves`` the targets that are known
    tensors."""

    leaves: tuple[int, ...] = ()
    forwards: tuple[int, ...] = ()
    create_graph: bool = False


class Clear(Seen, frozen=True, tag="clear"):
    """Contributions removed: ``by`` is optimizer, module or hand, ``owner`` its number (-1 for
    hand).

    ``lost`` holds what the gradients held. A clear by hand is seen, not heard: it bears the site of
    the event that noticed it unless line detail knows the line.
    """

    by: str
    owner: int
    lost: tuple[Share, ...]
    to_none: bool = True
    tensors: int = 0  # how many tensors the call covered
    # L2 norm of the unused gradients lost (of 32 tensors at most): -1 not read, None not finite
    norm: float | None = -1.0


class Overlap(msgspec.Struct, frozen=True, gc=False):
    """Old and new part of a gradient that a second backward added to: L2 norms over all tensors,
    and their cosine."""

    tensors: int
    old_norm: Real
    new_norm: Real
    cosine: Real


class Update(msgspec.Struct, frozen=True, gc=False):
    """What a step did to one tensor, in values: the L2 norms of update and weight, ``fresh`` what
    an optimizer with fresh state would have done, ``changed`` how many elements were replaced
    before it, ``write`` the Write event that replaced them."""

    tensor: int
    update: Real
    weight: Real
    fresh: float | None = None
    changed: int = -1
    write: int = -1
    apart: float | None = None  # norm of the difference between update and fresh update


class Effect(msgspec.Struct, frozen=True, gc=False):
    """What a step did to the ``elements`` whose gradient was finite and not zero: ``still`` of them
    kept their bits. Looked at in samples, in full where a sample stood still; ``narrow`` says that
    all are of 16 bits, ``foreign`` that the optimizer is not torch's own."""

    elements: int
    still: int
    tensors: int = 0
    grad_norm: float | None = None
    weight_norm: float | None = None
    narrow: bool = False
    foreign: bool = False


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """What the ranks exchanged between two steps of an optimizer whose tensors lie in the
    DistributedDataParallel ``wrapper`` (a module) of ``ranks`` processes.

    ``collectives`` were launched, ``within`` backward passes or elsewhere. ``kept`` says that the
    gradients still bore the bits that the newest backward left, ``written`` that the parameters
    changed meanwhile; both are looked at only where something was launched, outside of backward
    passes, and ``written`` only if the gradients of the step before were not averaged.
    """

    wrapper: int
    ranks: int
    collectives: int
    within: int = 0
    kept: bool = False
    written: bool = False

    @property
    def averaged(self) -> bool:
        """Whether the gradients may have been averaged over the ranks."""
        return self.within > 0 or (self.collectives > 0 and not self.kept)


class Step(Seen, frozen=True, tag="step"):
    """An optimizer step.

    ``uses`` are the contributions it used, by Share, as they stood before it (``used_by`` does not
    yet name this step). ``idle`` are its tensors that held no gradient, ``unknown`` those whose
    gradient no backward explains (written by hand). ``moved`` counts tensors whose write counter
    moved. ``skipped`` is set when a GradScaler held it back on purpose. ``lrs`` are the learning
    rates by group. ``updates`` tells of tensors replaced since the last step of this optimizer
    while its state stayed. ``overlap`` compares the used and the new part of gradients that were
    never cleared.
    """

    optimizer: int
    uses: tuple[Share, ...]
    idle: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    moved: int = 0
    lrs: tuple[float, ...] = ()
    skipped: bool = False
    closure: bool = False
    updates: tuple[Update, ...] = ()
    constrained: tuple[int, ...] = ()  # written by hand before this step and the one before it
    frozen: tuple[int, ...] = ()  # idle ones that no backward ever reached: no gradient required
    unreached: tuple[int, ...] = ()  # idle ones that no backward ever reached and nobody wrote
    thawed: tuple[int, ...] = ()  # moved though requires_grad was set to False before
    effect: Effect | None = None  # where the parameters seem to have stood still
    overlap: Overlap | None = None
    grad_norm: float | None = None
    rewritten: int = 0  # gradients written in place by hand since their newest contribution
    unmoved: tuple[int, ...] = ()  # tensors with a gradient that it did not write
    drifted: tuple[int, ...] = ()  # tensors without one that it wrote: momentum, weight decay
    untouched: bool = False  # no counter of its tensors moved since its last step, or its making
    exchange: Exchange | None = None  # where a DistributedDataParallel holds its tensors


class Write(Seen, frozen=True, tag="write"):
    """Parameters or buffers written outside a step: ``replaced`` of ``elements`` looked at bear no
    relation to what stood there.

    ``how`` is load, hand or init (a function of ``torch.nn.init`` or ``reset_parameters``). Norms
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
    parameters that it still is, ``owner`` is their model."""

    what: str
    owner: int
    aliases: tuple[int, ...] = ()
    given: int = 0  # tensors given under the owner's names
    taken: int = -1  # the step at which the aliased state_dict was made, -1 unknown
    taken_at: Site | None = None


class Clip(Seen, frozen=True, tag="clip"):
    """``clip_grad_norm_`` or ``clip_grad_value_``: ``shares`` what the gradients held then,
    ``idle`` tensors without a gradient, ``unknown`` how many were written by hand, ``scaled`` that
    a GradScaler's scale was still on one of them.

    ``bound`` is None for infinity, which only measures. ``others`` are the Shares of tensors
    outside the call whose gradients hold unused contributions, where none inside it did.
    """

    how: str
    bound: float | None
    shares: tuple[Share, ...] = ()
    idle: tuple[int, ...] = ()
    others: tuple[Share, ...] = ()
    scaled: bool = False
    unknown: int = 0
    reached: int = 0  # tensors of the call that some backward has reached so far


class Schedule(Seen, frozen=True, tag="schedule"):
    """A scheduler's step: ``count`` is how many it has made, ``lrs`` the learning rates after
    it."""

    scheduler: int
    optimizer: int
    count: int
    lrs: tuple[float, ...] = ()
    given: bool = False  # the epoch was given as an argument


class Scale(Seen, frozen=True, tag="scale"):
    """A GradScaler's call: ``how`` is scale, unscale, step or update; ``skipped`` that its step was
    held back."""

    how: str
    optimizer: int = -1
    skipped: bool = False


class Batch(Seen, frozen=True, tag="batch"):
    """A DataLoader's pass: ``form`` is epoch (an iterator was made), batch or end; ``loader``
    numbers the DataLoader, ``count`` the pass or batch.

    ``digest`` names the batch's content where it was looked at, ``shuffled`` says whether the
    sampler draws random numbers. A pass tells also of its dataset (``data``, numbered by identity)
    and of the line that made the loader. ``order`` is the seed + epoch from which a
    DistributedSampler of several replicas shuffles it, -1 for any other sampler.
    """

    form: str
    loader: int
    count: int
    digest: str = ""
    shuffled: bool | None = None
    batches: int = -1  # batches in a pass, -1 unknown
    data: int = -1
    made: Site | None = None
    order: int = -1


class Made(Seen, frozen=True, tag="made"):
    """An optimizer or scheduler was made; ``what`` says which, ``number`` its place in the
    Roster."""

    what: str
    number: int


class Line(Seen, frozen=True, tag="line"):
    """A line of the user's code that changed the state, in the detail window. ``run`` counts how
    often the line has run."""

    changes: tuple[Change, ...]
    run: int = 1


class Idle(Seen, frozen=True, tag="idle"):
    """The graph that Forward event ``forward`` made in eval mode is gone. ``nodes`` and ``bytes``
    (of saved tensors, parameters left out) were measured when it was made, -1 where they were
    not."""

    forward: int
    nodes: int = -1
    bytes: int = -1


class Drop(Seen, frozen=True, tag="drop"):
    """A dropout dropped values inside ``module``, the innermost one running, which is in eval mode.

    ``given`` says that the call wrote a training argument; ``stray`` is the number of a Dropout
    module that ``module`` does not hold, so that ``eval()`` cannot reach it (-1: a function).
    ``dropped`` of ``of`` nonzero values are zero now.
    """

    module: int
    function: str
    p: float
    given: bool = False
    stray: int = -1
    dropped: int = 0
    of: int = 0


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The operation that made the first non-finite value.

    ``op`` is its name in words (``sqrt``), ``how`` is gradient (its output was finite), forward or
    input (it was given the value), ``point`` says where it stood, for ``elements`` of its elements
    when ``measured``; else it is the only operation in the graph that has such a point.
    """

    op: str
    how: str
    point: str
    site: Site | None = None
    elements: int = 0
    measured: bool = True


class Faint(msgspec.Struct, frozen=True, gc=False):
    """A tensor whose gradient norm is 0 or under 1e-8 of the largest one at the same look."""

    tensor: int
    norm: Real


class Units(msgspec.Struct, frozen=True, gc=False):
    """Units of a ReLU behind the weight ``tensor``: ``dead`` gave 0 for every one of ``samples``
    samples seen at the latest looks (eight at most), of ``looks`` so far."""

    tensor: int
    units: int
    dead: int
    samples: int
    looks: int
    site: Site | None = None


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


class Drift(Seen, frozen=True, tag="drift"):
    """Parameters whose values the program has changed, though no optimizer that has stepped holds
    them: written by hand since they were first looked at. Told once for each."""

    tensors: tuple[int, ...]


class Unseen(Seen, frozen=True, tag="unseen"):
    """A region that cannot be watched: ``what`` is compiled, scripted, captured or sharded,
    ``name`` says which, ``why`` what is not seen of it."""

    what: str
    name: str
    why: str = ""


class Cut(Seen, frozen=True, tag="cut"):
    """Values taken out of the graph by the user's line: ``how`` is detach, item, tolist, numpy or
    torch.tensor, ``leaves`` what they depend on. Heard at the steps at which values are read, the
    first times at each place; and by any operation (``data``, ``argmax``, ``>``) or ``no_grad``, in
    the forwards after a step that held tensors which no backward had reached. ``caller`` is the
    user's line that called the one of a decorated function, ``decorated`` the decorator's."""

    how: str
    leaves: tuple[int, ...] = ()
    caller: Site | None = None
    decorated: Site | None = None


class Parted(Seen, frozen=True, tag="parted"):
    """Two tensors that were one (or shared memory), reached by backward passes as two: ``site`` is
    where they were parted, ``tied`` where they had been tied. ``one_name`` is the place that was
    given another tensor; ``distance`` the L2 norm of their difference. ``memory`` says that they
    never parted: two Parameters of one optimizer over one memory, each with a gradient."""

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
    made."""

    module: int
    model: int
    tensors: int = 0
    shallow: bool = False
    made: Site | None = None


class Misnamed(Seen, frozen=True, tag="misnamed"):
    """A plain attribute ``name`` set to False on parameters or a module, that torch does not know:
    ``tensors`` went on requiring gradients; or one set to True, and they do not require any.
    ``site`` is the line that sets it, where the code has one such line."""

    name: str
    tensors: tuple[int, ...] = ()
    module: int = -1
    value: bool = False


class Held(Seen, frozen=True, tag="held"):
    """A plain tensor attribute ``name`` of ``module``, neither parameter nor buffer, that forwards
    in training read and changed; ``made`` is the line of the module's class that sets it first."""

    module: int
    name: str
    shape: tuple[int, ...] = ()
    reads: int = 0
    made: Site | None = None


class Kept(Seen, frozen=True, tag="kept"):
    """Graphs of ``graphs`` earlier steps are alive, one more with each of the last steps.

    ``form`` is what holds them: sum (one tensor whose graph has grown over them), list, dict, deque
    (one with a bound), '' unknown; ``name`` the user's name of it, ``where`` the line that keeps
    them, ``made`` the line that made the first of what is kept, or of the first of their backward
    passes, ``nodes`` how many graph nodes the holder reaches, ``counts`` the graphs alive at the
    last steps.
    """

    graphs: int
    form: str = ""
    name: str = ""
    where: Site | None = None
    made: Site | None = None
    nodes: int = 0
    counts: tuple[int, ...] = ()


class Redraw(Seen, frozen=True, tag="redraw"):
    """A seed was set again to the same ``value`` at the same line (``how`` is the call), with steps
    of the same model in between, and by the first backward after it the same numbers had been drawn
    as after it was set at step ``earlier``; ``times`` counts the settings that drew alike. Or the
    same permutation was drawn again from a generator of the program's own. ``meant`` says that it
    may be: a layer set the seed, or it was such a permutation."""

    how: str
    value: int
    earlier: int
    times: int = 2
    meant: bool = False
    caller: Site | None = None  # the user's line that called the permutation's


class ReadAlike(Seen, frozen=True, tag="read-alike"):
    """Another rank (``other``) was given by its loader the very batches that this one was given:
    ``batches`` were compared, of ``passes`` passes, and not all of them were one."""

    loader: int
    other: int
    batches: int
    passes: int


class Alike(Seen, frozen=True, tag="alike"):
    """Two workers of a DataLoader whose generator ``what`` was in the same state before their first
    batch and in the same other state after it.

    ``made`` is where the loader was made, ``stored`` and ``drawn`` where the dataset's class keeps
    and uses the generator, ``seeded`` where ``worker_init_fn`` begins; ``iterable`` says that the
    dataset divides itself among its workers.
    """

    loader: int
    workers: tuple[int, int]
    what: str
    made: Site | None = None
    stored: Site | None = None
    drawn: Site | None = None
    seeded: Site | None = None
    iterable: bool = False


class Mixed(Seen, frozen=True, tag="mixed"):
    """One sample of a batch was changed, on a copy of the module in eval mode, and the outputs of
    ``rows`` others changed.

    ``op`` is the operation at which samples mix, ``where`` its line; ``form`` is view, sequence (an
    RNN or attention whose sequence is the batch), softmax, product, reduction or other;
    ``shuffled`` is the loader's, ``dims`` the number of dimensions of the input.
    """

    module: int
    batch: int
    rows: int
    op: str
    form: str
    where: Site | None = None
    shuffled: bool | None = None
    dims: int = 0


class Rewritten(Seen, frozen=True, tag="rewritten"):
    """Reading a DataLoader's dataset wrote to its own data ``what`` again, in pass ``passes``,
    after an earlier pass that had written it too; ``where`` is the line that writes."""

    loader: int
    what: str
    passes: int
    where: Site | None = None


class Failure(Seen, frozen=True, tag="failure"):
    """The program raised. ``explains`` names what was learnt of one of torch's autograd errors:
    no-graph, second-backward, overwritten.

    no-graph: ``how`` is no-grad (the Forward ``cause`` ran with recording off, ``where`` the
    function decorated so), frozen (nothing in it required grad), or cut (``detail`` is the call at
    ``where`` that ended the graph of the Forward ``cause``).
    second-backward: ``cause`` is the earlier Backward, ``where`` the line at which its graph
    entered the new loss, ``made`` the line that made the newest of it, ``detail`` how many of the
    nodes are old; ``how`` is whole when all are.
    overwritten: ``made`` is where the value was saved for ``detail`` (the operation), ``tensor``
    the parameter it belongs to (-1: a value in between), ``where`` the line that wrote it,
    ``cause`` the Step that did.
    """

    type: str
    message: str
    explains: str = ""
    cause: int = -1
    where: Site | None = None
    detail: str = ""
    how: str = ""
    made: Site | None = None
    tensor: int = -1


class Mark(Seen, frozen=True, tag="mark"):
    """A place in the run that a trainer or the program names: ``epoch 2, validation``."""

    text: str


class Repeat(Seen, frozen=True, tag="repeat"):
    """The ``events`` events that follow had happened ``times`` times before them, each time in the
    same order, at the same lines and with the same effect: they differed in indices, steps, losses
    and learning rates only. ``steps`` optimizer steps and ``counts`` events of each kind are in one
    round; ``index`` is that of the last event left out."""

    events: int
    times: int
    steps: int = 1
    counts: dict[str, int] = {}


class End(Seen, frozen=True, tag="end"):
    """The watched run ended. ``training`` are the models in train mode then; ``status`` is done,
    failed or stopped."""

    status: str = "done"


Event = (
    Mode | GradMode | Forward | Backward | GradCall | Clear | Step | Write | Load | Clip | Schedule
    | Scale | Batch | Made | Idle | Drop | Line | Values | Unseen | Cut | Parted | Shared | Misnamed
    | Held | Failure | End | Kept | Drift
    | Redraw | Alike | ReadAlike | Mixed | Rewritten | Mark | Repeat
)  # fmt: skip
EVENTS = (
    Mode, Forward, GradMode, Backward, GradCall, Clear, Step, Write, Load, Clip, Schedule, Scale,
    Batch, Made, Idle, Drop, Line, Values, Unseen, Cut, Parted, Shared, Misnamed, Held, Failure,
    End, Kept, Drift, Redraw, Alike, ReadAlike, Mixed, Rewritten, Mark, Repeat,
)  # fmt: skip


def kind(event: Event) -> str:
    """The event's kind as it stands in the file: ``step``, ``grad-mode``."""
    return TAGS[type(event)]


TAGS: dict[type, str] = {event: str(event.__struct_config__.tag) for event in EVENTS}
