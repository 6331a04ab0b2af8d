"""Probe of writes to parameters outside steps, and what they mean for the optimizer that goes
on."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from steplens.model.event import Update, Write
from steplens.record.account import Account
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

# Writers that disregard what stood there, and those whose source may be made of it.
GENERATORS = ("fill_", "zero_", "normal_", "uniform_")
COPIES = ("copy_", "__setitem__")


class Replaced:
    """One tensor written by hand since its optimizer's last step: the values before the first
    write."""

    __slots__ = ("account", "before", "site", "how", "sites", "index", "state", "generated")

    def __init__(
        self, account: Account, before: torch.Tensor, site: Any, how: str, state: dict[str, Any]
    ) -> None:
        self.account = account
        self.before = before
        self.site = site
        self.how = how
        self.sites = {site}
        self.index = -1
        self.state = state
        self.generated = False


class Replacements:
    """The parameters that optimizers with state hold, found by their storage, and the writes to
    them since the last step."""

    def __init__(self) -> None:
        self.storages: dict[int, Account] = {}
        self.open: dict[int, Replaced] = {}
        self.loaded: set[int] = set()  # optimizers whose state was loaded since their last step
        self.told = 0

    # -- writes -------------------------------------------------------------------------------

    def about_to_write(
        self, recorder: "Recorder", tensor: torch.Tensor, how: str, generated: bool
    ) -> None:
        """Keep the values of a parameter that is about to be written by hand, once between two
        steps."""
        account = self.storages.get(tensor.untyped_storage().data_ptr())
        if account is None:
            return
        held = account.ref()
        if held is None or held.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr():
            return
        known = self.open.get(account.number)
        if known is not None:
            known.sites.add(recorder.site())
            known.generated |= generated
            return
        found = Replaced(
            account, held.detach().clone(), recorder.site(), how, _state_counters(recorder, account)
        )
        found.generated = generated
        self.open[account.number] = found

    # -- steps --------------------------------------------------------------------------------

    def before_step(
        self, recorder: "Recorder", optimizer: Any, number: int, accounts: list[Account]
    ) -> Any:
        """Decide which writes were replacements with stale state, and keep what is needed to
        measure the step."""
        if not self.open:
            return None
        mine = [
            self.open.pop(account.number) for account in accounts if account.number in self.open
        ]
        if not mine or number in self.loaded:
            self.loaded.discard(number)
            return None
        probes: list[tuple[Replaced, torch.Tensor, torch.Tensor, float | None]] = []
        with recorder.quiet(), torch.no_grad():
            for replaced in mine:
                tensor = replaced.account.ref()
                if tensor is None:
                    continue
                mask = _replacement(recorder, replaced, tensor)
                if mask is not None and _stale(optimizer, tensor, mask, replaced):
                    fresh = _fresh_update(optimizer, tensor) if self.told < 64 else None
                    norm = float((fresh * mask).norm()) if fresh is not None else None
                    probes.append((replaced, tensor.detach().clone(), mask, norm))
        return probes

    def after_step(self, recorder: "Recorder", optimizer: Any, pending: Any) -> tuple[Update, ...]:
        """The updates of replaced tensors, beside those that fresh state would have made; learns
        which storages to watch."""
        if optimizer.state and "writes" not in recorder.off:
            self._enter(pending.accounts)
        if not pending.probe:
            return ()
        updates: list[Update] = []
        with recorder.quiet(), torch.no_grad():
            for replaced, before, mask, fresh in pending.probe:
                tensor = replaced.account.ref()
                if tensor is None:
                    continue
                self.told += 1
                moved = ((tensor.detach() - before) * mask).double()
                weight = float((before * mask).double().norm())
                updates.append(
                    Update(
                        replaced.account.number,
                        float(moved.norm()),
                        weight,
                        fresh,
                        int(mask.sum()),
                        replaced.index,
                    )
                )
        return tuple(updates)

    def _enter(self, accounts: list[Account]) -> None:
        for account in accounts:
            tensor = account.ref()
            if tensor is None or tensor.device.type == "meta":
                continue
            pointer = tensor.untyped_storage().data_ptr()
            if pointer:
                self.storages[pointer] = account


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the in-place writers of ``torch.Tensor`` that replace values.

    Not heard: arithmetic in place (``mul_``, ``clamp_``, ``lerp_``), which makes new values of old
    ones, and the assignment of ``p.data`` itself.
    """
    replacements, local = recorder.replacements, recorder.local
    removals: list[Callable[[], None]] = []

    def hearing(name: str, generated: bool) -> Callable[..., Any]:
        def before(tensor: torch.Tensor, *_: Any, **__: Any) -> Any:
            if (
                replacements.storages
                and local.stepping < 0
                and local.backward < 0
                and type(tensor) in PLAIN
            ):
                replacements.about_to_write(recorder, tensor, name, generated)
            return None

        return before

    for name in GENERATORS + COPIES:
        hear = hearing(name, name in GENERATORS)
        removals.append(around(recorder, "writes", torch.Tensor, name, hear))
    return removals


