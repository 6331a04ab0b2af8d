"""Probe of ``zero_grad``, the optimizer's and the module's."""

import functools
from collections.abc import Callable, Sequence
from threading import get_ident
from types import CodeType
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.compiler import is_dynamo_compiling
from torch.optim import Optimizer

from steplens.model.event import Clear
from steplens.record.account import Account
from steplens.record.optim import accounts_of
from steplens.record.rounds import Call
from steplens.record.settings import codes_of
from steplens.record.short import clear_counts
from steplens.record.wrap import hearing, note, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

READERS = frozenset((
    "grad", "main_grad", "register_hook", "register_full_backward_hook", "register_backward_hook",
    "register_full_backward_pre_hook", "register_post_accumulate_grad_hook", "retain_grad",
))  # fmt: skip


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear both kinds of ``zero_grad``."""
    return [
        _clears(recorder, Optimizer, *_optimizer_clear(recorder)),
        _clears(recorder, nn.Module, *_module_clear(recorder)),
    ]


def _clears(
    recorder: "Recorder", owner: Any, before: Callable[..., Any], after: Callable[..., Any]
) -> Callable[[], None]:
    original = owner.zero_grad
    underway = recorder.underway

    def begins(*args: Any, **kwargs: Any) -> Any:
        token = before(*args, **kwargs)
        underway.clears()
        return token

    def ended(token: Any, result: Any) -> None:
        underway.cleared()
        after(token, result)

    def failed(*_: Any) -> None:
        underway.cleared()

    full = hearing(recorder, "clear", original, begins, ended, failed)
    steady, rested = recorder.steady, recorder.learner.rested

    @functools.wraps(original)
    def zero_grad(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_dynamo_compiling():
            return original(self, *args, **kwargs)
        due = steady.due
        try:
            if due is None and rested.rounds:
                due = rested.take_up(recorder, "clear", self)
        except Exception as error:
            note(recorder, "steady", error)
        if due is None or steady.owner != get_ident():
            recorder.leave()
            return full(self, *args, **kwargs)
        try:
            ref = due.ref
            if steady.brief and ref() is self and due.form == "clear":
                steady.at += 1
                steady.due = due.next
                counts = steady.on or steady.settled()
            else:
                counts = clear_counts(steady, due, self, args, kwargs)
        except Exception as error:
            note(recorder, "steady", error)
            counts = False
        if not counts:
            return full(self, *args, **kwargs)
        return original(self, *args, **kwargs)

    return replace(recorder, owner, "zero_grad", zero_grad)


def _optimizer_clear(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        described = recorder.learner.describe("clear", optimizer)
        number = recorder.census.optimizer(optimizer)
        accounts = accounts_of(recorder, optimizer, number)
        recorder.ledger.look(accounts, recorder.local.backward)
        if number in recorder.stillness.idle:
            recorder.stillness.called(number, recorder.places)
        norm = recorder.ledger.unused_norm(accounts)
        if described is not None:
            described.given, described.accounts = (args, kwargs), accounts
        return number, accounts, _to_none(*args, **kwargs), norm, described

    def after(token: Any, _: Any) -> None:
        number, accounts, to_none, norm, described = token
        _cleared(recorder, "optimizer", number, accounts, to_none, norm, described)

    return before, after


def _module_clear(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        described = recorder.learner.describe("clear", module)
        accounts = [recorder.census.account(parameter) for parameter in module.parameters()]
        recorder.ledger.look(accounts, recorder.local.backward)
        norm = recorder.ledger.unused_norm(accounts)
        if described is not None:
            described.given, described.accounts = (args, kwargs), accounts
        return module, accounts, _to_none(*args, **kwargs), norm, described

    def after(token: Any, _: Any) -> None:
        module, accounts, to_none, norm, described = token
        number = recorder.census.module(module)
        _cleared(recorder, "module", number, accounts, to_none, norm, described)

    return before, after


def _to_none(set_to_none: bool = True) -> bool:
    return bool(set_to_none)


def _cleared(
    recorder: "Recorder",
    by: str,
    owner: int,
    accounts: Sequence[Account],
    to_none: bool,
    norm: float | None,
    described: Call | None,
) -> None:
    index, site = recorder.index(), recorder.site()
    lost = recorder.ledger.cleared(accounts, index)
    recorder.local.described = described
    unread = any(not share.holds[-1].used_by for share in lost) and _unread(recorder)
    size = len(accounts)
    inside = recorder.local.stepping
    recorder.emit(
        Clear(index, recorder.step, site, by, owner, lost, to_none, size, norm, unread, inside)
    )


def _unread(recorder: "Recorder") -> bool:
    """Whether none of the user's code names what reads a gradient."""
    count = len(recorder.places.kept)
    known = recorder.reading
    if known is None or known[0] != count:
        reads = any(
            not READERS.isdisjoint((*code.co_names, *_words(code)))
            for code in codes_of(recorder.places)
        )
        known = recorder.reading = count, reads
    return not known[1]


def _words(code: CodeType) -> list[str]:
    return [const for const in code.co_consts if isinstance(const, str)]
