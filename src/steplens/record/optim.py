"""Probe of optimizers: made, and what a step of any kind used and moved."""

import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from steplens.model.event import Made, Masked, Opposed, Share, Step
from steplens.record.account import Account
from steplens.record.clocked import Clocked
from steplens.record.closures import Evaluations
from steplens.record.counters import sequence_now, versions_of
from steplens.record.exchanged import addresses, counters, exchanged
from steplens.record.rescaled import Rescaled
from steplens.record.resting import WINDOW
from steplens.record.rounds import Call
from steplens.record.short import FAINT
from steplens.record.uncompiled import import_compiler
from steplens.record.wrap import around, compiler_arrived

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


class Pending:
    """A step in progress."""

    __slots__ = (
        "number",
        "accounts",
        "uses",
        "idle",
        "unknown",
        "versions",
        "outer",
        "inner",
        "probe",
        "closure",
        "evaluations",
        "values",
        "rewritten",
        "addresses",
        "covered",
        "look",
        "rounding",
        "masked",
        "opposed",
        "untouched",
        "exchange",
        "described",
        "scale",
        "rescaled",
    )

    def __init__(self, number: int, accounts: list[Account], outer: int) -> None:
        self.number = number
        self.accounts = accounts
        self.uses: tuple[Share, ...] = ()
        self.idle: tuple[int, ...] = ()
        self.unknown: tuple[int, ...] = ()
        self.versions: list[int] = []
        self.outer = outer
        self.inner = False
        self.probe: Any = None
        self.closure = False
        self.evaluations: Evaluations | None = None
        self.values: Any = None
        self.rewritten = 0
        self.addresses: list[int] = []  # of gradients, see exchanged.py
        self.look: Any = None
        self.rounding: Any = None
        self.masked: Masked | None = None
        self.opposed: Opposed | None = None
        self.untouched = False
        self.exchange: Any = None
        self.described: Call | None = None
        self.scale = 0.0  # that its gradients still bear
        self.rescaled = 0.0
        self.covered: set[int] = set()  # tensors that steps inside this one have dealt with


class Progress(threading.local):
    """The steps in progress on a thread, innermost last."""

    def __init__(self) -> None:
        self.pending: list[Pending] = []


class Steps:
    """The steps in progress, and what is known of each optimizer's groups."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.groups: dict[int, tuple[tuple[int, ...], list[Account]]] = {}
        self.count: dict[int, int] = {}
        self.last: dict[int, int] = {}  # optimizer -> its newest Step event
        self.counters: dict[int, int] = {}  # sum of its tensors' write counters after that
        self.tops: dict[int, float] = {}  # optimizer -> its largest learning rate
        self.clocked = Clocked()
        self.rescaled = Rescaled()
        self.known: dict[int, tuple[object, tuple[tuple[int, ...], tuple[int, ...]]]] = {}

    @property
    def pending(self) -> list[Pending]:
        """The steps in progress on this thread, innermost last."""
        return self.progress.pending

    def unlike(
        self, pending: Pending, wrote: tuple[bool, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tensors that a step did not write though they held a gradient, and those it wrote
        though they held none; mostly as at the step before."""
        if not pending.idle and all(wrote):
            return (), ()
        key = (wrote, pending.idle)
        known = self.known.get(pending.number)
        if known is not None and known[0] == key:
            return known[1]
        idle = set(pending.idle)
        pairs = [(a.number, flag) for a, flag in zip(pending.accounts, wrote, strict=True)]
        unmoved = tuple(number for number, flag in pairs if not flag and number not in idle)
        drifted = tuple(number for number, flag in pairs if flag and number in idle)
        self.known[pending.number] = (key, (unmoved, drifted))
        return unmoved, drifted


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear optimizers being made, copied and unpickled."""
    return [
        around(recorder, "optimizer", Optimizer, "__init__", *_made(recorder)),
        around(recorder, "optimizer", Optimizer, "__setstate__", *_copied(recorder)),
    ]


def _made(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(optimizer: Any, *_: Any, **__: Any) -> Any:
        if WINDOW.trace is not None or recorder.detail.lull.resting:
            import_compiler()
            compiler_arrived()
        recorder.detail.stir()  # not before: what is imported would be traced
        return optimizer

    def after(optimizer: Any, _: Any) -> None:
        number = recorder.census.optimizer(optimizer)
        accounts = recorder.census.enter_groups(optimizer, number)
        recorder.steps.counters[number] = sum(counters(accounts))
        recorder.stillness.made(number)
        recorder.vains.made(optimizer, number)
        recorder.freezes.look(recorder)
        recorder.thaw.optimizer_made(recorder)
        recorder.emit(Made(recorder.index(), recorder.step, recorder.site(), "optimizer", number))

    return before, after


def _copied(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Hear an optimizer being copied or unpickled: no constructor runs."""
    copied = recorder.census.copied

    def before(optimizer: Any, *_: Any, **__: Any) -> Any:
        return optimizer if not vars(optimizer) else None

    def after(optimizer: Any, _: Any) -> None:
        if optimizer is not None and optimizer not in copied:
            copied[optimizer] = recorder.site()

    return before, after


