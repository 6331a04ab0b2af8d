"""Probe of forwards: the outermost module calls, and which graph nodes each made."""

import functools
import weakref
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.compiler import is_compiling, is_dynamo_compiling

from steplens.model.event import Forward
from steplens.record import failures, members, stochastic, unseen
from steplens.record.functions import RUNNING
from steplens.record.grad_modes import off_since
from steplens.record.held import Reads
from steplens.record.idle import IdleGraphs
from steplens.record.modes import moved_statistics, read_modes, settle_statistics, still_frozen
from steplens.record.nested import tensors_in
from steplens.record.recent import Recent
from steplens.record.sensitive import depends_on_mode, keeps_statistics
from steplens.record.short import (
    describe_forward,
    forward_begins,
    forward_ended,
    inputs,
    sequence_now,
    unreal,
)
from steplens.record.silence import SILENCE, unheard
from steplens.record.underway import graph_task
from steplens.record.unrecorded import Unrecorded, dice, facts, rolled
from steplens.record.wrap import around, note, replace
from steplens.record.writes import same_storage

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

INSIDE = 2  # depth within a forward that is counted: nothing inside is looked at
OUTPUTS_KEPT = 64  # tensors that forwards gave out, while they live


class Forwards(Recent):
    """The recent forwards: which sequence numbers they made, and which tensors they gave out."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[tuple[weakref.ref[torch.Tensor], int]] = []  # those alive, mostly
        self.watched: dict[int, tuple[weakref.ref[nn.Module], bool]] = {}
        self.purpose = ""
        self.idle = IdleGraphs()
        self.unrecorded = Unrecorded()

    def gave(self, tensors: Iterable[torch.Tensor]) -> tuple[int, ...]:
        """The Forward events whose outputs (or views of them, or what was computed from them) these
        tensors are."""
        found: set[int] = set()
        self.outputs = [pair for pair in self.outputs if pair[0]() is not None]
        known = [(tensor, event) for ref, event in self.outputs if (tensor := ref()) is not None]
        for tensor in tensors:
            if tensor.requires_grad and tensor.grad_fn is not None:
                event = self._made(tensor)
                if event >= 0:
                    found.add(event)
            for output, event in known:
                if output is tensor or same_storage(output, tensor):
                    found.add(event)
        return tuple(sorted(found))

    def give(self, outputs: Iterable[torch.Tensor], event: int) -> None:
        """A Forward event gave out these tensors."""
        self.outputs += [(weakref.ref(output), event) for output in outputs]
        if len(self.outputs) > OUTPUTS_KEPT:
            self.outputs = [pair for pair in self.outputs if pair[0]() is not None]
            del self.outputs[:-OUTPUTS_KEPT]

    def _made(self, tensor: torch.Tensor) -> int:
        node, depth = tensor.grad_fn, 0
        while node is not None and depth < 8:
            event = self.of(node._sequence_nr())
            if event >= 0:
                return event
            node = node.next_functions[0][0] if node.next_functions else None
            depth += 1
        return -1


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear module calls, and know a forward that ``update_bn`` runs on purpose."""
    return [_module_calls(recorder), *_update_bn(recorder)]


def _module_calls(recorder: "Recorder") -> Callable[[], None]:  # noqa: C901  as few frames as can be
    original = nn.Module.__call__
    local = recorder.local
    steady = recorder.steady
    names = getattr(getattr(original, "__code__", None), "co_names", ())
    plain = names == ("_compiled_call_impl", "_call_impl")

    @functools.wraps(original)
    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if is_dynamo_compiling():
            return original(self, *args, **kwargs)
        depth = local.depth
        if depth == INSIDE:
            if plain and self._compiled_call_impl is None:
                return self._call_impl(*args, **kwargs)  # what torch's own does
            return original(self, *args, **kwargs)
        due = steady.due
        if due is None or steady.owner != get_ident():
            recorder.leave()
            return full(depth, self, args, kwargs)
        try:
            begins = forward_begins(steady, due, self, args, kwargs)
        except Exception as error:
            note(recorder, "steady", error)
            begins = False
        if begins is None:
            return original(self, *args, **kwargs)
        if not begins:
            return full(depth, self, args, kwargs)
        local.depth = INSIDE
        try:
            if plain and self._compiled_call_impl is None:
                result = self._call_impl(*args, **kwargs)
            else:
                result = original(self, *args, **kwargs)
        except BaseException:
            steady.leave()
            raise
        finally:
            local.depth = 0
        try:
            if not forward_ended(steady, due, result):
                _end(recorder, self, steady.token, result, None)
        except Exception as error:
            note(recorder, "forward", error)
        return result

    def full(depth: int, self: nn.Module, args: Any, kwargs: Any) -> Any:
        if is_compiling() or not recorder.active or SILENCE.quiet or graph_task() >= 0:
            return original(self, *args, **kwargs)
        if depth:
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
            if recorder.rows.left > 0:
                recorder.rows.look(recorder, self, args, kwargs)
            if recorder.foresight.left > 0:
                recorder.foresight.forward(recorder, self, args, kwargs)
            recorder.learner.forward_ended()
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


