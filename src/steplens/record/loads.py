"""Probe of ``load_state_dict`` of modules, optimizers, schedulers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

from steplens.model.event import Load
from steplens.record.forwards import same_storage
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the outermost ``load_state_dict`` of a module, and an optimizer's."""
    return [
        around(recorder, "load", nn.Module, "load_state_dict", *_module(recorder)),
        around(recorder, "load", Optimizer, "load_state_dict", *_optimizer(recorder)),
    ]


def _module(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(module: nn.Module, state_dict: Any, *_: Any, **__: Any) -> Any:
        own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        aliases = [
            name
            for name, tensor in own.items()
            if isinstance(given := state_dict.get(name), torch.Tensor)
            and tensor.numel()
            and same_storage(given, tensor)
        ]
        return module, [own[name] for name in aliases]

    def after(token: Any, _: Any) -> None:
        module, aliases = token
        numbers = tuple(recorder.census.account(tensor).number for tensor in aliases)
        owner = recorder.census.module(module)
        recorder.emit(
            Load(recorder.index(), recorder.step, recorder.site(), "module", owner, numbers)
        )

    return before, after


def _optimizer(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(optimizer: Any, *_: Any, **__: Any) -> Any:
        return optimizer

    def after(optimizer: Any, _: Any) -> None:
        number = recorder.census.optimizer(optimizer)
        recorder.replacements.loaded.add(number)
        recorder.emit(Load(recorder.index(), recorder.step, recorder.site(), "optimizer", number))

    return before, after
