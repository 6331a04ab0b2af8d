"""The short way: what is compared at each call while rounds are counted.

Each ``..._begins`` says whether the call is the one that is due, and ``..._ended`` whether it did
what it did before; else the counting has ended (``Steady.leave``) and the call is told in full.
These run at every step of the program. So they loop over no graph, wait for no device, and touch a
gradient only where they must: to make the Python object of one costs a microsecond. What is
compared in brief (``Steady.brief``), the calls, what they are made on, the mode of a model, the
loss and the learning rates, is compared by the wrappers themselves. No lock is held: only the
thread that is counted writes the position, and what it does when another has ended the counting
meanwhile is decided in ``steady`` (``claimed``, ``settled``).
"""

import functools
import weakref
from collections.abc import Callable
from math import isfinite, nan
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch

from steplens.record.branch import branch, branch_within
from steplens.record.counters import parameters, sequence_now, versions_of
from steplens.record.held import WATCHED
from steplens.record.nested import tensors_in
from steplens.record.rounds import Call, there
from steplens.record.silence import function_modes, heard

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.steady import Steady

FEW = 64  # gradients that are all looked at, where a loop goes many ways
FAINT = 1e-4  # of the largest learning rate: rules ask about 1e-6 of it

value_of = torch.Tensor.item  # torch's own, whatever is put there later
version_of = attrgetter("_version")
tracing: Callable[[], Any] = torch._C._get_tracing_state  # of torch.jit.trace
# whether a transform of torch.func runs: asked for its stack, torch would make one on each thread,
# and every graph node and backward pass would copy it from then on
transforming: Callable[[], bool] = functools.partial(
    torch._C._dispatch_tls_is_dispatch_key_included,
    torch._C.DispatchKey.FuncTorchDynamicLayerFrontMode,
)
Tensor = torch.Tensor


def made_as_many(steady: "Steady", call: Call) -> bool:
    """Whether as many graph nodes were made since the call before; this one makes none."""
    seq = sequence_now()
    if seq - steady.seq != call.before:
        return False
    steady.seq = seq
    return True


# -- clears ---------------------------------------------------------------------------------------


def clear_counts(steady: "Steady", due: Call, thing: Any, args: Any, kwargs: Any) -> bool:
    """Whether this ``zero_grad`` is due; then it counts as done. That gradients are gone shows at
    the step."""
    call: Call | None = due
    while call is not None:
        if (
            call.ref() is thing
            and call.form == "clear"
            and call.given == (args, kwargs)
            and there(call)
            and made_as_many(steady, call)
        ):
            steady.at += 1
            steady.due = call.next
            return steady.on or steady.settled()
        call = branch(steady, "clear", thing)
    steady.leave()
    return False


# -- forwards -------------------------------------------------------------------------------------


