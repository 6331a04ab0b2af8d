"""Probe of forwards: the outermost module calls, and which graph nodes each made."""

import functools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.autograd import _get_sequence_nr as sequence_now  # type: ignore[attr-defined]
from torch.compiler import is_compiling

from steplens.model.event import Forward
from steplens.record import failures, members, unseen
from steplens.record.functions import RUNNING
from steplens.record.grad_modes import off_since
from steplens.record.held import Reads
from steplens.record.idle import IdleGraphs
from steplens.record.modes import moved_statistics, read_modes, settle_statistics, still_frozen
from steplens.record.recent import Recent
from steplens.record.sensitive import depends_on_mode, keeps_statistics
from steplens.record.silence import SILENCE
from steplens.record.unrecorded import Unrecorded, dice, facts, rolled
from steplens.record.wrap import around, note, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

tracing: Callable[[], Any] = torch._C._get_tracing_state  # of torch.jit.trace
transforming: Callable[[], Any] = getattr(torch._C, "_functorch").peek_interpreter_stack  # noqa: B009


class Forwards(Recent):
    """The recent forwards: which sequence numbers they made, and which tensors they gave out."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: deque[tuple[weakref.ref[torch.Tensor], int]] = deque(maxlen=64)
        self.watched: dict[int, tuple[weakref.ref[nn.Module], bool]] = {}
        self.purpose = ""
        self.idle = IdleGraphs()
        self.unrecorded = Unrecorded()

    def gave(self, tensors: Iterable[torch.Tensor]) -> tuple[int, ...]:
        """The Forward events whose outputs (or views of them, or what was computed from them) these
        tensors are."""
        found: set[int] = set()
        known = [(tensor, event) for ref, event in self.outputs if (tensor := ref()) is not None]
        for tensor in tensors:
            if tensor.grad_fn is not None:
                event = self._made(tensor)
                if event >= 0:
                    found.add(event)
            for output, event in known:
                if output is tensor or same_storage(output, tensor):
                    found.add(event)
        return tuple(sorted(found))

    def _made(self, tensor: torch.Tensor) -> int:
        node, depth = tensor.grad_fn, 0
        while node is not None and depth < 8:
            event = self.of(node._sequence_nr())
            if event >= 0:
                return event
            node = node.next_functions[0][0] if node.next_functions else None
            depth += 1
        return -1


def same_storage(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors share memory; False for tensors that have none."""
    try:
        first = one.untyped_storage().data_ptr()
        return first != 0 and first == other.untyped_storage().data_ptr()
    except Exception:  # fake, functional and batched tensors
        return False


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear module calls, and know a forward that ``update_bn`` runs on purpose."""
    return [_module_calls(recorder), *_update_bn(recorder)]


def _module_calls(recorder: "Recorder") -> Callable[[], None]:
    original = nn.Module.__call__
    local = recorder.local

    @functools.wraps(original)
    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if is_compiling() or not recorder.active or SILENCE.quiet or local.backward >= 0:
            return original(self, *args, **kwargs)
        if local.depth:
            if RUNNING.stack is not None:
                return _inner_call(recorder, original, self, args, kwargs)
            return original(self, *args, **kwargs)
        reads = search = token = None
        try:
            token = _begin(recorder, self, args, kwargs)
            reads = _reads(recorder, self, token) if token is not None else None
            search = recorder.hunt.begin(recorder, self) if recorder.hunt.left > 0 else None
        except Exception as error:
            note(recorder, "forward", error)
            token = local.ran = None
        if token is None:
            return _bearing(recorder, original, self, args, kwargs)
        local.depth, RUNNING.dozing = 1, not self.training
        RUNNING.stack = [self] if RUNNING.dozing or local.ran is not None else None
        try:
            with reads or nullcontext(), search or nullcontext():
                result = original(self, *args, **kwargs)
        finally:
            local.depth, RUNNING.dozing, RUNNING.stack = 0, False, None
            ran, local.ran = local.ran, None
        try:
            _end(recorder, self, token, result, ran)
            if reads is not None:
                _heard(recorder, reads)
            if recorder.rows.left > 0 and recorder.step < 2:
                recorder.rows.look(recorder, self, args, kwargs)
        except Exception as error:
            note(recorder, "forward", error)
        return result

    return replace(recorder, nn.Module, "__call__", call)


def _bearing(
    recorder: "Recorder", original: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any
) -> Any:
    """A call of a module with nothing to watch, save plain tensor attributes."""
    reads = None
    try:
        if recorder.held.bears(module) and not unreal(args):
            reads = _reads(recorder, module, (recorder.census.module(module),))
    except Exception as error:
        note(recorder, "held", error)
    if reads is None:
        return original(module, *args, **kwargs)
    with reads:
        result = original(module, *args, **kwargs)
    _heard(recorder, reads)
    return result


def _reads(recorder: "Recorder", module: nn.Module, token: Any) -> Reads | None:
    """What hears the torch functions of this forward, for the few that are to be heard."""
    try:
        return recorder.held.begin(recorder, module, token[0])
    except Exception as error:
        note(recorder, "held", error)
        return None


def _heard(recorder: "Recorder", reads: Reads) -> None:
    try:
        recorder.held.end(recorder, reads)
    except Exception as error:
        note(recorder, "held", error)


def _inner_call(
    recorder: "Recorder", original: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any
) -> Any:
    """A module call inside another, while it is asked which module is running."""
    stack, looking = RUNNING.stack, recorder.local.ran is not None
    if stack is None:
        return original(module, *args, **kwargs)
    try:
        if looking:
            _inner(recorder, module)
    except Exception as error:
        note(recorder, "forward", error)
    stack.append(module)
    try:
        result = original(module, *args, **kwargs)
    finally:
        stack.pop()
    try:
        if looking:
            _dark(recorder, module, result)
    except Exception as error:
        note(recorder, "forward", error)
    return result


def _inner(recorder: "Recorder", module: nn.Module) -> None:
    number = recorder.census.known_module(module)
    ran = recorder.local.ran
    if ran is not None:
        number = number if number >= 0 else recorder.census.module(module)
        ran.add(number)
        if torch.is_grad_enabled():
            recorder.local.lit.add(number)


def _dark(recorder: "Recorder", module: nn.Module, result: Any) -> None:
    """Note a frozen norm in train mode that no gradient will pass, though recording is on."""
    if (
        module.training
        and keeps_statistics(module)
        and isinstance(result, torch.Tensor)
        and not result.requires_grad
        and module._parameters.get("weight") is not None
        and torch.is_grad_enabled()
    ):
        number = recorder.census.known_module(module)
        if number >= 0:
            RUNNING.dark.add(number)


def _begin(recorder: "Recorder", module: nn.Module, args: Any, kwargs: Any) -> Any:
    if unreal(args) or not _watched(recorder, module):
        return None
    number = recorder.census.module(module)
    mode = read_modes(recorder, module, number)
    settle_statistics(recorder, number)
    random, again = None, -1
    unrecorded = mode >= 0 and not torch.is_grad_enabled()
    RUNNING.dark.clear()
    if recorder.cadence.looking:
        recorder.local.ran, recorder.local.lit = {number}, {number}
    if recorder.cadence.looking or (unrecorded and recorder.roster.modes[mode].awake):
        random = dice(module)
    given = list(tensors_in((args, kwargs)))
    if recorder.cadence.looking:
        recorder.strays.excuse(recorder, given)
    if unrecorded:
        again = recorder.forwards.unrecorded.again(number, given)
    fed = recorder.forwards.gave(given)
    return number, mode, fed, random, again, sequence_now()


def _end(
    recorder: "Recorder", module: nn.Module, token: Any, result: Any, ran: set[int] | None
) -> None:
    number, mode, fed, random, again, start = token
    end = sequence_now()
    forwards = recorder.forwards
    forwards.idle.flush(recorder)
    index = recorder.index()
    outputs = list(tensors_in(result))
    recorded = end > start and any(output.requires_grad for output in outputs)
    site = recorder.site()
    if end > start:
        forwards.ran(start, end, index, site)
    for output in outputs[:8]:
        forwards.outputs.append((weakref.ref(output), index))
    drew = None if random is None else rolled(random, dice(module))
    purpose, discarded = forwards.purpose, False
    if mode >= 0 and not torch.is_grad_enabled():
        purpose, discarded = facts(recorder, number, index)
    dark = tuple(sorted(RUNNING.dark))
    mode = still_frozen(recorder, number, mode, dark)
    dark = tuple(norm for norm in dark if norm not in recorder.moves.blocks.averaged)
    recorder.emit(
        event := Forward(
            index,
            recorder.step,
            site,
            number,
            torch.is_grad_enabled(),
            recorded,
            module.training,
            mode,
            tuple(sorted(ran)) if ran is not None else None,
            fed,
            moved_statistics(recorder, number),
            drew,
            off_since(recorder),
            torch.is_inference_mode_enabled(),
            purpose,
            again,
            discarded,
            dark,
            without_grad=tuple(sorted(ran - recorder.local.lit)) if ran else (),
        )
    )
    failures.ran(recorder, event)
    if recorder.hunt.left > 0:
        recorder.hunt.ran(recorder, event)
    if recorded and not module.training:
        forwards.idle.watch(index, number, module, outputs)


def _watched(recorder: "Recorder", module: nn.Module) -> bool:
    """Whether a module has anything to watch: parameters, buffers or mode-sensitive parts. Losses
    and activations have not."""
    known = recorder.forwards.watched.get(id(module))
    if known is not None and known[0]() is module:
        return known[1]
    unseen.meet(recorder, module)
    worth = type(module).__name__ != "OptimizedModule" and (
        next(members.parameters(module), None) is not None
        or any(depends_on_mode(child) for child in members.modules(module))
        or (bool(module._modules) and next(members.buffers(module), None) is not None)
    )
    key, watched = id(module), recorder.forwards.watched
    watched[key] = (weakref.ref(module, lambda _: watched.pop(key, None)), worth)
    return worth


def unreal(args: Any) -> bool:
    """Whether a call is a trace or a transform: fake tensors, ``jit.trace``, ``torch.func``."""
    if tracing() is not None or transforming() is not None:
        return True
    return any(
        type(arg).__name__ in ("FakeTensor", "FunctionalTensor")
        for arg in args
        if isinstance(arg, torch.Tensor)
    )


def tensors_in(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    """The tensors in nested tuples, lists, dicts and plain objects such as model outputs."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        if depth < 4:
            for item in value.values():
                yield from tensors_in(item, depth + 1)
    elif isinstance(value, (tuple, list)):
        if depth < 4:
            for item in value[:64]:
                yield from tensors_in(item, depth + 1)
    elif hasattr(value, "__dataclass_fields__") and depth < 3:
        yield from tensors_in(
            list(vars(value).values()) if hasattr(value, "__dict__") else [], depth + 1
        )


def _update_bn(recorder: "Recorder") -> list[Callable[[], None]]:
    from torch.optim import swa_utils

    def before(*_: Any, **__: Any) -> Any:
        recorder.forwards.purpose = "update_bn"
        return ()

    def after(_: Any, __: Any) -> None:
        recorder.forwards.purpose = ""

    return [around(recorder, "update-bn", swa_utils, "update_bn", before, after, after)]
