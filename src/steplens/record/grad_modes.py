"""Probe of gradient recording: who switched it off, and whether that was undone."""

import dis
import functools
import inspect
import sys
import threading
from collections.abc import Callable
from threading import get_ident
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_dynamo_compiling

from steplens.model.event import GradMode
from steplens.record.wrap import around, hearing, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

KEPT = 256  # blocks remembered, one within the other


class Switches(threading.local):
    """What the user's code of this thread did to gradient recording.

    ``left_off`` is the GradMode event of the call that left it off without a running block (-1:
    none), ``blocks`` what it was outside each running block, ``made`` what it was before the newest
    ``set_grad_enabled(...)``, ``generators`` the blocks that stand in a generator, by its code.
    """

    def __init__(self) -> None:
        self.left_off = -1
        self.blocks: list[tuple[int, int]] = []
        self.made = (0, -1)
        self.generators: dict[int, int] = {}
        self.kept: list[CodeType] = []  # so that the ids above stay theirs

    def enter(self, context: int) -> None:
        """A block has begun."""
        outside = self.made[1] if self.made[0] == context else self.left_off
        self.blocks.append((context, outside))
        del self.blocks[:-KEPT]
        self.left_off = -1

    def exit(self, context: int, enabled: bool) -> None:
        """A block, or a call of ``__enter__`` by hand, was undone."""
        outside = -1
        for place in range(len(self.blocks) - 1, -1, -1):
            if self.blocks[place][0] == context:
                outside = self.blocks[place][1]
                del self.blocks[place:]
                break
        self.left_off = -1 if enabled else outside

    def call(self, context: int, enabled: bool, index: int) -> None:
        """Switched by a call, with nothing that will undo it."""
        self.made = (context, self.left_off)
        self.left_off = -1 if enabled else index

    def decorate(self, context: int) -> None:
        """The ``set_grad_enabled(...)`` just made became a decorator, and undid its switch."""
        if self.made[0] == context:
            self.left_off = self.made[1]


def off_since(recorder: "Recorder") -> int:
    """The GradMode event that left gradient recording off, -1 when it is on, or off within a
    running block. A block that stands in a suspended generator is not running."""
    switches = recorder.moves.grad
    if torch.is_grad_enabled() or switches.left_off >= 0 or not switches.generators:
        return -1 if torch.is_grad_enabled() else switches.left_off
    running: set[int] = set()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        running.add(id(frame.f_code))
        frame = frame.f_back
    waiting = [index for code, index in switches.generators.items() if code not in running]
    return max(waiting, default=-1)


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the user's own use of ``no_grad``, ``enable_grad``, ``inference_mode`` and
    ``set_grad_enabled``, as blocks and as calls."""
    removals: list[Callable[[], None]] = []
    for owner in (torch.no_grad, torch.enable_grad, torch.inference_mode):
        how = owner.__name__
        for method, form in (("__enter__", "enter"), ("__exit__", "exit")):
            hear = _switch(recorder, how, form)
            removals.append(_outside_steps(recorder, owner, method, hear))
    for method, form in (("__init__", "call"), ("__enter__", "enter"), ("__exit__", "exit")):
        hear = _switch(recorder, "set_grad_enabled", form)
        removals.append(_outside_steps(recorder, torch.set_grad_enabled, method, hear))
    removals.append(
        around(
            recorder,
            "grad-mode",
            torch.set_grad_enabled,
            "__call__",
            *_decorate(recorder),
            calm=True,
        )
    )
    return removals


def _outside_steps(
    recorder: "Recorder", owner: Any, name: str, hear: tuple[Callable[..., Any], Callable[..., Any]]
) -> Callable[[], None]:
    """Wrap a method; what optimizers do in their steps, twice each time, goes straight through."""
    original, local, steady = getattr(owner, name), recorder.local, recorder.steady
    full = hearing(recorder, "grad-mode", original, *hear, calm=True)

    @functools.wraps(original)
    def switch(*args: Any, **kwargs: Any) -> Any:
        if is_dynamo_compiling():
            return original(*args, **kwargs)
        running = steady.current
        counted = running is not None and running.form == "step" and steady.owner == get_ident()
        if counted or local.stepping >= 0:
            return original(*args, **kwargs)
        return full(*args, **kwargs)

    return replace(recorder, owner, name, switch)


def _switch(
    recorder: "Recorder", how: str, form: str
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    places, moves, local = recorder.places, recorder.moves, recorder.local

    def before(context: Any, *_: Any, **__: Any) -> Any:
        frame = sys._getframe(3)
        if local.stepping >= 0 or not places.owns(frame.f_code):
            return None  # torch's own switches (optimizers, decorators) restore what they found
        used = form
        if form == "enter":
            used = "enter" if _is_block(frame) else "call"
            if used == "enter" and _is_generator(frame):
                return id(context), used, frame.f_code
        return id(context), used, None

    def after(token: Any, _: Any) -> None:
        context, used, generator = token
        enabled = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        index = recorder.index()
        switches = moves.grad
        if used == "enter":
            switches.enter(context)
            if generator is not None and not enabled:
                switches.generators[id(generator)] = index
                switches.kept.append(generator)
        elif used == "exit":
            switches.exit(context, enabled)
            switches.generators.pop(id(sys._getframe(3).f_code), None)
        else:
            switches.call(context, enabled, index)
        recorder.emit(GradMode(index, recorder.step, recorder.site(), enabled, how, used))

    return before, after


def _decorate(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(context: Any, *_: Any, **__: Any) -> Any:
        return id(context)

    def after(context: int, _: Any) -> None:
        recorder.moves.grad.decorate(context)

    return before, after


def _is_block(frame: FrameType) -> bool:
    """Whether the frame is at a ``with`` statement, and not at a call of ``__enter__`` by hand."""
    if sys.version_info >= (3, 14):  # a `with` is an ordinary call there
        return True
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "BEFORE_WITH"


def _is_generator(frame: FrameType) -> bool:
    """Whether the frame is a generator's that its caller may leave suspended; a generator behind
    ``@contextmanager`` is suspended while its block runs, as it should be."""
    if not frame.f_code.co_flags & inspect.CO_GENERATOR:
        return False
    caller = frame.f_back
    return caller is None or not caller.f_code.co_filename.endswith("contextlib.py")