PLAIN = (torch.Tensor, torch.nn.Parameter)


def _replacement(
    recorder: "Recorder", replaced: Replaced, tensor: torch.Tensor
) -> torch.Tensor | None:
    """The mask of replaced elements, or None when the write was small, undone, or made of the old
    values.

    A replacement changes the elements it touches by more than half their norm; values that a
    generator drew or filled in bear no relation to the old ones, copied ones must point elsewhere
    (cosine under one half).
    """
    before, now = replaced.before, tensor.detach()
    if before.shape != now.shape:
        return None
    mask = before.ne(now)
    count = int(mask.sum())
    if not count:
        return None
    old, new = (before * mask).double(), (now * mask).double()
    change, old_norm, new_norm = float((new - old).norm()), float(old.norm()), float(new.norm())
    if not change > 0.5 * old_norm:
        return None
    cosine = float((old * new).sum()) / (old_norm * new_norm) if old_norm and new_norm else 0.0
    if not replaced.generated and cosine > 0.5:
        return None
    replaced.index = recorder.index()
    recorder.emit(
        Write(
            replaced.index,
            recorder.step,
            replaced.site,
            replaced.account.number,
            replaced.how,
            mask.numel(),
            count,
            old_norm,
            new_norm,
        )
    )
    return mask


def _state_counters(recorder: "Recorder", account: Account) -> dict[str, Any]:
    """Identity and write counters of the optimizer's tensors for this parameter, to see whether the
    author reset them."""
    tensor = account.ref()
    found: dict[str, Any] = {}
    for reference, number in list(recorder.census.optimizers.values()):
        optimizer = reference()
        if optimizer is None or number not in account.optimizers or tensor is None:
            continue
        state = optimizer.state.get(tensor, {})
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                found[f"{number}.{key}"] = (id(value), value._version)
    found["state"] = [
        (id(o), id(o.state))
        for r, n in recorder.census.optimizers.values()
        if n in account.optimizers and (o := r()) is not None
    ]
    return found


def _stale(optimizer: Any, tensor: torch.Tensor, mask: torch.Tensor, replaced: Replaced) -> bool:
    """Whether the optimizer still holds moments of the values that were replaced, untouched by the
    author since."""
    state = optimizer.state.get(tensor)
    if not state:
        return False
    counters = {counter[0]: counter[1] for key, counter in replaced.state.items() if key != "state"}
    held = False
    for value in state.values():
        if not isinstance(value, torch.Tensor) or value.shape != tensor.shape:
            continue
        if counters and counters.get(id(value)) != value._version:
            return False  # the author wrote to the state as well
        held |= bool((value * mask).ne(0).any())
    return held


def _fresh_update(optimizer: Any, tensor: torch.Tensor) -> torch.Tensor | None:
    """The update that the same optimizer with fresh state would make of this gradient, by making it
    on a copy.

    None for optimizers that are not torch's own, whose step may have effects we do not know.
    """
    if not type(optimizer).__module__.startswith("torch.optim") or tensor.grad is None:
        return None
    for group in optimizer.param_groups:
        if any(held is tensor for held in group["params"]):
            twin = tensor.detach().clone().requires_grad_()
            twin.grad = tensor.grad.detach().clone()
            options = {key: copy.copy(value) for key, value in group.items() if key != "params"}
            fresh: Optimizer = type(optimizer)([twin], **_accepted(optimizer, options))
            with torch.enable_grad():
                fresh.step()
            return (twin - tensor).detach()
    return None


def _accepted(optimizer: Any, options: dict[str, Any]) -> dict[str, Any]:
    code = type(optimizer).__init__.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {key: value for key, value in options.items() if key in names}
