"""Chronicle: what the account is written from, folded from all Events of a run."""

import msgspec

from steplens.model.site import Site


class Size(msgspec.Struct, frozen=True, gc=False):
    """L2 norms of one tensor at one look (None: not finite). ``update`` and ``weight`` are of the
    elements looked at."""

    tensor: int
    gradient: float | None = None
    weight: float | None = None
    update: float | None = None


class Fate(msgspec.Struct):
    """Tensors that fared alike.

    ``kind`` is trained, by-hand, unchanged, frozen or absent (they took no part: their model never
    ran, or they died before the run's last step). ``why`` says what kept unchanged ones so:
    in-no-optimizer (gradients reach them), apart (neither gradients nor an optimizer), not-reached
    (held, and no loss reaches them), never-stepped (the optimizer), cleared (their gradients,
    unused), not-used, not-moved, lr-zero.

    ``optimizers`` hold them; ``steps`` counts the steps of these, ``used`` those that used a
    gradient of theirs, ``moved`` those that wrote them, ``at_zero`` those at learning rate 0.
    ``reached`` counts backward passes, ``lost`` clears of gradients that no step had used.
    ``rates`` are the learning rates at the first and the last step. ``codes`` are the rules that
    say so. ``at`` is where they were made, frozen or cleared, as the kind and ``why`` ask.
    """

    kind: str
    why: str
    tensors: tuple[int, ...]
    optimizers: tuple[int, ...] = ()
    steps: int = 0
    used: int = 0
    moved: int = 0
    at_zero: int = 0
    reached: int = 0
    lost: int = 0
    rates: tuple[float | None, float | None] = (None, None)
    codes: tuple[str, ...] = ()
    at: Site | None = None
    frozen: bool = False  # requires_grad was False when last looked at


class Part(msgspec.Struct, frozen=True):
    """Calls of a Cycle that came ``least`` to ``most`` times in a row: ``words`` are clear,
    forward, backward, clip or step, ``each`` the range in which every word was repeated."""

    words: tuple[str, ...]
    each: tuple[tuple[int, int], ...]
    least: int = 1
    most: int = 1


class Cycle(msgspec.Struct):
    """One order of calls that ended in a step (or several), and how often it came.

    ``optimizers`` stepped at its end; ``form`` is plain, closure (the calls ran inside the step),
    partly (those of the closure did) or inside (the steps ran inside the backward). ``first`` is
    the step at which it first ended. Empty ``parts`` stand for all orders beyond the first 32.
    """

    optimizers: tuple[int, ...]
    parts: tuple[Part, ...]
    times: int = 0
    first: int = 0
    form: str = "plain"


class Evaluation(msgspec.Struct):
    """Passes of a trained model that no backward followed: ``times`` runs of ``forwards`` in all,
    in train or eval mode, with grad on or off. ``sensitive`` says that the mode mattered."""

    training: bool
    grad: bool
    sensitive: bool
    times: int = 0
    forwards: int = 0


class Modes(msgspec.Struct):
    """The modes of the forwards behind backward passes.

    ``awake`` ran in train mode, ``parted`` in train mode with mode-sensitive parts asleep,
    ``asleep`` in eval mode, ``indifferent`` through models in which nothing depends on the mode.
    """

    awake: int = 0
    parted: int = 0
    asleep: int = 0
    indifferent: int = 0
    parts: int = 0  # the most mode-sensitive modules that were asleep at once in `parted`
    evaluations: list[Evaluation] = []


class Loss(msgspec.Struct):
    """The losses of one line's backward passes: first and last value looked at (None: not finite,
    or never looked at), with their steps.

    ``ops`` are torch's names of the operations that made it, the last one first; ``at`` is the line
    of the last one, where it is known. ``nodes`` is the size of the graph when last read,
    ``leaves`` are the tensors that the newest backward reached.
    """

    site: Site | None
    times: int = 0
    looks: int = 0
    bad: int = 0  # looks at which it was not finite
    first: float | None = None
    first_step: int = 0
    last: float | None = None
    last_step: int = 0
    ops: tuple[str, ...] = ()
    at: Site | None = None
    nodes: int = 0
    leaves: tuple[int, ...] = ()
    leaf: bool = False  # it is a leaf: no operation made it


class Chronicle(msgspec.Struct):
    """The facts of the account: every parameter of the run is in exactly one of ``fates``.

    ``sizes`` are those of the last look at each tensor, ``sized_at`` the step of that look by
    optimizer, ``looks`` counts the steps at which all values were read, ``skipped`` those that a
    GradScaler held back. ``steps`` are by optimizer.
    """

    fates: list[Fate] = []
    cycles: list[Cycle] = []
    modes: Modes = msgspec.field(default_factory=Modes)
    losses: list[Loss] = []
    sizes: list[Size] = []
    sized_at: dict[int, int] = {}
    steps: dict[int, int] = {}
    backwards: int = 0
    looks: int = 0
    skipped: int = 0
