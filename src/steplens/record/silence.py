"""Silence: steplens's own calls of torch, which neither a Recorder nor what the program has put in
to hear torch's operators must hear."""

import functools
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import ParamSpec, TypeVar

import torch
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _disable_current_modes  # torch has no public name for it

from steplens.record.resting import rest, wake
from steplens.record.stopwatch import CLOCK

P = ParamSpec("P")
T = TypeVar("T")


class Silence(threading.local):
    """``quiet`` is True while steplens itself works with torch on this thread, ``aside`` while
    nothing of the program's hears it."""

    quiet = False
    aside = False


SILENCE = Silence()
_NOTHING = nullcontext()

function_modes: Callable[[], int] = torch._C._len_torch_function_stack
dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
profiling: Callable[[], bool] = torch._C._autograd._profiler_enabled  # type: ignore[attr-defined]
_record: Callable[[bool], None] = torch._C._autograd._enable_record_function  # type: ignore[attr-defined]


def unheard(work: Callable[P, T]) -> Callable[P, T]:
    """The same function, its torch calls unheard by the program's modes and profilers: by a
    ``TorchDispatchMode`` (``FlopCounterMode``), a ``TorchFunctionMode`` (``torch.device`` as a
    context, ``set_default_device``), and ``torch.profiler``; its lines unheard by the window's
    trace function. Its time is ours."""

    @functools.wraps(work)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        trace, began, place = None, 0.0, _NOTHING
        try:
            trace = rest()
            began = CLOCK.start()
            entered = alone()
            entered.__enter__()
            place = entered
        except Exception:  # named by the wrappers, which fail in the same way
            pass
        try:
            return work(*args, **kwargs)
        finally:
            place.__exit__(None, None, None)
            CLOCK.stop(began)
            wake(trace)

    return inside


def alone() -> AbstractContextManager[None]:
    """A block of our own work with torch, unheard in the same way."""
    if not heard() or SILENCE.aside:
        return _NOTHING
    return aside()


def heard() -> bool:
    """Whether anything of the program's hears torch's operators on this thread."""
    return bool(function_modes() or dispatch_modes() or profiling())


def overheard() -> bool:
    """Whether the program hears torch's operators, other than to give them a default device."""
    count = function_modes()
    modes = [torch._C._get_function_stack_at(place) for place in range(count)]
    others = any(type(mode) is not DeviceContext for mode in modes)
    return others or dispatch_modes() > 0 or profiling()


def within() -> bool:
    """Whether the program is within a function mode that it will leave: any but that of
    ``set_default_device``, which lies below all others and is taken out from there."""
    count = function_modes()
    if count != 1:
        return count > 0
    held = getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None)
    return torch._C._get_function_stack_at(0) is not getattr(held, "device_context", None)


@contextmanager
def aside() -> Generator[None, None, None]:
    """Nothing the program has put in hears torch's operators on this thread."""
    if SILENCE.aside:
        yield
        return
    profiled = profiling()
    if profiled:
        _record(False)
    SILENCE.aside = True
    try:
        with torch._C.DisableTorchFunction():
            if dispatch_modes():
                with _disable_current_modes():
                    yield
            else:
                yield
    finally:
        SILENCE.aside = False
        if profiled:
            _record(True)
