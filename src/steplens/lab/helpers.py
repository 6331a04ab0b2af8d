"""The few things that experiments share, so that each stays under ten lines."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

X = torch.tensor([[0.0, 2.0]])
Y = torch.tensor([[1.0]])


class TestModel(nn.Module):
    """The reference notebook's model: one linear layer that can be put back to where it began."""

    __test__ = False  # pytest takes the name for a test's

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Linear(2, 1)
        self.reset()

    def reset(self) -> None:
        """Weights of one, a bias of zero."""
        self.mlp.weight.data.fill_(1)
        self.mlp.bias.data.fill_(0)

    def forward(self, X: Tensor) -> Tensor:
        """The layer's output for a batch of shape [N, 2]: shape [N, 1]."""
        return self.mlp(X)


def raised(call: Callable[[], Any]) -> str:
    """The error that a call raises, with the first sentence of its message; else ``no error``."""
    try:
        call()
    except Exception as error:
        said = str(error).strip().partition("\n")[0].partition(". ")[0]
        return f"{type(error).__name__}: {said}"
    return "no error"


def nodes(result: Tensor) -> int:
    """The number of nodes in the graph behind a result: 0 when there is none."""
    seen: set[Any] = set()
    waiting: list[Any] = [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [after for after, _ in node.next_functions]
    return len(seen)


def cleared(parameters: Iterator[Tensor]) -> str:
    """How many of the parameters hold no gradient, as ``1 of 2``."""
    held = [parameter.grad is None for parameter in parameters]
    return f"{sum(held)} of {len(held)}"