def accounts_of(recorder: "Recorder", optimizer: Any, number: int) -> list[Account]:
    """The Accounts of an optimizer's tensors, read anew only when its groups have changed."""
    shape = tuple([id(tensor) for group in optimizer.param_groups for tensor in group["params"]])
    known = recorder.steps.groups.get(number)
    if known is not None and known[0] == shape:
        return known[1]
    accounts = recorder.census.enter_groups(optimizer, number)
    recorder.steps.groups[number] = (shape, accounts)
    return accounts


# -- steps ------------------------------------------------------------------------------------


def step_opens(recorder: "Recorder", optimizer: Any) -> Pending:
    """A step begins: how its tensors and their gradients stand."""
    number = recorder.census.optimizer(optimizer)
    accounts = accounts_of(recorder, optimizer, number)
    pending = Pending(number, accounts, recorder.local.stepping)
    recorder.ledger.look(accounts, recorder.local.backward)
    _held(recorder, pending)
    pending.versions = counters(accounts)
    outer = recorder.steps.pending  # with one of its own first, where `step` calls its parent's
    own = [each.addresses for each in outer if each.number == number]
    pending.addresses = own[0] if own else addresses(optimizer, accounts)
    pending.untouched = recorder.steps.counters.get(number) == sum(pending.versions)
    pending.scale = recorder.scaling.left_on(optimizer, accounts)
    pending.probe = recorder.replacements.before_step(recorder, optimizer, number, accounts)
    pending.exchange = recorder.exchanges.before_step(recorder, number, accounts)
    recorder.registrations.unset.look(recorder, number, accounts)
    recorder.vains.copied.look(recorder, number, accounts)
    return pending


def describe_step(recorder: "Recorder", optimizer: Any, pending: Pending, given: list[Any]) -> None:
    """What must be the same at this step in a later round."""
    pending.described = call = recorder.learner.describe("step", optimizer)
    if call is None:
        return
    tensors = [tensor for group in optimizer.param_groups for tensor in group["params"]]
    call.accounts, call.ids = pending.accounts, [id(tensor) for tensor in tensors]
    call.versions = versions_of([tensor.grad for tensor in tensors])
    call.addresses = recorder.replacements.rehoused.addresses(pending.number, tensors)
    call.rates = [group.get("lr") for group in optimizer.param_groups]
    call.fit = (
        call.fit
        and not given
        and len(recorder.steps.pending) == 0
        and len(tensors) == len(pending.accounts) > 0
        and all(type(rate) in (int, float) for rate in call.rates)
    )
    if call.fit:
        tops = recorder.steps.tops
        call.top = tops[pending.number] = max(tops.get(pending.number, 0.0), *call.rates)
        call.fit = max(call.rates) >= FAINT * call.top


def reopened(recorder: "Recorder", call: Call) -> Pending:
    """A step that was to be counted turned out to differ while it ran: as if it had been told in
    full from its beginning."""
    pending = Pending(call.event.optimizer, list(call.accounts), -1)
    _held(recorder, pending)
    pending.versions = call.counters()
    return pending


def _held(recorder: "Recorder", pending: Pending) -> None:
    """What the gradients hold. Where all of it was used by this optimizer's last step, the values
    say whether it is there at all."""
    ledger, accounts = recorder.ledger, pending.accounts
    uses, idle, unknown = ledger.holdings(accounts)
    if uses:
        newest = max([share.holds[-1].backward for share in uses])
        if newest < recorder.steps.last.get(pending.number, -1) and not ledger.still_used(accounts):
            uses, idle, unknown = ledger.holdings(accounts)
    pending.uses, pending.idle, pending.unknown = uses, idle, unknown
    pending.rewritten = ledger.rewritten(accounts)


