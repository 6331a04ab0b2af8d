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
from steplens.record.between import switch_counts, switch_due, switch_here
from steplens.record.rounds import Call
from steplens.record.wrap import around, hearing, note, replace

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
            removals.append(_outside_steps(recorder, owner, method, how, form))
    for method, form in (("__init__", "call"), ("__enter__", "enter"), ("__exit__", "exit")):
        owner = torch.set_grad_enabled
        removals.append(_outside_steps(recorder, owner, method, "set_grad_enabled", form))
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
    recorder: "Recorder", owner: Any, name: str, how: str, form: str
) -> Callable[[], None]:
    """Wrap a method; what torch does itself, in its optimizers' steps for one, goes straight
    through."""
    original, local, steady = getattr(owner, name), recorder.local, recorder.steady
    places, rested = recorder.places, recorder.learner.rested
    before, after = _switch(recorder, how, form)
    full = hearing(recorder, "grad-mode", original, before, after, calm=True)

    @functools.wraps(original)
    def switch(*args: Any, **kwargs: Any) -> Any:
        if is_dynamo_compiling():
            return original(*args, **kwargs)
        running = steady.current
        if running is not None and running.form == "step" and steady.owner == get_ident():
            return original(*args, **kwargs)
        frame, due = sys._getframe(1), steady.due
        try:
            if due is None or not steady.brief or not switch_here(steady, due, how, form, frame):
                # torch's own switches (distributions, decorators) restore what they found
                mine = places.owns(frame.f_code) and local.stepping < 0
                if due is None and mine and rested.rounds:
                    due = rested.take_up(recorder, "switch", None)
                if due is not None:
                    due = switch_due(steady, due, how, form) if mine else None
            else:
                mine = True
        except Exception as error:
            note(recorder, "grad-mode", error)
            mine = False
        if not mine:
            return original(*args, **kwargs)
        if due is None:
            return full(*args, **kwargs)
        result = original(*args, **kwargs)
        try:
            token = id(args[0]), due.given[1], frame.f_code if form == "exit" else None
            index, enabled = steady.origin + steady.at, _recording()
            if switch_counts(steady, due, enabled):
                _switched(recorder, token, index, enabled)
            else:
                after(token, result)
        except Exception as error:
            note(recorder, "grad-mode", error)
        return result

    return replace(recorder, owner, name, switch)


Token = tuple[int, str, CodeType | None]  # the context, how it was used, see ``_switched``


def _recording() -> bool:
    return torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def _switched(recorder: "Recorder", token: Token, index: int, enabled: bool) -> None:
    """Keep what a switch did; a block is told with the generator's code that it stands in, an exit
    with the code that it was made in."""
    context, used, code = token
    switches = recorder.moves.grad
    if used == "enter":
        switches.enter(context)
        if code is not None and not enabled:
            switches.generators[id(code)] = index
            switches.kept.append(code)
    elif used == "exit":
        switches.exit(context, enabled)
        switches.generators.pop(id(code), None)
    else:
        switches.call(context, enabled, index)


def _switch(
    recorder: "Recorder", how: str, form: str
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(context: Any, *_: Any, **__: Any) -> Token:
        frame = sys._getframe(3)
        if form == "exit":
            return id(context), form, frame.f_code
        if form == "enter" and _is_block(frame):
            return id(context), form, frame.f_code if _is_generator(frame) else None
        return id(context), "call", None

    def after(token: Token, _: Any) -> None:
        _, used, code = token
        index, enabled = recorder.index(), _recording()
        _switched(recorder, token, index, enabled)
        block = used == "enter" and code is not None  # one in a generator is not counted
        recorder.local.described = None if block else _described(recorder, how, used)
        recorder.emit(GradMode(index, recorder.step, recorder.site(), enabled, how, used))
        if used == "exit":
            recorder.learner.forward_ended()

    return before, after


def _described(recorder: "Recorder", how: str, used: str) -> Call | None:
    """What must be the same at this switch in a later round; None for one within another call."""
    local = recorder.local
    if local.depth or local.backward >= 0:
        return None
    call = recorder.learner.describe("switch", None)
    if call is not None:
        call.given = how, used
    return call


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
