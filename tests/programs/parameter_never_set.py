"""SL609 parameter-never-set. `# SL609` marks the lines at which the finding must point."""

import torch
from torch import nn


def train(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().nan_to_num().backward()
        optimizer.step()


class Own(nn.Module):
    def forward(self, x):
        return torch.tanh(x * self.gain) @ self.proj


def bad_empty():
    class Head(Own):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(4))
            self.proj = nn.Parameter(torch.empty(4, 2))  # SL609

    train(Head())


def bad_sizes_given_to_the_old_constructor():
    class Head(Own):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(4))
            self.proj = nn.Parameter(torch.Tensor(4, 2))  # SL609

    train(Head())


def good_initialised():
    class Head(Own):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.empty(4))
            self.proj = nn.Parameter(torch.empty(4, 2))
            nn.init.ones_(self.gain)
            nn.init.normal_(self.proj)

    train(Head())


def fine_written_by_way_of_the_data():
    class Head(Own):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.empty(4))
            self.proj = nn.Parameter(torch.Tensor(4, 2))
            self.gain.data.zero_()
            self.proj.data = torch.zeros(4, 2)

    train(Head())


def fine_loaded():
    class Head(Own):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.empty(4))
            self.proj = nn.Parameter(torch.empty(4, 2))

    model = Head()
    model.load_state_dict({"gain": torch.ones(4), "proj": torch.ones(4, 2)})
    train(model)


def fine_values_given_to_the_old_constructor():
    class Head(Own):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.Tensor([1.0, 2.0, 3.0, 4.0]))
            self.proj = nn.Parameter(torch.randn(4, 2))

    train(Head())


def fine_never_used():
    class Head(Own):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(4))
            self.proj = nn.Parameter(torch.randn(4, 2))
            self.spare = nn.Parameter(torch.empty(4, 2), requires_grad=False)

    train(Head())