def step_closes(recorder: "Recorder", optimizer: Any, pending: Pending) -> None:
    """A step has ended: tell it, and all that follows from it."""
    accounts = pending.accounts
    versions = counters(accounts)
    recorder.steps.counters[pending.number] = sum(versions)
    wrote = tuple(map(int.__ne__, versions, pending.versions))
    moved = sum(wrote)
    for outer in recorder.steps.pending:
        outer.covered.update([account.number for account in accounts])
    if pending.inner:  # a wrapper around another optimizer, which has stepped in it
        own = [account for account, written in zip(accounts, wrote, strict=True) if written]
        accounts = [account for account in own if account.number not in pending.covered]
        if not accounts:
            return
        pending.accounts, pending.probe, moved = accounts, None, len(accounts)
        pending.described = None
        pending.look = None
    if pending.closure or pending.inner:  # what a closure's last backward gave is what was used
        recorder.ledger.look(accounts, recorder.local.backward)
        _held(recorder, pending)
    elif pending.addresses:
        pending.rewritten = max(pending.rewritten, exchanged(accounts, pending.addresses))
    unlike = ((), ()) if pending.inner else recorder.steps.unlike(pending, wrote)
    frozen, unreached = recorder.strays.at_step(recorder, accounts, pending.idle)
    if unreached:
        recorder.hunt.seek(unreached)
    effect, thawed = recorder.effects.after(recorder, optimizer, pending)
    index = recorder.index()
    updates = recorder.replacements.after_step(recorder, pending)
    recorder.replacements.learn(recorder, optimizer, pending)
    recorder.ledger.after_step(accounts, index)
    lrs = rates(optimizer.param_groups)
    newest = max((c.backward for share in pending.uses for c in share.holds), default=-1)
    measured = recorder.backwards.overlap.pop(newest, None)
    event = Step(
        index,
        recorder.step,
        recorder.site(),
        pending.number,
        pending.uses,
        pending.idle,
        pending.unknown,
        moved,
        lrs,
        closure=pending.closure,
        updates=updates,
        constrained=recorder.replacements.constrained,
        frozen=frozen,
        unreached=unreached,
        thawed=thawed,
        effect=effect,
        standing=recorder.rounding.after(recorder, pending),
        masked=pending.masked,
        opposed=pending.opposed,
        overlap=measured,
        rewritten=pending.rewritten,
        rescaled=pending.rescaled,
        unmoved=unlike[0],
        drifted=unlike[1],
        untouched=pending.untouched,
        exchange=pending.exchange,
        scale=0.0 if pending.closure else pending.scale,
        clocked=recorder.steps.clocked.times(recorder, pending.uses),
    )
    recorder.exchanges.after_step(recorder, pending.number, accounts, pending.exchange)
    recorder.steps.last[pending.number] = index
    recorder.stillness.stepped(pending.number)
    recorder.step += 1
    recorder.census.steps = recorder.step
    taken = recorder.steps.count[pending.number] = recorder.steps.count.get(pending.number, 0) + 1
    recorder.backwards.old_before = sequence_now()
    if pending.described is not None:
        pending.described.written = versions
        pending.described.value = pending.described.rates
    recorder.local.described = pending.described
    recorder.emit(event)
    recorder.values.after_step(pending.values, event, accounts)
    recorder.sharing.look(recorder, accounts)
    if recorder.taken.moments.pairs:
        recorder.taken.moments.stepped(recorder, pending.number)
    recorder.attributes.look(recorder, optimizer, pending.number, accounts)
    recorder.blends.after(recorder, pending.number, accounts)
    if taken == 1:
        recorder.cadence.phase()
    recorder.cadence.advance()
    recorder.spells.follow(recorder)
    if lrs:
        recorder.vains.stepped(recorder, pending.number, max(lrs))
    recorder.learner.step_ended()


def rates(groups: Any) -> tuple[float, ...]:
    """The learning rates by group; none at all where one of them lies on another device, is not a
    finite number, or is missing."""
    found: list[float] = []
    for group in groups:
        value = group.get("lr")
        if value is None or (isinstance(value, torch.Tensor) and value.device.type != "cpu"):
            return ()
        found.append(float(value))
    return tuple(found) if all(map(math.isfinite, found)) else ()
