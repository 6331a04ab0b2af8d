"""A skorch module that ends in a softmax, under a cross-entropy that wants logits."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 10)
        self.out = nn.Linear(10, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.out(torch.relu(self.hidden(x))), dim=-1)


def main() -> None:
    torch.manual_seed(0)
    drawn = np.random.default_rng(0)
    x = drawn.normal(size=(120, 6)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int64)
    net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, max_epochs=3, lr=0.1, verbose=0)
    net.fit(x, y)  # SL501


if __name__ == "__main__":
    main()
