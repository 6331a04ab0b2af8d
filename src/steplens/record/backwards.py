"""Probe of backward passes: where they start, the leaves they reach."""

import threading
import weakref
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Backward
from steplens.model.graph import GraphReading
from steplens.record import failures
from steplens.record.account import Account
from steplens.record.closures import left
from steplens.record.counters import sequence_now
from steplens.record.counting import counting
from steplens.record.grad_calls import roots_of
from steplens.record.graph import Walk, reading
from steplens.record.ledger import overlap
from steplens.record.operands import with_operands
from steplens.record.rounds import Call
from steplens.record.short import backward_begins, backward_ended, made_by
from steplens.record.summands import Summands
from steplens.record.wrap import hearing, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

OVERLAP = 1 << 20  # elements copied to compare the old part of gradients with the new
MEASURED = 3  # overlaps of an old and a new part of a gradient


class Numbers(threading.local):
    """torch counts graph nodes for each thread (``aten/src/ATen/SequenceNumber.cpp``)."""

    old_before = 0  # sequence number at the end of the thread's last step


class Backwards:
    """What is known of past backward passes: the overlaps measured, and where the last step's graph
    ended."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.overlap: dict[int, Any] = {}  # Backward event -> Overlap
        self.measured = 0
        self.signatures: dict[tuple[int, ...], int] = {}
        self.summands = Summands()

    @property
    def old_before(self) -> int:
        """The sequence number at the end of this thread's last step."""
        return self.numbers.old_before

    @old_before.setter
    def old_before(self, number: int) -> None:
        self.numbers.old_before = number


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear ``autograd.backward``, which ``Tensor.backward`` calls."""
    return [_backwards(recorder)]


def _backwards(recorder: "Recorder") -> Callable[[], None]:
    original = torch.autograd.backward
    before, after, failed = _backward(recorder)
    full = hearing(recorder, "backward", original, before, after, failed, once=True)
    local = recorder.local

    def fell(_: Any, __: Any, error: BaseException) -> None:
        failed(local.running or Pass(-1), error)

    backward = counting(
        recorder, "backward", original, full, backward_begins, backward_ended, after, fell
    )
    return replace(recorder, torch.autograd, "backward", backward)


class Pass:
    """A backward in progress."""

    __slots__ = (
        "index",
        "leaves",
        "forwards",
        "graph",
        "suspects",
        "piled",
        "old",
        "inside",
        "loss",
        "weighted",
        "flags",
        "leaf",
        "numbers",
        "walked",
        "roots",
        "by_hand",
        "described",
        "summands",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.leaves: list[Account] = []
        self.forwards: tuple[int, ...] = ()
        self.graph: GraphReading | None = None
        self.suspects: list[Account] = []
        self.piled: list[Account] = []
        self.old: list[torch.Tensor] = []
        self.inside = -1
        self.loss: float | None = None
        self.weighted = False
        self.flags: tuple[bool, bool] = (False, False)  # retain_graph, create_graph
        self.leaf = False
        self.numbers: list[int] = []
        self.described: Call | None = None
        self.roots: list[torch.Tensor] = []
        self.by_hand: tuple[tuple[int, ...], float] = ((), 0.0)
        self.summands: tuple[tuple[int, ...], ...] = ()
        self.walked: tuple[int, int, int] = (0, 0, 0)  # nodes, old ones, ones gone through again


def _backward(
    recorder: "Recorder",
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    local = recorder.local

    def before(*args: Any, **kwargs: Any) -> Any:
        return heard((args[1:], kwargs, made_by(args[0] if args else None)), *args, **kwargs)

    def heard(
        given: Any,
        tensors: Any,
        grad_tensors: Any = None,
        retain_graph: Any = None,
        create_graph: bool = False,
        grad_variables: Any = None,
        inputs: Any = None,
    ) -> Any:
        if local.backward >= 0:  # a backward within a backward (reentrant checkpoint) is part of it
            _nested(recorder, roots_of(tensors))
            return None
        running = _open(
            recorder, roots_of(tensors), grad_tensors, retain_graph, create_graph, inputs
        )
        if running.described is not None:
            running.described.given = given
        return running

    def leave() -> None:
        local.own = None
        recorder.underway.end()

    def after(running: Pass, _: Any) -> None:
        leave()
        _close(recorder, running)

    def failed(running: Pass, error: BaseException) -> None:
        recorder.ledger.fresh.clear()
        leave()
        recorder.withheld.let_go()
        roots, running.roots = running.roots, []
        failures.failed(recorder, roots, error)

    return before, after, failed


def _open(
    recorder: "Recorder",
    roots: list[torch.Tensor],
    weights: Any,
    retain: Any,
    create: bool,
    inputs: Any,
) -> Pass:
    recorder.turns.passed(recorder)
    described = recorder.learner.describe("backward", None)
    walk = Walk(roots)
    census = recorder.census
    running = Pass(recorder.index())
    running.described = described
    running.roots = roots
    targets = walk.leaves
    if inputs is not None:
        wanted = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
        targets = [
            tensor for tensor in wanted if isinstance(tensor, torch.Tensor) and tensor.is_leaf
        ]
    running.leaves = [census.account(tensor) for tensor in targets]
    running.forwards = recorder.forwards.reached(walk)
    running.flags = (bool(create if retain is None else retain), bool(create))
    running.weighted = any(
        weight is not None
        for weight in (weights if isinstance(weights, (tuple, list)) else [weights])
    )
    running.inside = recorder.local.stepping
    running.leaf = bool(roots) and roots[0].grad_fn is None
    if recorder.detail.placing.wants(running.leaves) or recorder.cadence.looking:
        began = perf_counter()
        running.graph = recorder.detail.placing.placed(
            reading(
                walk,
                recorder.detail.site_of,
                recorder.forwards.of,
                lambda leaf: census.account(leaf).number,
                recorder.backwards.old_before,
            )
        )
        if running.graph is not None and running.graph.broadcasts:
            running.graph = with_operands(recorder.places, running.graph)
        recorder.cadence.spend(perf_counter() - began)
    if running.graph is not None:
        _search(recorder, walk, running.graph)
    if recorder.draws.open or recorder.draws.scores:
        recorder.draws.before_backward(recorder, walk)
    recorder.terms.before_backward(recorder, roots)
    running.summands = recorder.backwards.summands.look(recorder, roots, running.leaves)
    if recorder.foresight.given is not None:
        recorder.foresight.before_backward(recorder, walk.nodes)
    recorder.values.before_backward(walk, roots, running.leaves)
    if not recorder.scaling.on:  # else a GradScaler has multiplied it
        running.loss = recorder.values.loss
    running.suspects = recorder.ledger.before_backward(running.leaves)
    running.piled = left(recorder, running.leaves)
    running.suspects = running.suspects or running.piled
    if running.suspects and recorder.backwards.measured < MEASURED:
        _keep_old(running)
    running.by_hand = recorder.handmade.before_backward(recorder, running.leaves)
    recorder.exchanges.before_backward()
    recorder.withheld.before_backward(recorder, walk, running.leaves)
    recorder.ledger.begin_backward(running.leaves)
    recorder.local.own = running
    recorder.underway.begin(running, recorder.ledger.fresh)
    running.numbers = walk.sequence()
    if recorder.seeds.fresh:
        recorder.seeds.passed(recorder, running.leaves)
    again = recorder.lifetimes.mark(recorder, walk, running.flags[0])
    recorder.lifetimes.roots.extend(map(weakref.ref, roots))
    running.walked = (len(walk.nodes), walk.older(recorder.backwards.old_before), again)
    if described is not None:
        anew = list(filter(recorder.strays.made_anew, running.leaves))
        described.accounts = tuple([each for each in running.leaves if each not in anew])
        described.anew = frozenset([account.number for account in anew])
        described.flags = recorder.values.loss is not None
        described.part = (sequence_now(), recorder.lifetimes.retained)
        described.fit = (
            described.fit
            and len(roots) == 1
            and weights is None
            and inputs is None
            and not (running.flags[1] or running.leaf)
            and (not running.suspects or recorder.backwards.measured >= MEASURED)
            and running.inside < 0
            and all(type(root) is torch.Tensor for root in roots)
        )
    return running


def reopened(roots: list[torch.Tensor], due: Backward, call: Call, numbers: list[int]) -> Pass:
    """A backward that was to be counted turned out to differ while it ran, or another thread ended
    the counting: as if it had been told in full from its beginning, where all was as it was
    ``due``."""
    running = Pass(due.index)
    running.roots = roots
    running.leaves = list(call.accounts)
    running.forwards, running.loss = due.forwards, due.loss
    running.numbers = numbers
    running.flags = (due.retain_graph, due.create_graph)
    running.walked = (due.nodes, due.old_nodes, due.again)
    return running


def _keep_old(running: Pass) -> None:
    """Copy what the gradients hold, of as many tensors as there is room for."""
    room, kept = OVERLAP, list[Account]()
    for account in running.suspects:
        gradient = _gradient(account)
        if gradient is not None and gradient.numel() <= room:
            room -= gradient.numel()
            kept.append(account)
            running.old.append(gradient.detach().clone())
    running.suspects = kept


def _nested(recorder: "Recorder", roots: list[torch.Tensor]) -> None:
    leaves = [recorder.census.account(leaf) for leaf in Walk(roots).leaves]
    outer = recorder.local.running
    if outer is not None:
        known = {account.number for account in outer.leaves}
        added = [account for account in leaves if account.number not in known]
        recorder.ledger.before_backward(added)
        outer.leaves += added
        recorder.ledger.begin_backward(added)


def _gradient(account: Account) -> torch.Tensor | None:
    tensor = account.ref()
    return tensor.grad if tensor is not None else None


def _search(recorder: "Recorder", walk: Walk, graph: GraphReading) -> None:
    """Look in the first graphs for what the operations show by themselves."""
    if recorder.rectified.left > 0:
        recorder.rectified.look(recorder, graph)
    for sought in (
        recorder.scattered, recorder.unpacked, recorder.cancelled, recorder.bootstrapped,
    ):  # fmt: skip
        if sought.left > 0:
            sought.look(recorder, walk, graph)


def _close(recorder: "Recorder", running: Pass) -> None:
    failures.passed(recorder, running.index, running.numbers)
    recorder.scaling.passed(running.index, running.numbers)
    if running.old:
        recorder.backwards.measured += 1
        recorder.backwards.overlap[running.index] = overlap(running.suspects, running.old)
    recorder.ledger.after_backward(running.leaves, running.index)
    recorder.withheld.after_backward(recorder, running.leaves)
    recorder.steps.rescaled.after_backward(recorder, running.leaves)
    running.leaves = recorder.ungiven.given(recorder, running.leaves, running.roots)
    for account in running.leaves:
        account.reached += 1
    by_hand = recorder.handmade.round_ends(recorder, running.leaves)
    recorder.handmade.after_backward(recorder, running.leaves)
    recorder.exchanges.after_backward(recorder, running.leaves)
    still = recorder.stillness.look(running.leaves)
    strays = recorder.strays.after_backward(recorder, running.leaves)
    if recorder.registrations.slotted:
        recorder.registrations.look_for_modules(recorder)
    if recorder.registrations.partings:
        recorder.registrations.after_backward(recorder)
    retain, create = running.flags
    nodes, old, again = running.walked
    described = running.described
    if described is not None:
        known = len(described.accounts) + len(described.anew)
        described.fit = described.fit and known == len(running.leaves)
        described.value = running.loss
    recorder.local.described = described
    recorder.emit(
        Backward(
            running.index,
            recorder.step,
            recorder.site(),
            tuple([account.number for account in running.leaves]),
            running.forwards,
            running.graph,
            retain,
            create,
            running.inside,
            running.loss,
            running.weighted,
            running.leaf,
            still,
            recorder.stillness.unrun(recorder, still) if still else (),
            strays=strays,
            nodes=nodes,
            old_nodes=old,
            again=again,
            by_hand=running.by_hand[0],
            along=running.by_hand[1],
            scaled=bool(recorder.scaling.losses) and running.index in recorder.scaling.backwards,
            summands=running.summands,
            piled=tuple([account.number for account in running.piled]),
            overlap=recorder.backwards.overlap.get(running.index) if running.piled else None,
        )
    )
    if recorder.hunt.tensors and recorder.hunt.backwards > 0:
        recorder.hunt.after_backward(recorder, running.forwards)
    recorder.bystanders.after_backward(recorder)
    if by_hand:
        recorder.turns.ended(recorder)
