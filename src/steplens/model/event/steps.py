"""Events of an optimizer step and of the calls around it: clear, clip, schedule, scale."""

import msgspec

from steplens.model.event.seen import Overlap, Real, Seen, Share
from steplens.model.site import Site


class Made(Seen, frozen=True, tag="made"):
    """An optimizer or scheduler was made; ``what`` says which, ``number`` its place in the
    Roster."""

    what: str
    number: int


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
    unread: bool = False  # no code of the user's that is known names `.grad`, or a hook
    inside: int = -1  # the optimizer in whose step, a closure's mostly, it ran


class Clip(Seen, frozen=True, tag="clip"):
    """``clip_grad_norm_`` or ``clip_grad_value_``: ``shares`` what the gradients held then,
    ``idle`` tensors without a gradient, ``unknown`` how many were written by hand, ``scaled`` that
    a GradScaler's scale was still on one of them.

    ``bound`` is None for infinity, which only measures. ``norm`` is the norm that was found, where
    it was read. ``others`` are the Shares of tensors
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
    norm: Real = None


class Scale(Seen, frozen=True, tag="scale"):
    """A GradScaler's call: ``how`` is scale, unscale, step or update; ``skipped`` that its step was
    held back."""

    how: str
    optimizer: int = -1
    skipped: bool = False


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
    # norm of the difference between update and fresh update, or the one that state cleared of the
    # old moments would have made, if that is less
    apart: float | None = None
    usual: float | None = None  # norm of the update of as many of its other elements


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


class Opposed(msgspec.Struct, frozen=True, gc=False):
    """Two optimizers step the same ``tensors``, all that ``inner`` holds and a part of what
    ``outer`` holds, in turn: at ``looks`` turns running, the cosine of the gradients that the two
    used lay between ``low`` and ``high``, and no pass gave both of them."""

    inner: int
    outer: int
    tensors: tuple[int, ...]
    looks: int
    low: float
    high: float


class Masked(msgspec.Struct, frozen=True, gc=False):
    """Rows of ``tensor``, ``rows`` of ``of``, to which each of ``looks`` backward passes gave a
    gradient that was 0 when the step came to it, and that moved all the same, towards 0: the norm
    of some of them went from ``before`` to ``after`` in ``steps`` steps of this optimizer, whose
    group says ``decay``. ``hook`` is the line of the function that is the tensor's only hook;
    without ``hooked`` the gradient was written to after the backward."""

    tensor: int
    rows: int
    of: int
    looks: int
    steps: int
    decay: float
    before: float
    after: float
    hooked: bool = False
    hook: Site | None = None


class Standing(msgspec.Struct, frozen=True, gc=False):
    """Of the ``elements`` of 16-bit matrices (of this ``kind``) that had a gradient at each of so
    many ``looks``, ``still`` bore the same bits before and after the step at all of them,
    ``steps`` of this optimizer from the first to the last."""

    elements: int
    still: int
    steps: int
    looks: int
    kind: str
    tensors: tuple[int, ...] = ()


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """What the ranks exchanged between two steps of an optimizer whose tensors lie in the
    DistributedDataParallel ``wrapper`` (a module) of ``ranks`` processes, around ``inside``.

    ``collectives`` were launched, ``within`` backward passes or elsewhere. ``kept`` says that the
    gradients still bore the bits that the newest backward left, ``written`` that the parameters
    changed meanwhile; both are looked at only where something was launched, outside of backward
    passes, and ``written`` only if the gradients of the step before were not averaged.
    ``trailing`` says that the newest backward launched nothing, though one before it did, and that
    the gradients still bear its bits: what it added is this rank's own.
    """

    wrapper: int
    ranks: int
    collectives: int
    within: int = 0
    kept: bool = False
    written: bool = False
    inside: int = -1
    trailing: bool = False

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
    # idle ones that no backward ever reached and that require no gradient; and those that were
    # reached, where none of all the optimizer's tensors requires one any more
    frozen: tuple[int, ...] = ()
    unreached: tuple[int, ...] = ()  # idle ones that no backward ever reached and nobody wrote
    thawed: tuple[int, ...] = ()  # moved though requires_grad was set to False before
    effect: Effect | None = None  # where the parameters seem to have stood still
    standing: Standing | None = None  # where half of the elements have stood still
    masked: Masked | None = None  # where rows without a gradient are moved by weight decay
    opposed: Opposed | None = None  # where another optimizer steps the same tensors against it
    overlap: Overlap | None = None
    grad_norm: float | None = None
    rewritten: int = 0  # gradients written in place by hand since their newest contribution
    unmoved: tuple[int, ...] = ()  # tensors with a gradient that it did not write
    drifted: tuple[int, ...] = ()  # tensors without one that it wrote: momentum, weight decay
    untouched: bool = False  # no counter of its tensors moved since its last step, or its making
    exchange: Exchange | None = None  # where a DistributedDataParallel holds its tensors
    scale: float = 0.0  # the scale of a GradScaler that the gradients it used still bore
    # by what all gradients that were kept at a look had been multiplied by hand since the backward
    rescaled: Real = 0.0
    clocked: bool = False  # one more with old gradients, in a loop of steps that is timed


class Schedule(Seen, frozen=True, tag="schedule"):
    """A scheduler's step: ``count`` is how many it has made, ``lrs`` the learning rates after it,
    ``fallen`` how many it had made when the highest of them first was a hundredth of what it has
    been: 0 where it never was, -1 once it has risen again."""

    scheduler: int
    optimizer: int
    count: int
    lrs: tuple[float, ...] = ()
    given: bool = False  # the epoch was given as an argument
    epoch: float | None = None  # which, where it is a number
    fallen: int = 0
