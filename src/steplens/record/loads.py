"""Probe of ``load_state_dict`` of modules, optimizers, schedulers; and of the ``state_dict`` calls
whose tensors come back in a load."""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from steplens.model.event import Load
from steplens.model.site import Site
from steplens.record import members
from steplens.record.forwards import same_storage
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

REMEMBERED = 64  # state dicts, by their first tensor


class Taken:
    """The ``state_dict`` calls of modules: when and where each was made, found again by its first
    tensor, which a copy of the dict still holds."""

    def __init__(self) -> None:
        self.calls: dict[int, tuple[weakref.ref[torch.Tensor], int, Site | None]] = {}
        self.depth = 0

    def remember(self, state: Any, step: int, site: Site | None) -> None:
        for value in state.values() if isinstance(state, dict) else ():
            if isinstance(value, torch.Tensor):
                self.calls[id(value)] = (weakref.ref(value), step, site)
                if len(self.calls) > REMEMBERED:
                    del self.calls[next(iter(self.calls))]
                return

    def find(self, state: Any) -> tuple[int, Site | None]:
        """The step and place at which these tensors were taken; (-1, None) when not known."""
        for value in list(state.values()):
            known = self.calls.get(id(value))
            if known is not None and known[0]() is value:
                return known[1], known[2]
        return -1, None


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the outermost ``load_state_dict`` and ``state_dict`` of a module, and the loads of
    optimizers and schedulers."""
    plain = _plain(recorder, "optimizer"), _plain(recorder, "scheduler")
    return [
        around(recorder, "load", nn.Module, "load_state_dict", *_module(recorder)),
        around(recorder, "load", nn.Module, "state_dict", *_taken(recorder)),
        around(recorder, "load", Optimizer, "load_state_dict", *plain[0]),
        around(recorder, "load", LRScheduler, "load_state_dict", *plain[1]),
    ]


def _taken(recorder: "Recorder") -> tuple[Callable[..., Any], ...]:
    taken = recorder.taken

    def before(module: nn.Module, *_: Any, **__: Any) -> Any:
        taken.depth += 1
        return module

    def after(module: nn.Module, state: Any) -> None:
        taken.depth -= 1
        if taken.depth == 0:
            taken.remember(state, recorder.step, recorder.site())

    def failed(module: nn.Module, error: BaseException) -> None:
        taken.depth -= 1

    return before, after, failed


def _module(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(module: nn.Module, state_dict: Any, *_: Any, **__: Any) -> Any:
        own = {
            **dict(members.named_parameters(module)),
            **dict(module.named_buffers(remove_duplicate=False)),
        }
        given = {
            name: tensor
            for name, tensor in own.items()
            if isinstance(state_dict.get(name), torch.Tensor) and tensor.numel()
        }
        aliases = [t for name, t in given.items() if same_storage(state_dict[name], t)]
        taken = recorder.taken.find(state_dict) if aliases else (-1, None)
        return module, aliases, len(given), taken

    def after(token: Any, _: Any) -> None:
        module, aliases, given, (taken, site) = token
        numbers = tuple([recorder.census.account(tensor).number for tensor in aliases])
        owner = recorder.census.module(module)
        recorder.emit(
            Load(
                recorder.index(),
                recorder.step,
                recorder.site(),
                "module",
                owner,
                numbers,
                given,
                taken,
                site,
            )
        )

    return before, after


def _plain(recorder: "Recorder", what: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(owner: Any, *_: Any, **__: Any) -> Any:
        return owner

    def after(owner: Any, _: Any) -> None:
        number = -1
        if what == "optimizer":
            number = recorder.census.optimizer(owner)
            recorder.replacements.loaded.add(number)
        recorder.emit(Load(recorder.index(), recorder.step, recorder.site(), what, number))

    return before, after
