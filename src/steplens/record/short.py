"""The short way: what is compared at each call while rounds are counted.

Each ``..._begins`` says whether the call is the one that is due, and ``..._ended`` whether it did
what it did before; else the counting has ended (``Steady.leave``) and the call is told in full.
These run at every step of the program. So they loop over no graph, wait for no device, and touch a
gradient only where they must: to make the Python object of one costs a microsecond.
"""

import sys
from collections.abc import Callable, Iterable
from math import isfinite, nan
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch

from steplens.record.held import WATCHED
from steplens.record.nested import tensors_in
from steplens.record.rounds import Call
from steplens.record.silence import heard

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.steady import Steady

FAINT = 1e-4  # of the largest learning rate: rules ask about 1e-6 of it
FORCED = 50  # looks out of turn, as in values

sequence_now = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]
value_of = torch.Tensor.item  # torch's own, whatever is put there later
version_of, needs_gradient = attrgetter("_version"), attrgetter("requires_grad")
frame_at = sys._getframe
tracing: Callable[[], Any] = torch._C._get_tracing_state  # of torch.jit.trace
transforming: Callable[[], Any] = getattr(torch._C, "_functorch").peek_interpreter_stack  # noqa: B009


def _there(call: Call) -> bool:
    """Whether the call comes from the same instruction of the user's, through as many frames."""
    try:
        frame = frame_at(call.depth)
    except ValueError:  # the stack is not that deep
        return False
    return frame.f_code is call.code and frame.f_lasti == call.lasti


# -- clears ---------------------------------------------------------------------------------------


def clear_begins(steady: "Steady", call: Call, thing: Any, args: Any, kwargs: Any) -> bool:
    """Whether this ``zero_grad`` is due."""
    if (
        call.form == "clear"
        and call.ref() is thing
        and call.given == (args, kwargs)
        and steady.current is None
        and _there(call)
    ):
        return True
    steady.leave()
    return False


def plain(values: Iterable[Any]) -> bool:
    """Whether these are numbers and flags, which can be compared."""
    return all(value is None or type(value) in (bool, int, float) for value in values)


def clip_begins(
    steady: "Steady", call: Call, tensors: list[Any], args: Any, kwargs: dict[str, Any]
) -> bool:
    """Whether this clip is due, of the same tensors; what it did to their gradients shows at the
    step."""
    if (
        call.form == "clip"
        and [*map(id, tensors)] == call.ids
        and plain(args)
        and plain(kwargs.values())
        and call.given == (args, kwargs)
        and steady.current is None
        and _there(call)
    ):
        return True
    steady.leave()
    return False


def clear_ended(steady: "Steady", call: Call) -> None:
    """It is done; that gradients are gone, or scaled, shows at the step."""
    with steady.lock:
        if steady.due is call:
            steady.go_on(call)


# -- forwards -------------------------------------------------------------------------------------


