"""Probe of clipping: ``clip_grad_norm_`` and ``clip_grad_value_``."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling
from torch.nn import utils
from torch.nn.utils import clip_grad

from steplens.model.event import Clip, Share
from steplens.record.account import Account
from steplens.record.between import clip_counts, plain
from steplens.record.cadence import Cadence
from steplens.record.norms import readable
from steplens.record.rounds import Call
from steplens.record.silence import SILENCE, unheard
from steplens.record.wrap import note, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Wrap both functions in both modules that export them."""
    removals: list[Callable[[], None]] = []
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        removals.append(_clip(recorder, clip_grad, name))
        removals.append(_clip(recorder, utils, name))
    return removals


class Looked:
    """What the gradients held when a clip began."""

    __slots__ = (
        "accounts", "shares", "idle", "others", "unknown", "scaled", "kept", "described",
    )  # fmt: skip

    def __init__(self, recorder: "Recorder", tensors: list[torch.Tensor]) -> None:
        ledger = recorder.ledger
        self.described: Call | None = None
        self.accounts = [recorder.census.account(tensor) for tensor in tensors]
        ledger.look(self.accounts)
        self.shares, self.idle, unknown = ledger.holdings(self.accounts)
        self.unknown = len(unknown)
        self.kept = recorder.exchanges.kept(recorder)
        self.scaled = recorder.scaling.scaled(self.accounts)
        useful = any(not share.holds[-1].used_by for share in self.shares)
        self.others = () if useful or unknown else _others(recorder, self.accounts)


def _others(recorder: "Recorder", accounts: list[Account]) -> tuple[Share, ...]:
    """The Shares of all other tensors whose gradients hold unused contributions."""
    inside = {account.number for account in accounts}
    outside = [a for a in list(recorder.census.accounts.values()) if a.number not in inside]
    recorder.ledger.look(outside)
    shares, _, _ = recorder.ledger.holdings(outside)
    return tuple(share for share in shares if not share.holds[-1].used_by)


@unheard
def _looked(
    recorder: "Recorder", given: list[torch.Tensor], args: Any, kwargs: dict[str, Any]
) -> Looked:
    described = recorder.learner.describe("clip", None)
    looked = Looked(recorder, given)
    looked.described = described
    if described is not None:
        described.ids, described.given = [*map(id, given)], (args, kwargs)
        described.accounts = looked.accounts
        described.fit = described.fit and not (looked.scaled or looked.others)
        described.fit = described.fit and plain(args) and plain(kwargs.values())
    return looked


def _clip(recorder: "Recorder", owner: Any, name: str) -> Callable[[], None]:
    """Our own wrapper, as ``parameters`` is often a generator, which can be read once only: it goes
    on as a list."""
    original, steady = getattr(owner, name), recorder.steady

    @functools.wraps(original)
    def wrapper(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        if is_compiling() or not recorder.active or SILENCE.quiet or "clip" in recorder.off:
            return original(parameters, *args, **kwargs)
        if not isinstance(parameters, (torch.Tensor, list, tuple)):
            parameters = list(parameters)
        looked: Looked | None = None
        due = steady.due
        if due is not None and steady.elsewhere():
            due = None
        try:
            given = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
            if due is None or not clip_counts(steady, due, given, args, kwargs):
                looked = _looked(recorder, given, args, kwargs)
        except Exception as error:
            note(recorder, "clip", error)
        result = original(parameters, *args, **kwargs)
        if looked is not None:
            try:
                bound = kwargs.get("max_norm", kwargs.get("clip_value", args[0] if args else None))
                _clipped(recorder, name, looked, bound, result)
            except Exception as error:
                note(recorder, "clip", error)
        return result

    return replace(recorder, owner, name, wrapper)


@unheard
def _clipped(recorder: "Recorder", name: str, looked: Looked, bound: Any, norm: Any) -> None:
    recorder.ledger.written_by_torch(looked.accounts)
    if looked.kept:
        recorder.exchanges.renew(recorder)
    scale = recorder.scaling.scale  # a bound times the scale is right
    recorder.local.described = looked.described
    recorder.emit(
        Clip(
            recorder.index(),
            recorder.step,
            recorder.site(),
            name,
            _finite(bound),
            looked.shares,
            looked.idle,
            looked.others,
            looked.scaled and (not isinstance(bound, (int, float)) or bound < scale),
            looked.unknown,
            sum(account.reached > 0 for account in looked.accounts),
            _read(norm, recorder.cadence),
        )
    )


def _read(norm: Any, cadence: Cadence) -> float | None:
    """The norm that a clip gave back; None for one that cannot be read, or may not be now."""
    if isinstance(norm, torch.Tensor) and norm.numel() == 1 and readable(norm):
        return _finite(norm.item()) if cadence.may_read(norm) else None
    return None


def _finite(bound: Any) -> float | None:
    """The bound as a number; None for infinity (only the norm is wanted) and for what is no plain
    number."""
    if isinstance(bound, (int, float)) and abs(bound) < float("inf"):
        return float(bound)
    return None
