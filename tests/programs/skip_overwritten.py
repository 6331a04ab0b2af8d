"""SL518 skip-overwritten. `# SL518` marks where the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def train(block, width=6):
    model = nn.Sequential(nn.Linear(4, width), block, block, nn.Linear(width, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(4):
        x = torch.randn(8, 4)
        optimizer.zero_grad()
        F.mse_loss(model(x), x[:, :1]).backward()
        optimizer.step()


class Block(nn.Module):
    def __init__(self, *parts, inplace=True):
        super().__init__()
        self.relu = nn.ReLU(inplace=inplace)
        for part in parts:
            setattr(self, part, nn.LayerNorm(6) if part == "norm" else nn.Linear(6, 6))


def bad_activation_before_the_branch():
    class Residual(Block):
        def forward(self, x):
            out = self.one(self.relu(x))  # SL518
            out = self.other(self.relu(out))
            return out + x

    train(Residual("one", "other"))


def bad_name_of_its_own():
    class Residual(Block):
        def forward(self, x):
            active = self.relu(x)  # SL518
            out = self.one(active)
            out += x
            return out

    train(Residual("one"))


def bad_within_one_line():
    class Gate(Block):
        def forward(self, x):
            h = self.one(x)
            return F.leaky_relu(h, 0.1, inplace=True) + h  # SL518

    train(Gate("one"))


def bad_second_name_for_the_skip():
    class Residual(Block):
        def forward(self, x):
            identity = x
            x = self.relu(x)  # SL518
            x = self.one(x)
            return x + identity

    train(Residual("one"))


def fine_second_name_for_the_activation():
    class Residual(Block):
        def forward(self, x):
            x = self.relu(x)
            identity = x
            return self.one(x) + identity

    train(Residual("one"))


def good_not_in_place():
    class Residual(Block):
        def forward(self, x):
            out = self.one(self.relu(x))
            return self.other(self.relu(out)) + x

    train(Residual("one", "other", inplace=False))


def fine_bound_to_its_name():
    class Residual(Block):
        def forward(self, x):
            x = self.relu(x)
            return self.one(x) + x

    train(Residual("one"))


def fine_line_that_writes():
    class Residual(Block):
        def forward(self, x):
            self.relu(x)
            return self.one(x) + x

    train(Residual("one"))


def fine_activation_of_a_norm():
    class Residual(Block):
        def forward(self, x):
            out = self.relu(self.norm(x))
            out = self.one(out)
            shortcut = x
            return out + shortcut

    train(Residual("one", "norm"))


def fine_skip_of_the_activation_itself():
    class Residual(Block):
        def forward(self, x):
            active = self.relu(x)
            out = self.one(active)
            return out + active

    train(Residual("one"))


def fine_already_rectified():
    class Residual(Block):
        def forward(self, x):
            out = self.one(x)
            x = 2 * torch.relu(out)
            again = self.relu(x)
            return self.other(again) + x

    train(Residual("one", "other"))


def fine_copied_for_the_skip():
    class Residual(Block):
        def forward(self, x):
            skip = x.clone()
            return self.one(self.relu(x)) + skip

    train(Residual("one"))
