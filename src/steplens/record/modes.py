"""Probe of modes: train and eval."""

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from steplens.model.event import Mode
from steplens.model.roster import ModeReading
from steplens.model.site import Site
from steplens.record import grad_modes, members
from steplens.record.averaged import Blocks
from steplens.record.naming import constructors, spots
from steplens.record.sensitive import depends_on_mode, keeps_statistics
from steplens.record.wrap import around, hearing, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOOK_AGAIN = 50  # forwards after which a tree is looked up anew, outside of the cadence


class Moves:
    """Who switched which module's mode last, and what left gradient recording off."""

    def __init__(self) -> None:
        self.switched: dict[int, int] = {}  # module number -> Mode event
        self.targets: dict[
            tuple[int, bool, object], int
        ] = {}  # (module, training, site) -> first Mode event
        self.readings: dict[
            tuple[object, ...], int
        ] = {}  # what a reading says -> its place in Roster.modes
        self.trees: dict[int, Tree] = {}
        self.reset: dict[int, int] = {}  # norm -> step at which its statistics were reset
        self.grad = grad_modes.Switches()
        self.blocks = Blocks()
        self.dropped: dict[tuple[object, int], int] = {}  # (site, module) -> step of its last Drop
        self.overridden: set[tuple[object, int]] = set()  # those whose line minds the mode itself
        self.looks: weakref.WeakKeyDictionary[type, int] = weakref.WeakKeyDictionary()  # `masked`


class Tree:
    """The mode-sensitive modules of one module tree, looked up once and then on the cadence.

    They are held weakly: a tree that is no longer used must die as it would have.
    """

    __slots__ = ("held", "numbers", "norms", "parents", "flags", "reading", "age", "versions")

    def __init__(self, recorder: "Recorder", root: nn.Module) -> None:
        census = recorder.census
        holders: dict[int, nn.Module] = {}
        found: list[nn.Module] = []
        for module in members.modules(root):
            for child in module._modules.values():
                if child is not None:
                    holders.setdefault(id(child), module)
            if depends_on_mode(module):
                found.append(module)
        above = census.module_at(recorder.roster.modules[census.module(root)].parent)
        self.held = [weakref.ref(module) for module in found]
        self.numbers = [census.module(module) for module in found]
        parents = [holders.get(id(module), above) for module in found]
        self.parents = [weakref.ref(parent) if parent is not None else None for parent in parents]
        self.norms = [place for place, module in enumerate(found) if keeps_statistics(module)]
        self.flags: tuple[bool, ...] = ()
        self.reading = -1
        self.age = 0
        self.versions: list[tuple[int, int]] = []

    @property
    def modules(self) -> list[nn.Module]:
        """The modules, as long as all of them live."""
        found = [module for held in self.held if (module := held()) is not None]
        return found if len(found) == len(self.held) else []

    def counters(self) -> list[tuple[int, int]]:
        """The write counters of the norms' running means and batch counts: a batch norm on the CPU
        moves only the count's."""
        return [_counters(self.held[place]()) for place in self.norms]


def _counters(norm: nn.Module | None) -> tuple[int, int]:
    buffers = norm._buffers if norm is not None else {}
    mean, count = buffers.get("running_mean"), buffers.get("num_batches_tracked")
    try:
        return (
            mean._version if mean is not None else -1,
            count._version if count is not None else -1,
        )
    except RuntimeError:  # buffers made in inference mode keep no counters
        return -1, -1


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear ``Module.train`` and ``eval`` (outermost call), module births, and the user's own
    switches of gradient recording."""
    return [
        *_births(recorder),
        _outermost(recorder, "train", *_train(recorder)),
        _outermost(recorder, "eval", *_eval(recorder)),
        around(recorder, "train", _NormBase, "reset_running_stats", *_reset(recorder)),
        *grad_modes.install(recorder),
    ]


def _births(recorder: "Recorder") -> list[Callable[[], None]]:
    def born(module: Any, *_: Any, **__: Any) -> Any:
        recorder.detail.stir()
        return module

    def enter(module: nn.Module, _: Any) -> None:
        recorder.census.module_born(module, spots(recorder.places, constructors(type(module))))

    return [
        around(recorder, "modules", nn.Module, "__init__", born, enter, calm=True),
        around(recorder, "modules", nn.Module, "__setstate__", born, enter, calm=True),
    ]


def _reset(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(norm: nn.Module) -> Any:
        number = recorder.census.known_module(norm)
        return number if number >= 0 else None  # a constructor's call

    def after(number: int, _: Any) -> None:
        recorder.moves.reset[number] = recorder.step

    return before, after


def _outermost(recorder: "Recorder", name: str, *heard: Any) -> Callable[[], None]:
    """Hear a method that a module calls of all those in it, too: those go through at once."""
    original, local = getattr(nn.Module, name), recorder.local
    full = hearing(recorder, "train", original, *heard, calm=True)

    @functools.wraps(original)
    def switch(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if local.switching:
            return original(self, *args, **kwargs)
        return full(self, *args, **kwargs)

    return replace(recorder, nn.Module, name, switch)


def _train(
    recorder: "Recorder",
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    local = recorder.local

    def before(module: nn.Module, mode: bool = True, *_: Any, **__: Any) -> Any:
        if local.switching:
            return None
        local.switching = True
        return module, bool(mode), [(child, child.training) for child in members.modules(module)]

    def after(token: Any, _: Any) -> None:
        local.switching = False
        module, mode, flags = token
        census = recorder.census
        number = census.module(module)
        changed = tuple(census.module(child) for child, was in flags if child.training != was)
        index, site = recorder.index(), recorder.site()
        first = recorder.moves.targets.setdefault((number, mode, site), index)
        for child, _was in flags:
            recorder.moves.switched[census.module(child)] = first
        for tree in recorder.moves.trees.values():
            tree.flags = ()
        missed, override = _missed(recorder, module, mode, flags)
        recorder.emit(Mode(index, recorder.step, site, number, mode, changed, missed, override))

    def failed(token: Any, error: BaseException) -> None:
        local.switching = False

    return before, after, failed


def _eval(
    recorder: "Recorder",
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """``eval()`` calls ``train(False)``, which may be a method of the user's class."""
    before, after, failed = _train(recorder)

    def asleep(module: nn.Module) -> Any:
        return before(module, False)

    return asleep, after, failed


