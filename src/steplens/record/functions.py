"""Probe of functions: dropout called as a function, and in which module it is."""

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.compiler import is_compiling
from torch.nn import functional

from steplens.model.event import Drop
from steplens.record import members, sayings
from steplens.record.modes import look_anew
from steplens.record.sensitive import drops, follows
from steplens.record.silence import SILENCE, unheard
from steplens.record.wrap import note, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

# Dropouts and what their `training` argument is when none is given.
DROPOUTS = {
    "dropout": True,
    "dropout1d": True,
    "dropout2d": True,
    "dropout3d": True,
    "alpha_dropout": False,
    "feature_alpha_dropout": False,
}


BARE = ("dropout", "feature_dropout", "alpha_dropout")  # of torch itself: input, p, train


class Running(threading.local):
    """This thread's outermost forward: ``dozing`` when its module is in eval mode, the modules
    running (``stack``, kept when it dozes and at looks, else None), and the frozen norms in train
    mode whose inputs carried no graph (``dark``)."""

    dozing = False
    stack: list[nn.Module] | None = None

    def __init__(self) -> None:
        self.dark: set[int] = set()


RUNNING = Running()


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear torch's functional dropouts, and the attention function that has one."""
    removals = [_dropout(recorder, name, default) for name, default in DROPOUTS.items()]
    removals += [_bare(recorder, name) for name in BARE]
    return [*removals, _attention(recorder)]


def _dropout(recorder: "Recorder", name: str, default: bool) -> Callable[[], None]:
    original = getattr(functional, name)
    local, cadence = recorder.local, recorder.cadence

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if is_compiling() or not recorder.active or SILENCE.quiet:
            return original(*args, **kwargs)
        result = original(*args, **kwargs)
        if RUNNING.dozing or cadence.looking if local.depth else not torch.is_grad_enabled():
            try:
                given = len(args) > 2 or "training" in kwargs
                training = args[2] if len(args) > 2 else kwargs.get("training", default)
                p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
                if p > 0 and (training or cadence.looking) and "dropout" not in recorder.off:
                    source = args[0] if args else kwargs.get("input")
                    _heard(recorder, name, p, bool(training), given, (source, result))
            except Exception as error:
                note(recorder, "dropout", error)
        return result

    call.__prepare_scriptable__ = lambda: original  # type: ignore[attr-defined]  # jit.script
    return replace(recorder, functional, name, call)


def _attention(recorder: "Recorder") -> Callable[[], None]:
    name = "scaled_dot_product_attention"
    original = getattr(functional, name)
    local, cadence = recorder.local, recorder.cadence

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if is_compiling() or not recorder.active or SILENCE.quiet:
            return original(*args, **kwargs)
        if RUNNING.dozing or cadence.looking if local.depth else not torch.is_grad_enabled():
            try:
                p = args[4] if len(args) > 4 else kwargs.get("dropout_p", 0.0)
                if p > 0 and "dropout" not in recorder.off:
                    _heard(recorder, name, p, True, False, None)
            except Exception as error:
                note(recorder, "dropout", error)
        return original(*args, **kwargs)

    return replace(recorder, functional, name, call)


def _bare(recorder: "Recorder", name: str) -> Callable[[], None]:
    """Hear ``torch.dropout`` and its kin, whose ``train`` must be given."""
    original = getattr(torch, name)
    local = recorder.local

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if is_compiling() or not recorder.active or SILENCE.quiet:
            return result
        if RUNNING.dozing if local.depth else not torch.is_grad_enabled():
            try:
                given = dict(zip(("input", "p", "train"), args, strict=False)) | kwargs
                if given["p"] > 0 and given["train"] and "dropout" not in recorder.off:
                    values = (given["input"], result)
                    _heard(recorder, name, given["p"], True, True, values)
            except Exception as error:
                note(recorder, "dropout", error)
        return result

    return replace(recorder, torch, name, call)


@unheard
def _heard(
    recorder: "Recorder",
    name: str,
    p: float,
    training: bool,
    given: bool,
    values: tuple[Any, Any] | None,
) -> None:
    """A dropout with p > 0 ran inside a forward; or outside of any, without grad: then the method
    that runs says whose it is."""
    stack = RUNNING.stack
    if not recorder.local.depth:
        inner = recorder.methods.asleep(recorder) if training else None
        if inner is not None:
            _tell(recorder, inner, name, p, given, -1, values)
        return
    if not stack:
        return
    inner, outer = stack[-1], stack[-2] if len(stack) > 1 else None
    stray = -1
    if drops(inner):
        if not training or outer is None or outer.training or _holds(outer, inner):
            return
        stray = recorder.census.module(inner)
        inner, given = outer, False
    elif training == inner.training:
        if (given or values is None) and follows(inner, training):
            look_anew(recorder)
        return
    elif not training:
        return
    else:
        follows(inner, training)
    _tell(recorder, inner, name, p, given, stray, values)


def _tell(
    recorder: "Recorder",
    inner: nn.Module,
    name: str,
    p: float,
    given: bool,
    stray: int,
    values: tuple[Any, Any] | None,
) -> None:
    """Values were dropped inside a module in eval mode: once for each line and step."""
    moves = recorder.moves
    number, site = recorder.census.module(inner), recorder.site()
    key = (site, number)
    if key in moves.overridden or moves.dropped.get(key) == recorder.step:
        return
    first = key not in moves.dropped
    if first and given and _meant(recorder):
        moves.overridden.add(key)
        return
    moves.dropped[key] = recorder.step
    dropped, of = _count(recorder, values) if first and values is not None else (0, 0)
    recorder.emit(
        Drop(
            recorder.index(), recorder.step, site, number, name, float(p), given, stray, dropped, of
        )
    )


def _meant(recorder: "Recorder") -> bool:
    """Whether the flag at the user's line is made of the module's own, overridden knowingly."""
    frame = recorder.places.frame(1)
    return frame is not None and sayings.minds_mode(frame.f_code, frame.f_lineno)


def _holds(outer: nn.Module, inner: nn.Module) -> bool:
    return any(module is inner for module in members.modules(outer))


def _count(recorder: "Recorder", values: tuple[Any, Any]) -> tuple[int, int]:
    """How many values a dropout made zero, of how many that were not. Waits for the device."""
    source, result = values
    if not (isinstance(source, torch.Tensor) and isinstance(result, torch.Tensor)):
        return 0, 0
    if source is result or source.shape != result.shape or source.is_meta:
        return 0, 0
    with recorder.quiet(), torch.no_grad():
        filled = source.detach().ne(0)
        return int((filled & result.detach().eq(0)).sum()), int(filled.sum())
