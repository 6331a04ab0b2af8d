"""Probe of clipping: ``clip_grad_norm_`` and ``clip_grad_value_``."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling
from torch.nn import utils
from torch.nn.utils import clip_grad

from steplens.model.event import Clip
from steplens.record.wrap import replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Wrap both functions in both modules that export them."""
    removals: list[Callable[[], None]] = []
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        removals.append(_clip(recorder, clip_grad, name))
        removals.append(_clip(recorder, utils, name))
    return removals


def _clip(recorder: "Recorder", owner: Any, name: str) -> Callable[[], None]:
    """Our own wrapper, as ``parameters`` is often a generator, which can be read once only: it goes
    on as a list."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        if is_compiling() or not recorder.listening():
            return original(parameters, *args, **kwargs)
        if not isinstance(parameters, (torch.Tensor, list, tuple)):
            parameters = list(parameters)
        token: Any = None
        try:
            bound = kwargs.get("max_norm", kwargs.get("clip_value", args[0] if args else 0.0))
            given = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
            token = _look(recorder, given, float(bound))
        except Exception as error:
            recorder.fault("clip", error)
        result = original(parameters, *args, **kwargs)
        if token is not None:
            try:
                _clipped(recorder, name, *token)
            except Exception as error:
                recorder.fault("clip", error)
        return result

    return replace(owner, name, wrapper)


def _clipped(
    recorder: "Recorder",
    name: str,
    accounts: Any,
    shares: Any,
    idle: Any,
    others: Any,
    bound: float,
    scaled: bool,
) -> None:
    recorder.ledger.written_by_torch(accounts)
    recorder.emit(
        Clip(
            recorder.index(),
            recorder.step,
            recorder.site(),
            name,
            bound,
            shares,
            idle,
            others,
            scaled,
        )
    )


def _look(recorder: "Recorder", tensors: list[torch.Tensor], bound: float) -> Any:
    accounts = [recorder.census.account(tensor) for tensor in tensors]
    recorder.ledger.look(accounts)
    shares, idle, _ = recorder.ledger.holdings(accounts)
    inside = {account.number for account in accounts}
    others = tuple(
        account.number
        for account in list(recorder.census.accounts.values())
        if account.number not in inside
        and account.holding.contributions
        and not account.holding.used
    )
    return accounts, shares, idle, others, bound, recorder.scaler.scaling
