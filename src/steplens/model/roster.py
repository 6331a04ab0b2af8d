"""Roster: who is in the run. Events name tensors, modules and optimizers by their number here."""

import msgspec

from steplens.model.site import Site


class TensorEntry(msgspec.Struct):
    """A parameter, buffer or other leaf.

    ``name`` is the user's own (``encoder.layers.0.linear1.weight``); ``names`` holds every name it
    goes by when it is tied. ``module`` is the number of the module that holds it and ``root`` that
    of the outermost one, -1 for none. ``role`` is parameter, buffer or leaf.
    """

    number: int
    name: str
    role: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    module: int = -1
    root: int = -1
    names: tuple[str, ...] = ()
    site: Site | None = None
    holder: int = -2  # module that holds a leaf as a plain attribute; -1 none, -2 not looked at
    declared: bool = False  # a leaf that is an nn.Parameter
    set_at: Site | None = None  # the line of the holder's class that sets the attribute
    derived: bool = False  # what the holder's attribute holds was computed from the leaf
    thawed: bool = False  # gets gradients and is stepped by none, after it was seen frozen
    for_frozen: bool = False  # took the place of a Parameter that required no gradient
    brought: bool = False  # a line of the user's copied its values, or they lie in an array
    patterned: bool = False  # a weight whose values repeat as a kernel's that was written down do
    died: int = -1  # steps ended when it died, -1 while it lives


class ModuleEntry(msgspec.Struct):
    """A module: ``name`` within its root ('' for the root itself), ``label`` the user's variable,
    ``type`` its class.

    ``sensitive`` says that its output or buffers depend on ``training`` (active: p > 0, momentum
    not 0), ``norm`` that it keeps running statistics. ``tensors`` are the numbers of the parameters
    it holds itself. ``training`` is its mode when it was first looked at, ``loaded`` says that a
    state that was loaded had values of its own tensors.
    """

    number: int
    name: str
    type: str
    label: str = ""
    root: int = -1
    parent: int = -1
    sensitive: bool = False
    norm: bool = False
    tensors: tuple[int, ...] = ()
    site: Site | None = None
    training: bool = True
    loaded: bool = False


class OptimizerEntry(msgspec.Struct):
    """An optimizer: its class, the user's variable, where it was made, its tensors and its options
    by group."""

    number: int
    type: str
    label: str
    tensors: tuple[int, ...]
    groups: tuple[dict[str, float | int | bool | str | None], ...] = ()
    site: Site | None = None
    moments: bool = False  # keeps state between steps (momentum, Adam)
    sizes: tuple[int, ...] = ()  # tensors in each group, in order
    gathers: bool = False  # its class takes gradients outside of its `step`, too


class Sunk(msgspec.Struct):
    """A `ReduceLROnPlateau` that had cut the rate to a thousandth after so many ``steps``: the
    ``first`` metric that it was given, and the ``count`` of those given since, with their least,
    their largest and their sum."""

    steps: int
    first: float
    count: int = 0
    low: float = 0.0
    high: float = 0.0
    total: float = 0.0


class SchedulerEntry(msgspec.Struct):
    """A learning-rate scheduler; ``length`` is the number of its steps where the schedule has one,
    else 0. ``calls`` are the places at which the user's code would step it, as long as it has not
    stepped."""

    number: int
    type: str
    label: str
    optimizer: int
    length: int = 0
    site: Site | None = None
    options: dict[str, float | int | bool | str | None] = {}
    parent: int = -1  # the scheduler that steps it (SequentialLR, ChainedScheduler)
    calls: tuple[Site, ...] = ()
    numbers: tuple[int, ...] = ()  # whole numbers that the functions of a LambdaLR are made with
    sunk: Sunk | None = None
    levelled: tuple[float, ...] = ()  # the groups' rates before it, where it was given one for all


class ModeReading(msgspec.Struct, frozen=True):
    """The modes of one module tree at one forward.

    ``awake`` and ``asleep`` are the mode-sensitive modules in train and in eval mode. ``switched``
    maps an asleep or awake module to the index of the Mode event that last switched it (absent:
    nobody did). ``trainable`` are those of them that hold, or sit among, trainable parameters;
    ``frozen_norms`` the norms in train mode whose own parameters and surrounding block are frozen.
    """

    root: int
    awake: tuple[int, ...] = ()
    asleep: tuple[int, ...] = ()
    trainable: tuple[int, ...] = ()
    frozen_norms: tuple[int, ...] = ()
    switched: dict[int, int] = {}


class Roster(msgspec.Struct):
    """Everybody in the run, by number."""

    tensors: dict[int, TensorEntry] = {}
    modules: dict[int, ModuleEntry] = {}
    optimizers: dict[int, OptimizerEntry] = {}
    schedulers: dict[int, SchedulerEntry] = {}
    modes: list[ModeReading] = []

    def variable(self, optimizer: int) -> str:
        """The user's variable for an optimizer, for a line of code that is to be written: what
        several are called, such as the list that holds them, is none."""
        label = self.optimizers[optimizer].label if optimizer in self.optimizers else ""
        alone = sum(entry.label == label for entry in self.optimizers.values()) == 1
        return label if label and alone else "optimizer"

    def name(self, tensor: int) -> str:
        """The tensor's name, with its model's label before it when several models are in the
        run."""
        entry = self.tensors[tensor]
        if entry.root < 0 or not self.several_models():
            return entry.name
        return f"{self.modules[entry.root].label}.{entry.name}"

    def titles(self) -> dict[int, str]:
        """The names of all tensors, as ``name`` gives each."""
        several = self.several_models()
        return {
            number: f"{self.modules[entry.root].label}.{entry.name}"
            if several and entry.root >= 0
            else entry.name
            for number, entry in self.tensors.items()
        }

    def several_models(self) -> bool:
        """Whether more than one outermost module with parameters is in the run."""
        roots = {
            entry.root
            for entry in self.tensors.values()
            if entry.role == "parameter" and entry.root >= 0
        }
        return len(roots) > 1

    def module_name(self, module: int) -> str:
        """The module's full name as the user would write it: ``model.encoder.dropout``."""
        entry = self.modules[module]
        root = self.modules.get(entry.root, entry)
        return f"{root.label}.{entry.name}" if entry.name else root.label
