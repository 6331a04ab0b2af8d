"""Standing: everything that watching could leave behind in torch and in the process."""

import gc
import os
import sys
import threading
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

import torch
import torch.utils.checkpoint
import torch.utils.data
from torch import nn
from torch.optim import optimizer as optimizers

OWNERS: tuple[Any, ...] = (
    torch, torch.Tensor, torch.autograd, torch.autograd.graph, torch.autograd.function, torch.func,
    torch.jit, torch.random, torch.amp, torch.amp.GradScaler, torch.autograd.Function,
    nn.Module, nn.functional, nn.init,
    nn.utils, nn.utils.clip_grad, nn.Parameter,
    torch.nn.modules.module, torch.nn.modules.batchnorm._NormBase,
    torch.optim, torch.optim.Optimizer, optimizers, torch.optim.lr_scheduler,
    torch.optim.swa_utils, torch.utils.data, torch.utils.data.DataLoader,
    torch.utils.data.dataloader, torch.no_grad, torch.enable_grad, torch.set_grad_enabled,
    torch.inference_mode,
    torch.utils.checkpoint, torch.overrides, torch.cuda, sys,
)  # fmt: skip
CHANGING = {
    "last_type", "last_value", "last_traceback", "last_exc", "modules", "path_importer_cache",
    "__warningregistry__",
}  # fmt: skip


def classes() -> Iterable[type]:
    """torch's modules, optimizers and schedulers that are in memory, but for the classes that torch
    makes for one compiled graph each: they share a name, and come and go with their graphs."""
    waiting: list[type] = [nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]
    while waiting:
        kind = waiting.pop()
        if kind.__module__.startswith("torch.") and "<locals>" not in kind.__qualname__:
            yield kind
        waiting += type.__subclasses__(kind)


def standing() -> dict[str, object]:
    """What stands where: by the place's name, the identity of what is there. Classes that nobody
    holds any more (those of compiled graphs) are let go of first."""
    gc.collect()
    found: dict[str, object] = {}
    for owner in {id(owner): owner for owner in (*OWNERS, *classes())}.values():
        name = getattr(owner, "__qualname__", owner.__name__)
        for key, value in list(vars(owner).items()):
            if key in CHANGING or isinstance(value, ModuleType):
                continue
            found[f"{name}.{key}"] = _state(value)
    found["trace"] = sys.gettrace()
    found["profile"] = sys.getprofile()
    found["threads"] = sorted(thread.name for thread in threading.enumerate())
    found["open files"] = sorted(_files())
    found["grad mode"] = torch.is_grad_enabled()
    found["gc"] = (gc.isenabled(), gc.get_threshold(), len(gc.callbacks))
    found["recursion"] = sys.getrecursionlimit()
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None:
        found["monitoring"] = [monitoring.get_tool(number) for number in range(6)]
    return found


def _state(value: Any) -> object:
    if isinstance(value, (dict, list, set)):
        return (id(value), len(value))
    if isinstance(value, (int, float, str, bool, tuple, type(None))):
        return repr(value)
    if isinstance(value, FunctionType):
        return (id(value), id(value.__code__))
    return id(value)


def _files() -> list[str]:
    found: list[str] = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:  # the listing's own
            continue
    return [name for name in found if not name.startswith(("pipe:", "/proc/"))]


def changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """The places where something else stands."""
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
