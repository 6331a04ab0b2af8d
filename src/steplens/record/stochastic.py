"""Stochastic: layers of the program's own that draw random numbers in train mode only (stochastic
depth, added noise), without any of torch's dropouts."""

import weakref
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.record.modes import look_anew
from steplens.record.nested import tensors_in
from steplens.record.sensitive import depends_on_mode, rolls
from steplens.record.unrecorded import dice, rolled

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

_reading: "weakref.WeakKeyDictionary[type, bool]" = weakref.WeakKeyDictionary()


def before(module: nn.Module, args: Any) -> Any:
    """Where the random numbers stand before a layer's forward in train mode; None for a layer that
    is of no interest: one with parameters or children, or whose code does not read its flag."""
    if not module.training or module._modules or module._parameters or depends_on_mode(module):
        return None
    known = _reading.get(type(module))
    if known is None:
        known = _reading[type(module)] = _reads_flag(type(module))
    return dice(next(tensors_in(args), None)) if known else None


def after(recorder: "Recorder", module: nn.Module, token: Any, args: Any) -> None:
    """Note that the layer has drawn."""
    if token is not None and rolled(token, dice(next(tensors_in(args), None))):
        rolls(module)
        look_anew(recorder)


def _reads_flag(kind: type) -> bool:
    """Whether a method of the class, or of one it is made of that is not torch's, reads
    ``training``."""
    for each in kind.__mro__[: kind.__mro__.index(nn.Module)]:
        if each.__module__.partition(".")[0] != torch.__name__:
            for method in vars(each).values():
                if isinstance(method, FunctionType) and "training" in method.__code__.co_names:
                    return True
    return False
