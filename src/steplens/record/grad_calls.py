"""Probe of ``autograd.grad``: which forwards its graph reaches, for which leaves it is asked."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import GradCall
from steplens.record import failures
from steplens.record.counters import sequence_now
from steplens.record.counting import counting
from steplens.record.graph import ACCUMULATE, Walk
from steplens.record.nodes import stem
from steplens.record.rounds import Call, there
from steplens.record.short import function_modes, transforming
from steplens.record.wrap import hearing, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.steady import Steady

PLAIN = (torch.Tensor, list, tuple)  # arguments that can be read more than once
COPYING = frozenset((
    "ToCopy", "Clone", "View", "UnsafeView", "ReshapeAlias", "Expand", "Unsqueeze", "Squeeze",
    "Select", "Slice", "T", "Transpose",
))  # fmt: skip
COPIES = 6  # in a row


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear ``torch.autograd.grad``."""
    original = torch.autograd.grad
    before, after, failed = _grad(recorder)
    full = hearing(recorder, "grad", original, before, after, failed, once=True)

    def fell(args: Any, kwargs: Any, error: BaseException) -> None:
        failures.failed(recorder, _outputs(*args, **kwargs), error)

    grad = counting(recorder, "grad", original, full, _begins, _ended, after, fell)
    return [replace(recorder, torch.autograd, "grad", grad)]


# -- while rounds are counted -----------------------------------------------------------------


def _begins(steady: "Steady", call: Call, args: Any, kwargs: Any) -> bool:
    """Whether this call is due."""
    seq = sequence_now()
    if (
        call.form == "grad"
        and steady.current is None
        and (
            steady.brief
            or (
                seq - steady.seq == call.before
                and not function_modes()
                and asked(*args, **kwargs) == call.given
                and there(call)
            )
        )
    ):
        call.seq = seq
        steady.current = call
        if steady.on or steady.claimed(call):
            return True
    steady.leave()
    return False


def _ended(steady: "Steady", call: Call) -> bool:
    """Whether it made as many nodes as before: of the gradients' own graph."""
    if steady.current is not call:
        return steady.overtaken()
    if not steady.brief:
        steady.seq = sequence_now()
        if steady.seq - call.seq != call.nodes:
            steady.leave()
            return False
    steady.at += 1
    steady.current, steady.due = None, call.next
    return steady.on or steady.settled()


def asked(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: Any = None,
    create_graph: bool = False,
    *others: Any,
    **named: Any,
) -> object:
    """What must be the same at this call in a later round: the parameters themselves that gradients
    are asked for, and of other tensors how many there are; None where nothing can be compared."""
    if not isinstance(outputs, PLAIN) or not isinstance(inputs, PLAIN):
        return None
    wanted = [inputs] if isinstance(inputs, torch.Tensor) else inputs
    return (
        1 if isinstance(outputs, torch.Tensor) else len(outputs),
        [id(one) if isinstance(one, torch.nn.Parameter) else 0 for one in wanted],
        grad_outputs is None,
        retain_graph,
        create_graph,
        others,
        named,
    )


def _outputs(outputs: Any, *_: Any, **__: Any) -> list[torch.Tensor]:
    return roots_of(outputs)


# -- told in full -----------------------------------------------------------------------------


def roots_of(tensors: Any) -> list[torch.Tensor]:
    """The tensors a pass starts from."""
    given = [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)
    return [tensor for tensor in given if isinstance(tensor, torch.Tensor)]


def _copied_from(tensor: torch.Tensor) -> torch.Tensor:
    """The leaf whose values these are in another type, shape or place, as where data of 64 bits is
    made to require a gradient and then turned to 32; or the tensor itself."""
    node: Any = tensor.grad_fn
    for _ in range(COPIES):
        if type(node) is ACCUMULATE:
            return node.variable
        if node is None or stem(node.name()) not in COPYING or len(node.next_functions) != 1:
            break
        node = node.next_functions[0][0]
    return tensor


Token = tuple[tuple[int, ...], tuple[int, ...], bool, list[torch.Tensor], Call | None, int]


def reopened(due: GradCall, call: Call) -> Token:
    """A call that was to be counted is told in full after all, where all was as it was ``due``."""
    return due.forwards, due.leaves, due.create_graph, [], None, call.seq


def _grad(
    recorder: "Recorder",
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    local = recorder.local

    def before(*args: Any, **kwargs: Any) -> Token | None:
        if local.backward >= 0 or transforming():
            return None
        roots = [*map(id, _outputs(*args, **kwargs))]
        if roots == local.asking:  # a function mode has torch call it once more
            return None
        local.asking = roots
        given = asked(*args, **kwargs)
        return heard(given, *args, **kwargs)

    def heard(
        given: object, outputs: Any, inputs: Any, *_: Any, create_graph: bool = False, **__: Any
    ) -> Token:
        recorder.turns.passed(recorder)
        alone = not local.depth and local.stepping < 0  # within nothing that is one call itself
        described = recorder.learner.describe("grad", None) if alone else None
        walk = Walk(roots_of(outputs))
        recorder.strays.excuse(recorder, map(_copied_from, roots_of(inputs)))
        known = [recorder.census.known(tensor) for tensor in roots_of(inputs)]
        leaves = tuple(account.number for account in known if account is not None)
        if described is not None:
            described.given = given
            described.fit = described.fit and given is not None
            strays = recorder.strays
            anew = [a for a in known if a is not None and strays.made_anew(a)]
            described.anew = frozenset([account.number for account in anew])
        forwards = recorder.forwards.reached(walk)
        return forwards, leaves, create_graph, roots_of(outputs), described, sequence_now()

    def after(token: Token, _: Any) -> None:
        forwards, leaves, create, _roots, described, began = token
        local.asking = []
        if described is not None:
            described.nodes = sequence_now() - began
        recorder.local.described = described
        recorder.emit(
            GradCall(recorder.index(), recorder.step, recorder.site(), leaves, forwards, create)
        )

    def failed(token: Token, error: BaseException) -> None:
        local.asking = []
        failures.failed(recorder, token[3], error)

    return before, after, failed
