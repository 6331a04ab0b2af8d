"""Members: the modules, parameters and buffers of a module as torch holds them.

A class may override ``parameters()`` with other arguments (as in MAML-Pytorch), or keep a list in
``self.modules``: torch goes on working, so we must as well, and read its own tables.
"""

from collections.abc import Iterator

import torch
from torch import nn


def named_modules(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The module and all modules below it, each once, outer ones first, with their names."""
    met: set[int] = set()
    waiting = [("", root)]
    while waiting:
        name, module = waiting.pop()
        if id(module) in met:
            continue
        met.add(id(module))
        yield name, module
        prefix = f"{name}." if name else ""
        below = [
            (prefix + key, child) for key, child in module._modules.items() if child is not None
        ]
        waiting += reversed(below)


def modules(root: nn.Module) -> Iterator[nn.Module]:
    """The module and all modules below it."""
    for _, module in named_modules(root):
        yield module


def parameters(module: nn.Module, recurse: bool = True) -> Iterator[nn.Parameter]:
    """Its parameters, each once; with ``recurse``, those of the modules below it too."""
    met: set[int] = set()
    for holder in modules(module) if recurse else (module,):
        for parameter in holder._parameters.values():
            if parameter is not None and id(parameter) not in met:
                met.add(id(parameter))
                yield parameter


def named_parameters(root: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """All parameters with their names; one that has several names comes under each."""
    for name, module in _all_named(root, ""):
        for key, parameter in module._parameters.items():
            if parameter is not None:
                yield f"{name}{key}", parameter


def _all_named(
    module: nn.Module, prefix: str, above: tuple[nn.Module, ...] = ()
) -> Iterator[tuple[str, nn.Module]]:
    yield prefix, module
    for key, child in module._modules.items():
        if child is not None and not any(child is one for one in above):  # no going round
            yield from _all_named(child, f"{prefix}{key}.", (*above, module))


def buffers(root: nn.Module) -> Iterator[torch.Tensor]:
    """The buffers of the module and of those below it."""
    for module in modules(root):
        for buffer in module._buffers.values():
            if buffer is not None:
                yield buffer