@unheard
def _reads(recorder: "Recorder", module: nn.Module, token: Any) -> Reads | None:
    """What hears the torch functions of this forward, for the few that are to be heard."""
    try:
        return recorder.held.begin(recorder, module, token[0])
    except Exception as error:
        note(recorder, "held", error)
        return None


@unheard
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
    drawn = None
    try:
        if looking:
            _inner(recorder, module)
            drawn = stochastic.before(module, args)
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
            stochastic.after(recorder, module, drawn, args)
            recorder.positions.added(recorder, module, args, result)
    except Exception as error:
        note(recorder, "forward", error)
    return result


@unheard
def _inner(recorder: "Recorder", module: nn.Module) -> None:
    number = recorder.census.known_module(module)
    ran = recorder.local.ran
    if ran is not None:
        number = number if number >= 0 else recorder.census.module(module)
        ran.add(number)
        if torch.is_grad_enabled():
            recorder.local.lit.add(number)


@unheard
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


@unheard
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
        recorder.padding.given(given)
    if unrecorded:
        again = recorder.forwards.unrecorded.again(number, given)
    fed = recorder.forwards.gave(given)
    described = recorder.learner.describe("forward", module)
    if described is not None:
        describe_forward(recorder, described, module, number, mode, inputs(args, kwargs))
    return number, mode, fed, random, again, sequence_now(), described


@unheard
def _end(
    recorder: "Recorder", module: nn.Module, token: Any, result: Any, ran: set[int] | None
) -> None:
    number, mode, fed, random, again, start, described = token
    end = sequence_now()
    forwards = recorder.forwards
    forwards.idle.flush(recorder)
    index = recorder.index()
    outputs = list(tensors_in(result))
    recorded = end > start and any(output.requires_grad for output in outputs)
    site = recorder.site()
    if end > start:
        forwards.ran(start, end, index, site)
    forwards.give(outputs[:8], index)
    drew = None if random is None else rolled(random, dice(module))
    purpose, discarded = forwards.purpose, False
    if mode >= 0 and not torch.is_grad_enabled():
        purpose, discarded = facts(recorder, number, index)
    elif mode >= 0 and recorded:
        discarded = forwards.unrecorded.discarded(recorder.places.frame(1))
    dark = tuple(sorted(RUNNING.dark))
    mode = still_frozen(recorder, number, mode, dark)
    dark = tuple(norm for norm in dark if norm not in recorder.moves.blocks.averaged)
    if described is not None:
        described.nodes = end - start
        hidden = end > start and not outputs  # in an object: a policy gives out a distribution
        plain = recorded or hidden if torch.is_grad_enabled() else not (recorded or discarded)
        described.fit = described.fit and plain and not (purpose or (dark and random is None))
        recorder.local.described = described
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
    if not recorded and recorder.seeds.fresh:
        recorder.seeds.evaluated()
    if recorder.hunt.left > 0:
        recorder.hunt.ran(recorder, event)
    if mode >= 0 and not module.training:
        recorder.behind.look(recorder, module, number)
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


def _update_bn(recorder: "Recorder") -> list[Callable[[], None]]:
    from torch.optim import swa_utils

    def before(*_: Any, **__: Any) -> Any:
        recorder.forwards.purpose = "update_bn"
        return ()

    def after(_: Any, __: Any) -> None:
        recorder.forwards.purpose = ""

    return [around(recorder, "update-bn", swa_utils, "update_bn", before, after, after)]