def _missed(
    recorder: "Recorder", module: nn.Module, mode: bool, flags: list[tuple[nn.Module, bool]]
) -> tuple[tuple[int, ...], Site | None]:
    """The modules inside of this one, if its own ``train`` has switched none of them, and where
    that method stands."""
    method = type(module).train
    if method is nn.Module.train or module.training is not mode:
        return (), None
    inside = [child for child, _ in flags if child is not module]
    if any(child.training is mode for child in inside):
        return (), None
    own = [child for child in inside if type(child).train is nn.Module.train]
    code = getattr(method, "__code__", None)
    site = None
    if code is not None and recorder.places.owns(code):
        site = recorder.places.line(code, code.co_firstlineno)
    return tuple([recorder.census.module(child) for child in own]), site


# -- readings ---------------------------------------------------------------------------------


def read_modes(recorder: "Recorder", module: nn.Module, number: int) -> int:
    """The place in ``Roster.modes`` of this module tree's modes now, -1 when nothing in it is
    mode-sensitive."""
    tree = recorder.moves.trees.get(number)
    if tree is None or tree.age >= LOOK_AGAIN or recorder.cadence.looking:
        fresh = Tree(recorder, module)
        if tree is not None and tree.norms == fresh.norms:
            fresh.versions = tree.versions
        tree = recorder.moves.trees[number] = fresh
    tree.age += 1
    modules = tree.modules
    if not modules:
        return -1
    flags = tuple([found.training for found in modules])
    if flags != tree.flags:
        tree.flags = flags
        tree.reading = _reading(recorder, tree, modules, number)
    return tree.reading


def look_anew(recorder: "Recorder") -> None:
    """Look all trees up anew: a module was seen to be mode-sensitive."""
    for tree in recorder.moves.trees.values():
        tree.age = LOOK_AGAIN


def _reading(recorder: "Recorder", tree: Tree, modules: list[nn.Module], number: int) -> int:
    moves = recorder.moves
    awake, asleep, trainable, frozen = [], [], [], []
    around_it: dict[int, tuple[bool, bool]] = {}
    for found, place, held in zip(modules, tree.numbers, tree.parents, strict=True):
        (awake if found.training else asleep).append(place)
        own, learns = _parameters(found, recurse=bool(found._modules))
        parent = held() if held is not None else None
        if parent is not None and id(parent) not in around_it:
            around_it[id(parent)] = _parameters(parent, recurse=True)
        beside, beside_learns = around_it[id(parent)] if parent is not None else (own, learns)
        if learns or (not own and beside_learns):
            trainable.append(place)
        elif (
            (found.training and keeps_statistics(found))
            and ((own or beside) and not beside_learns)
            and place not in moves.blocks.averaged
        ):
            frozen.append(place)
    switched = {n: moves.switched[n] for n in tree.numbers if n in moves.switched}
    key = (
        number,
        tuple(awake),
        tuple(asleep),
        tuple(trainable),
        tuple(frozen),
        tuple(switched.items()),
    )
    known = moves.readings.get(key)
    if known is None:
        known = moves.readings[key] = len(recorder.roster.modes)
        recorder.roster.modes.append(ModeReading(*key[:-1], switched=switched))
    return known


def _parameters(module: nn.Module, recurse: bool) -> tuple[bool, bool]:
    """Whether a module has parameters, and whether one of them is trainable."""
    some = False
    for parameter in members.parameters(module, recurse=recurse):
        if parameter.requires_grad:
            return True, True
        some = True
    return some, False


# -- running statistics -----------------------------------------------------------------------


def moved_statistics(recorder: "Recorder", number: int) -> tuple[int, ...]:
    """The norms whose running statistics were written since ``settle_statistics``."""
    tree = recorder.moves.trees.get(number)
    if tree is None or not tree.norms:
        return ()
    counters = tree.counters()
    if counters == tree.versions:
        return ()
    moved = tuple(
        tree.numbers[place]
        for place, was, now in zip(tree.norms, tree.versions, counters, strict=False)
        if was != now
    )
    tree.versions = counters
    return moved


def settle_statistics(recorder: "Recorder", number: int) -> None:
    """Take the present counters of the norms as seen, before a forward."""
    tree = recorder.moves.trees.get(number)
    if tree is not None and tree.norms:
        tree.versions = tree.counters()


def still_frozen(recorder: "Recorder", number: int, mode: int, norms: tuple[int, ...]) -> int:
    """The reading of a forward that has ended, without the frozen norms that somebody averages:
    their weights changed though no gradient reaches them. ``norms`` are those to look at too."""
    moves = recorder.moves
    suspects = (*recorder.roster.modes[mode].frozen_norms, *norms) if mode >= 0 else norms
    if not suspects or not moves.blocks.look(recorder, suspects):
        return mode
    tree = moves.trees.get(number)
    modules = tree.modules if tree is not None else []
    if tree is None or not modules:
        return mode
    tree.reading = _reading(recorder, tree, modules, number)
    return tree.reading
