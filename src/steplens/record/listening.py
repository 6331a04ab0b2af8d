"""Listening: what a function mode of ours hears of the torch functions that are called under it."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class Listening(TorchFunctionMode):
    """Calls each function as it is, and then hears of it; a fault in that is no fault of the
    program's."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        try:
            if self.listens():
                self.heard(func, args, kwargs, result)
        except Exception as error:
            self.failed(error)
        return result

    def listens(self) -> bool:
        """Whether anything is to be heard now."""
        return True

    def heard(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """A torch function has been called."""
        raise NotImplementedError

    def failed(self, error: Exception) -> None:
        """Hearing of one has failed."""
        raise NotImplementedError


def name_of(func: Any) -> str:
    """What a torch function, or an attribute that is read, is called."""
    name = getattr(func, "__name__", "")
    return getattr(getattr(func, "__self__", None), "__name__", name) if name == "__get__" else name


def given_to(args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The tensors among arguments, those in lists too."""
    found: list[torch.Tensor] = []
    for value in [*args, *(kwargs or {}).values()]:
        several = value if isinstance(value, (list, tuple)) else (value,)
        found += [item for item in several if isinstance(item, torch.Tensor)]
    return found
