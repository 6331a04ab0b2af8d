"""Probe of forwards: the outermost module calls, and which graph nodes each made."""

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Forward
from steplens.record import failures, masked, members, stochastic, unseen
from steplens.record.counters import sequence_now
from steplens.record.functions import RUNNING
from steplens.record.grad_modes import off_since
from steplens.record.held import Reads
from steplens.record.idle import IdleGraphs
from steplens.record.modes import moved_statistics, read_modes, settle_statistics, still_frozen
from steplens.record.nested import tensors_in
from steplens.record.recent import Recent
from steplens.record.sensitive import depends_on_mode, keeps_statistics
from steplens.record.short import describe_forward, inputs, tracing, transforming
from steplens.record.silence import unheard
from steplens.record.unrecorded import Unrecorded, dice, facts, rolled
from steplens.record.wrap import note
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

OUTPUTS_KEPT = 64  # tensors that forwards gave out, while they live


class Forwards(Recent):
    """The recent forwards: which sequence numbers they made, and which tensors they gave out."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[tuple[weakref.ref[torch.Tensor], int, int]] = []  # each with its place
        self.enough = 8  # of them, at which the dead are taken out
        self.watched: dict[int, tuple[weakref.ref[nn.Module], bool]] = {}
        self.purpose = ""
        self.idle = IdleGraphs()
        self.unrecorded = Unrecorded()

    def gave(self, tensors: Iterable[torch.Tensor]) -> tuple[int, ...]:
        """The Forward events whose outputs (or views of them, or what was computed from them) these
        tensors are."""
        found: set[int] = set()
        places: set[int] = set()
        given: set[int] = set()
        for tensor in tensors:
            places.add(pointer(tensor))
            given.add(id(tensor))
            if tensor.requires_grad and tensor.grad_fn is not None:
                event = self._made(tensor)
                if event >= 0:
                    found.add(event)
        for ref, event, place in self.outputs:
            if place not in places or (output := ref()) is None:
                continue
            if place or id(output) in given:  # of those without memory only the very same
                found.add(event)
        return tuple(sorted(found))

    def give(self, outputs: Iterable[torch.Tensor], event: int) -> None:
        """A Forward event gave out these tensors."""
        self.outputs += [(weakref.ref(output), event, pointer(output)) for output in outputs]
        if len(self.outputs) > self.enough:
            self.outputs = [given for given in self.outputs if given[0]() is not None]
            del self.outputs[:-OUTPUTS_KEPT]
            self.enough = 2 * len(self.outputs) + 8

    def _made(self, tensor: torch.Tensor) -> int:
        node, depth = tensor.grad_fn, 0
        while node is not None and depth < 8:
            event = self.of(node._sequence_nr())
            if event >= 0:
                return event
            node = node.next_functions[0][0] if node.next_functions else None
            depth += 1
        return -1


def bearing(
    recorder: "Recorder", original: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any
) -> Any:
    """A call of a module with nothing to watch, save plain tensor attributes."""
    reads = None
    try:
        if recorder.held.bears(module) and not unreal(args):
            reads = reads_of(recorder, module, (recorder.census.module(module),))
    except Exception as error:
        note(recorder, "held", error)
    if reads is None:
        return original(module, *args, **kwargs)
    with reads:
        result = original(module, *args, **kwargs)
    heard_in(recorder, reads)
    return result


@unheard
def reads_of(recorder: "Recorder", module: nn.Module, token: Any) -> Reads | None:
    """What hears the torch functions of this forward, for the few that are to be heard."""
    try:
        return recorder.held.begin(recorder, module, token[0])
    except Exception as error:
        note(recorder, "held", error)
        return None


@unheard
def heard_in(recorder: "Recorder", reads: Reads) -> None:
    """What was heard of the torch functions of a forward."""
    try:
        recorder.held.end(recorder, reads)
    except Exception as error:
        note(recorder, "held", error)


def inner_call(
    recorder: "Recorder", original: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any
) -> Any:
    """A module call inside another, while it is asked which module is running."""
    stack, looking = RUNNING.stack, recorder.local.ran is not None
    if stack is None:
        return original(module, *args, **kwargs)
    drawn = mask = None
    try:
        if looking:
            _inner(recorder, module, args, kwargs)
            drawn = stochastic.before(module, args)
        mask = masked.before(recorder, module, args)
    except Exception as error:
        note(recorder, "forward", error)
    stack.append(module)
    try:
        result = original(module, *args, **kwargs)
    finally:
        stack.pop()
    try:
        if mask is not None:
            masked.after(recorder, module, mask, args, result)
        if looking:
            _dark(recorder, module, result)
            stochastic.after(recorder, module, drawn, args)
            recorder.positions.added(recorder, module, args, result)
    except Exception as error:
        note(recorder, "forward", error)
    return result


@unheard
def _inner(recorder: "Recorder", module: nn.Module, args: Any, kwargs: Any) -> None:
    number = recorder.census.known_module(module)
    ran = recorder.local.ran
    if ran is not None:
        number = number if number >= 0 else recorder.census.module(module)
        ran.add(number)
        if torch.is_grad_enabled():
            recorder.local.lit.add(number)
        if number not in recorder.local.raw and not _carried(args, kwargs):
            recorder.local.raw.add(number)


def _carried(args: Any, kwargs: Any) -> bool:
    """Whether one of the tensors given was made with a graph: by other parts of the model."""
    return any(
        isinstance(given, torch.Tensor) and given.grad_fn is not None
        for given in (*args, *kwargs.values())
    )


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
def entered(recorder: "Recorder", module: nn.Module, args: Any, kwargs: Any) -> Any:
    """A forward begins: what ``returned`` needs to tell it, None where nothing is to be told."""
    if unreal(args) or not _watched(recorder, module):
        return None
    recorder.freezes.look(recorder)
    if torch.is_grad_enabled():
        recorder.detail.stir()
    else:
        recorder.detail.lull.forward()
    number = recorder.census.module(module)
    mode = read_modes(recorder, module, number)
    settle_statistics(recorder, number)
    random, again = None, -1
    unrecorded = mode >= 0 and not torch.is_grad_enabled()
    RUNNING.dark.clear()
    if recorder.cadence.looking:
        recorder.local.ran, recorder.local.lit, recorder.local.raw = {number}, {number}, {number}
    if recorder.cadence.looking or (unrecorded and recorder.roster.modes[mode].awake):
        random = dice(module)
    given = list(tensors_in((args, kwargs)))
    recorder.strays.excuse(recorder, given)
    if recorder.cadence.looking:
        recorder.padding.given(given)
    if unrecorded:
        again = recorder.forwards.unrecorded.again(number, given)
    fed = recorder.forwards.gave(given)
    described = recorder.learner.describe("forward", module)
    if described is not None:
        describe_forward(recorder, described, module, number, mode, inputs(args, kwargs))
    return number, mode, fed, random, again, sequence_now(), described


@unheard
def returned(
    recorder: "Recorder", module: nn.Module, token: Any, result: Any, ran: set[int] | None
) -> None:
    """A forward has ended, in which the modules ``ran`` ran, if that was asked."""
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
    drawn = mode >= 0 and module.training and forwards.unrecorded.drawn(recorder.places.frame(1))
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
            raw=tuple(sorted(recorder.local.raw)) if ran and recorded and mode >= 0 else None,
            drawn=drawn,
        )
    )
    failures.ran(recorder, event)
    if recorder.taken.undone.pending:
        recorder.taken.undone.forward(recorder, module)
    if recorder.seeds.fresh and not (recorded and module.training):
        recorder.seeds.evaluated(recorded)
    if recorder.hunt.left > 0:
        recorder.hunt.ran(recorder, event)
    if recorder.behind.unfed.fresh and not recorded:
        recorder.behind.unfed.look(recorder, module)
    if mode >= 0 and not module.training:
        recorder.behind.look(recorder, module, number)
    if recorded and not module.training:
        forwards.idle.watch(index, number, module, outputs)
    elif recorded:
        recorder.lifetimes.gave(recorder.step, outputs)


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
    if tracing() is not None or transforming():
        return True
    return any(
        type(arg).__name__ in ("FakeTensor", "FunctionalTensor")
        for arg in args
        if isinstance(arg, torch.Tensor)
    )
