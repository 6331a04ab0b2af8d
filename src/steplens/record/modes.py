"""Probe of modes: train and eval, and gradient recording."""

import dis
import sys
import weakref
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import GradMode, Mode
from steplens.model.roster import ModeReading
from steplens.record.naming import constructors, spots
from steplens.record.sensitive import depends_on_mode, keeps_statistics
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


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
        self.left_off = -1  # GradMode event of a call, not a running block, that left recording off
        self.outer: deque[int] = deque(maxlen=256)  # what `left_off` was outside the running blocks


class Tree:
    """The mode-sensitive modules of one module tree, looked up once and then on the cadence.

    They are held weakly: a tree that is no longer used must die as it would have.
    """

    __slots__ = ("held", "numbers", "norm_numbers", "flags", "reading", "age", "versions")

    def __init__(self, recorder: "Recorder", root: nn.Module) -> None:
        found = [module for module in root.modules() if depends_on_mode(module)]
        self.held = [weakref.ref(module) for module in found]
        self.numbers = [recorder.census.module(module) for module in found]
        self.norm_numbers = [
            number
            for number, module in zip(self.numbers, found, strict=True)
            if keeps_statistics(module)
        ]
        self.flags: tuple[bool, ...] = ()
        self.reading = -1
        self.age = 0
        self.versions: list[int] = []

    @property
    def modules(self) -> list[nn.Module]:
        """The modules, as long as all of them live."""
        found = [module for held in self.held if (module := held()) is not None]
        return found if len(found) == len(self.held) else []

    def counters(self, recorder: "Recorder") -> list[int]:
        """The write counters of the norms' running means."""
        norms = [recorder.census.module_at(number) for number in self.norm_numbers]
        means = [norm._buffers.get("running_mean") for norm in norms if norm is not None]
        return [mean._version for mean in means if mean is not None]


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear ``Module.train`` (outermost call), module births, and the user's own switches of
    gradient recording."""
    guard = recorder
    return [
        *_births(recorder),
        around(guard, "train", nn.Module, "train", *_train(recorder)),
        *_grad_modes(recorder),
    ]


def _births(recorder: "Recorder") -> list[Callable[[], None]]:
    def born(module: Any, *_: Any, **__: Any) -> Any:
        return module

    def enter(module: nn.Module, _: Any) -> None:
        recorder.census.module_born(module, spots(recorder.places, constructors(type(module))))

    return [
        around(recorder, "modules", nn.Module, "__init__", born, enter),
        around(recorder, "modules", nn.Module, "__setstate__", born, enter),
    ]


def _train(
    recorder: "Recorder",
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    local = recorder.local

    def before(module: nn.Module, mode: bool = True, *_: Any, **__: Any) -> Any:
        if local.switching:
            return None
        local.switching = True
        return module, bool(mode), [(child, child.training) for child in module.modules()]

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
        recorder.emit(Mode(index, recorder.step, site, number, mode, changed))

    def failed(token: Any, error: BaseException) -> None:
        local.switching = False

    return before, after, failed


def read_modes(recorder: "Recorder", module: nn.Module, number: int) -> int:
    """The place in ``Roster.modes`` of this module tree's modes now, -1 when nothing in it is
    mode-sensitive."""
    tree = recorder.moves.trees.get(number)
    if tree is None or tree.age >= 50 or recorder.cadence.looking:
        fresh = Tree(recorder, module)
        if tree is not None and tree.norm_numbers == fresh.norm_numbers:
            fresh.versions = tree.versions
        tree = recorder.moves.trees[number] = fresh
    tree.age += 1
    modules = tree.modules
    if not modules:
        return -1
    flags = tuple([found.training for found in modules])
    if flags != tree.flags:
        tree.flags = flags
        tree.reading = _reading(recorder, tree, flags, number)
    return tree.reading


def _reading(recorder: "Recorder", tree: Tree, flags: tuple[bool, ...], number: int) -> int:
    roster, moves = recorder.roster, recorder.moves
    awake = tuple(n for n, flag in zip(tree.numbers, flags, strict=True) if flag)
    asleep = tuple(n for n, flag in zip(tree.numbers, flags, strict=True) if not flag)
    trainable: list[int] = []
    frozen: list[int] = []
    for found, place in zip(tree.modules, tree.numbers, strict=True):
        own = any(p.requires_grad for p in found.parameters(recurse=False))
        parent = recorder.census.module_at(roster.modules[place].parent)
        around_it = any(p.requires_grad for p in parent.parameters()) if parent is not None else own
        if own or around_it:
            trainable.append(place)
        elif found.training and keeps_statistics(found):
            frozen.append(place)
    switched = {n: moves.switched[n] for n in tree.numbers if n in moves.switched}
    key = (number, awake, asleep, tuple(trainable), tuple(frozen), tuple(switched.items()))
    known = moves.readings.get(key)
    if known is None:
        known = moves.readings[key] = len(roster.modes)
        roster.modes.append(
            ModeReading(number, awake, asleep, tuple(trainable), tuple(frozen), switched)
        )
    return known


def moved_statistics(recorder: "Recorder", number: int) -> tuple[int, ...]:
    """The norms whose running statistics were written since the last look at this tree."""
    tree = recorder.moves.trees.get(number)
    if tree is None or not tree.norm_numbers:
        return ()
    versions = tree.counters(recorder)
    if len(tree.versions) != len(versions):
        tree.versions = versions
        return ()
    if versions == tree.versions:
        return ()
    counters = zip(tree.norm_numbers, tree.versions, versions, strict=False)
    moved = tuple(place for place, was, now in counters if was != now)
    tree.versions = versions
    return moved


def settle_statistics(recorder: "Recorder", number: int) -> None:
    """Take the present counters of the norms as seen, before a forward."""
    tree = recorder.moves.trees.get(number)
    if tree is not None and tree.norm_numbers:
        tree.versions = tree.counters(recorder)


def _grad_modes(recorder: "Recorder") -> list[Callable[[], None]]:
    removals: list[Callable[[], None]] = []
    for owner in (torch.no_grad, torch.enable_grad, torch.inference_mode):
        how = owner.__name__
        removals.append(
            around(recorder, "grad-mode", owner, "__enter__", *_switch(recorder, how, "enter"))
        )
        removals.append(
            around(recorder, "grad-mode", owner, "__exit__", *_switch(recorder, how, "exit"))
        )
    for method, form in (("__init__", "call"), ("__enter__", "enter"), ("__exit__", "exit")):
        hear = _switch(recorder, "set_grad_enabled", form)
        removals.append(around(recorder, "grad-mode", torch.set_grad_enabled, method, *hear))
    return removals


def _switch(
    recorder: "Recorder", how: str, form: str
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    places, moves, local = recorder.places, recorder.moves, recorder.local

    def before(*_: Any, **__: Any) -> Any:
        frame = sys._getframe(2)
        if local.stepping >= 0 or not places.owns(frame.f_code):
            return None  # torch's own switches (optimizers, decorators) restore what they found
        return (
            "enter"
            if form == "enter" and _is_block(frame)
            else "exit"
            if form == "exit"
            else "call"
        )

    def after(used: str, _: Any) -> None:
        enabled = torch.is_grad_enabled()
        index = recorder.index()
        if used == "enter":
            moves.outer.append(moves.left_off)
            moves.left_off = -1
        elif used == "exit":
            moves.left_off = moves.outer.pop() if moves.outer and not enabled else -1
        else:
            moves.left_off = -1 if enabled else index
        recorder.emit(GradMode(index, recorder.step, recorder.site(), enabled, how, used))

    return before, after


def _is_block(frame: FrameType) -> bool:
    """Whether the frame is at a ``with`` statement, and not at a call of ``__enter__`` by hand."""
    if sys.version_info >= (3, 14):  # a `with` is an ordinary call there
        return True
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "BEFORE_WITH"