def inputs(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The tensors that a forward is given, quickly where all arguments are tensors."""
    if not kwargs:
        for arg in args:
            if type(arg) is not Tensor:
                break
        else:
            return args
    return list(tensors_in((args, kwargs)))


def made_by(root: Any) -> str:
    """The name of the graph node that made a loss; '' of one without a graph, or of several."""
    node = root.grad_fn if isinstance(root, Tensor) else None
    return "" if node is None else node.name()


def kinds(tensors: Any) -> list[int]:
    """Which of these tensors require gradients, and which carry a graph."""
    return [(1 if t.grad_fn is None else 2) if t.requires_grad else 0 for t in tensors]


def describe_forward(
    recorder: "Recorder", call: Call, module: Any, number: int, mode: int, given: Any
) -> None:
    """What must be the same at this forward in a later round: one in train mode that records, or
    one without grad with nothing in it in train mode that would act differently there (``mode`` is
    its reading): of a teacher, of a target network."""
    model = recorder.held.models.get(number)
    tree = recorder.moves.trees.get(number)
    call.given, call.part, call.value = kinds(given), tree, module.training
    if torch.is_grad_enabled():
        settled = model is not None and (not model.attributes or model.forwards >= WATCHED)
        plain = module.training and settled
    else:
        plain = mode < 0 or not recorder.roster.modes[mode].awake
    calm = recorder.cadence.step >= 2 or not torch.is_grad_enabled()
    call.fit = call.fit and plain and calm and tree is not None
    if call.fit and tree is not None:
        call.flags = [module.training for module in tree.modules]


def forward_begins(
    steady: "Steady", due: Call, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool | None:
    """Whether this outermost forward is the call that is due; None where it is none of a round: a
    loss's, which nobody watches, or one that a backward runs again."""
    if due.ref() is not module:
        running = steady.current
        if running is not None and running.form == "backward":
            return None
        known = steady.watched.get(id(module))
        if known is not None and not known[1] and known[0]() is module:
            due.passed = weakref.ref(module)
            return None
    call: Call | None = due
    while call is not None:
        seq = sequence_now()
        if (
            call.ref() is module
            and call.form == "forward"
            and module.training is call.value
            and _alike(steady, call, seq, args, kwargs)
        ):
            call.seq = seq
            steady.current = call
            if steady.on or steady.claimed(call):
                return True
            break
        call = branch(steady, "forward", module)
    steady.leave()
    return False


def _alike(
    steady: "Steady", call: Call, seq: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Whether all else is as it was at this forward before, with as many nodes made until now."""
    if seq - steady.seq != call.before or not there(call) or function_modes():
        return False
    if not call.nodes and (torch.is_grad_enabled() or "order" in steady.seeds.fresh):
        return False
    tensors = inputs(args, kwargs)
    if kinds(tensors) != call.given:
        return False
    tree = call.part
    if call.flags and call.flags != [ref().training for ref in tree.held]:
        return False
    if steady.feeds:
        event = call.event
        by = steady.origin + steady.at - event.index
        fed = steady.recorder.forwards.gave(tensors)
        if fed != tuple([one + by for one in event.fed_by]):
            return False
    if tree.norms:
        tree.versions = tree.counters()
    return True


def forward_ended(steady: "Steady", call: Call, result: Any) -> bool:
    """Whether it made what it made before. Were its output without a graph, the nodes made until
    the backward would be others."""
    if steady.current is not call:
        return steady.overtaken()
    seq = sequence_now()
    if seq - call.seq != call.nodes:
        call = branch_within(steady, call, seq - call.seq) or call
    steady.seq = seq
    if seq - call.seq != call.nodes or (
        call.part.norms and _moved(call.part) != call.event.statistics
    ):
        steady.leave()
        return False
    if steady.feeds:
        gave(steady, result)
        index = steady.origin + steady.at
        steady.recorder.forwards.counted.append((call.seq, steady.seq, index))
    steady.at += 1
    steady.current, steady.due = None, call.next
    if not (steady.on or steady.settled()):
        return False
    if not steady.steps and call.next is steady.round[0]:
        steady.rounded()
    return True


def gave(steady: "Steady", result: Any) -> None:
    """Note what the forward in progress gives out, in rounds in which one is given that."""
    outputs = (result,) if type(result) is Tensor else list(tensors_in(result))
    steady.recorder.forwards.give(outputs[:8], steady.origin + steady.at)


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
    steady: "Steady", due: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Whether this backward is due."""
    call: Call | None = due
    while call is not None:
        seq = sequence_now()
        if (
            call.form == "backward"
            and steady.current is None
            and type(args[0]) is Tensor
            and not heard()
            and seq - steady.seq == call.before
            and args[1:] == call.given[0]
            and kwargs == call.given[1]
            and made_by(args[0]) == call.given[2]
            and not steady.seeds.fresh
            and there(call)
        ):
            loss = None
            if call.flags:
                loss = value_of(args[0]) if args[0].is_cpu else nan  # no device is waited for
            if loss is None or (isfinite(loss) and loss <= steady.most):
                steady.loss, steady.roots = loss, args
                call.seq = seq
                steady.current = call
                if steady.exchanged:
                    steady.recorder.exchanges.before_backward()
                if steady.on or steady.claimed(call):
                    return True
            break
        call = branch(steady, "backward", None)
    steady.leave()
    return False


def backward_ended(steady: "Steady", call: Call) -> bool:
    """It is done; False when something in it has ended the counting."""
    if steady.current is not call:
        return steady.overtaken()
    steady.roots = ()
    if steady.exchanged:
        steady.recorder.exchanges.after_backward(steady.recorder, call.accounts)
    steady.seq = sequence_now()
    call.kept[steady.at // steady.size & 1] = steady.loss
    steady.at += 1
    steady.current, steady.due = None, call.next
    return steady.on or steady.settled()


# -- steps ----------------------------------------------------------------------------------------


def step_begins(
    steady: "Steady", due: Call, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Whether this step is due, and finds gradients that nobody has written since their
    backward."""
    call: Call | None = due
    while call is not None:
        if (
            call.ref() is optimizer
            and call.form == "step"
            and len(args) == 1
            and not kwargs
            and _ready(steady, call, optimizer)
            and (not steady.exchanged or steady.recorder.exchanges.due(steady.recorder, call))
        ):
            steady.current = call
            if steady.on or steady.claimed(call):
                return True
            break
        call = branch(steady, "step", optimizer) if not steady.strange else None
    steady.leave()
    return False


def _ready(steady: "Steady", call: Call, optimizer: Any) -> bool:
    """Whether the optimizer holds the same tensors, and one of their gradients, each in its turn,
    has been written as often as it was before."""
    if sequence_now() - steady.seq != call.before or not there(call) or function_modes():
        return False
    tensors = parameters(optimizer)
    if [*map(id, tensors)] != call.ids:
        return False
    turn = call.turn = (call.turn + 1) % len(tensors)
    times = steady.at // steady.size + 1
    if steady.learnt.strict and len(tensors) <= FEW:
        found = versions_of([tensor.grad for tensor in tensors])
        due = [then + times * by for then, by in zip(call.versions, call.grown, strict=True)]
        if found != due:
            steady.strange = tuple([at for at, one in enumerate(found) if one != due[at]])
            return False
        return not call.addresses or _there_still(steady, call, tensors, turn)
    gradient = tensors[turn].grad
    version = -1 if gradient is None else gradient._version
    if version != call.versions[turn] + times * call.grown[turn]:
        steady.strange = (turn,)
        return False
    return not call.addresses or _there_still(steady, call, tensors, turn)


def _there_still(steady: "Steady", call: Call, tensors: list[Any], turn: int) -> bool:
    """Whether the first tensor and the one in its turn lie where they did; that the first does is
    noted, so that an assignment to ``p.data`` before the next step can be told from an older
    one."""
    addresses = call.addresses
    if tensors[0].data_ptr() != addresses[0]:
        return False
    if steady.steps == 1:
        rehoused = steady.recorder.replacements.rehoused
        rehoused.sure = call.event.optimizer, steady.recorder.step
    return tensors[turn].data_ptr() == addresses[turn]  # type: ignore[no-any-return]


def step_ended(steady: "Steady", call: Call, optimizer: Any) -> bool:
    """Whether it wrote what it wrote before."""
    if steady.current is not call:
        return steady.overtaken()
    rates = [group.get("lr") for group in optimizer.param_groups]
    if rates == call.rates or go_on(call, rates):
        written = [*map(version_of, parameters(optimizer))]
        if [*map(int.__sub__, written, call.written)] == call.due():
            call.kept[steady.at // steady.size & 1] = call.rates = rates
            steady.seq = sequence_now()
            steady.at += 1
            steady.current, steady.due = None, call.next
            if steady.on or steady.settled():
                steady.stepped(call, written)
                return True
            return False
    steady.leave()
    return False


def go_on(call: Call, rates: list[Any]) -> bool:
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