def inputs(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The tensors that a forward is given, quickly where all arguments are tensors."""
    if not kwargs:
        for arg in args:
            if type(arg) is not torch.Tensor:
                break
        else:
            return args
    return list(tensors_in((args, kwargs)))


def kinds(tensors: Any) -> list[int]:
    """Which of these tensors require gradients, and which carry a graph."""
    return [(1 if t.grad_fn is None else 2) if t.requires_grad else 0 for t in tensors]


def describe_forward(
    recorder: "Recorder", call: Call, module: Any, number: int, given: Any
) -> None:
    """What must be the same at this forward in a later round."""
    model = recorder.held.models.get(number)
    tree = recorder.moves.trees.get(number)
    call.given, call.part = kinds(given), tree
    call.fit = (
        call.fit
        and torch.is_grad_enabled()
        and module.training
        and model is not None
        and (not model.attributes or model.forwards >= WATCHED)
        and recorder.step >= 2
        and tree is not None
    )
    if call.fit and tree is not None:
        call.flags = [module.training for module in tree.modules]


def forward_due(
    steady: "Steady", watched: dict[int, Any], due: Call, module: Any, args: Any, kwargs: Any
) -> bool | None:
    """Whether this outermost forward is the call that is due; None where it is none of a round: a
    loss's, which nobody watches, or one that a backward runs again."""
    running = steady.current
    if running is not None and running.form == "backward":
        return None
    if due.ref is None or due.ref() is not module:
        known = watched.get(id(module))
        if known is not None and known[0]() is module and not known[1]:
            return None
    return forward_begins(steady, due, module, args, kwargs)


def forward_begins(
    steady: "Steady", call: Call, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Whether this outermost forward is due."""
    start = sequence_now()
    if (
        call.form == "forward"
        and call.ref() is module
        and start - steady.seq == call.before
        and steady.current is None
        and _there(call)
        and not heard()
        and module.training
    ):
        tensors = inputs(args, kwargs)
        if (
            kinds(tensors) == call.given
            and (not steady.feeds or _fed(steady, call, tensors))
            and (not call.flags or call.flags == [ref().training for ref in call.part.held])
        ):
            if call.part.norms:
                call.part.versions = call.part.counters()
            call.seq = start
            if steady.claim(call):
                return True
    steady.leave()
    return False


def _fed(steady: "Steady", call: Call, tensors: Any) -> bool:
    """Whether these are the outputs of the forwards that are to feed this one."""
    event = call.event
    by = steady.base + call.place - event.index
    fed = steady.recorder.forwards.gave(tensors)
    return fed == tuple([one + by for one in event.fed_by])


def forward_ended(steady: "Steady", call: Call, result: Any) -> bool:
    """Whether it made what it made before."""
    end = sequence_now()
    if end - call.seq == call.nodes:
        outputs = (result,) if type(result) is torch.Tensor else list(tensors_in(result))
        part = call.part
        if any(map(needs_gradient, outputs)) and (
            not part.norms or _moved(part) == call.event.statistics
        ):
            with steady.lock:
                if steady.current is call:
                    if steady.feeds:
                        steady.recorder.forwards.give(outputs[:8], steady.base + call.place)
                    steady.seq = end
                    steady.go_on(call)
                    return True
            return False
    steady.leave()
    return False


def _moved(tree: Any) -> tuple[int, ...]:
    counters = tree.counters()
    return tuple(
        [
            tree.numbers[place]
            for place, was, now in zip(tree.norms, tree.versions, counters, strict=False)
            if was != now
        ]
    )


# -- backward passes ------------------------------------------------------------------------------


def backward_begins(
    steady: "Steady", call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Whether this backward is due."""
    now = sequence_now()
    if (
        call.form == "backward"
        and now - steady.seq == call.before
        and steady.current is None
        and _there(call)
        and type(args[0]) is torch.Tensor
        and not heard()
        and args[1:] == call.given[0]
        and kwargs == call.given[1]
    ):
        recorder = steady.recorder
        loss = None
        if call.flags:
            values = recorder.values
            loss = value_of(args[0]) if args[0].is_cpu else nan  # no device is waited for
            if not isfinite(loss) or (
                loss > values.highest and loss > 2 * values.highest and values.forced < FORCED
            ):
                steady.leave()
                return False
            values.loss_step = recorder.step
        if not recorder.seeds.fresh:
            call.seq, steady.loss, steady.roots = now, loss, args
            if steady.claim(call):
                return True
    steady.leave()
    return False


def backward_ended(steady: "Steady", call: Call) -> bool:
    """It is done; False when something in it has ended the counting."""
    recorder = steady.recorder
    with steady.lock:
        if steady.current is not call:
            return False
        steady.roots = ()
        steady.seq = sequence_now()
        call.last, call.value = call.value, steady.loss
        steady.go_on(call)
    bystanders = recorder.bystanders
    calls = bystanders.calls + 1
    if calls & (calls - 1):
        bystanders.calls = calls
    else:  # a power of two: it is time for it to look
        steady.leave()
        bystanders.after_backward(recorder)
    return True


# -- steps ----------------------------------------------------------------------------------------


def step_begins(
    steady: "Steady", call: Call, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Whether this step is due, and finds gradients that nobody has written since their
    backward."""
    recorder = steady.recorder
    if (
        call.form == "step"
        and call.ref() is optimizer
        and steady.current is None
        and len(args) == 1
        and not kwargs
        and not heard()
        and sequence_now() - steady.seq == call.before
        and _there(call)
        and not recorder.replacements.open
        and not recorder.replacements.loaded
    ):
        groups = optimizer.param_groups
        if len(groups) == 1:
            tensors = groups[0]["params"]
        else:
            tensors = [tensor for group in groups for tensor in group["params"]]
        if [*map(id, tensors)] == call.ids:
            turn = call.turn = (call.turn + 1) % len(tensors)  # each in its turn
            gradient = tensors[turn].grad
            found = -1 if gradient is None else gradient._version
            if found == call.versions[turn] + (steady.rounds + 1) * call.grown[turn]:
                return steady.claim(call)
            steady.strange = (turn,)
    steady.leave()
    return False


def versions_of(gradients: list[Any]) -> list[int]:
    """The write counters of gradients, -1 where there is none."""
    return [-1 if one is None else one._version for one in gradients]


def step_ended(steady: "Steady", call: Call, optimizer: Any) -> bool:
    """Whether it wrote what it wrote before."""
    recorder = steady.recorder
    groups = optimizer.param_groups
    if len(groups) == 1:
        group = groups[0]
        tensors, rates = group["params"], [group.get("lr")]
    else:
        tensors = [tensor for group in groups for tensor in group["params"]]
        rates = [group.get("lr") for group in groups]
    written = [*map(version_of, tensors)]
    if written != call.due or (rates != call.rates and not _fine(call, rates)):
        steady.leave()
        return False
    with steady.lock:
        if steady.current is not call:
            return False
        call.due = [*map(int.__add__, written, call.moved)]
        call.written, call.rates = written, rates
        recorder.step = recorder.census.steps = recorder.step + 1
        steady.seq = recorder.backwards.old_before = sequence_now()
        call.last, call.value = call.value, rates
        steady.go_on(call)
        steady.step_done(call)
    return True


def _fine(call: Call, rates: list[Any]) -> bool:
    """Whether new learning rates are plain numbers that go on the way they went: at a turn, and
    where one comes near 0, the steps are told one by one."""
    old = call.rates
    if len(rates) != len(old) or not {float, int}.issuperset(map(type, rates)):
        return False
    way = (rates > old) - (rates < old)
    if way * call.way < 0 or max(rates) < FAINT * call.top:
        return False
    call.way, call.top = way, max(call.top, *rates)
    return all(
        isfinite(rate) and (rate > 0) == (was > 0) for rate, was in zip(rates, old, strict=True)
    )
