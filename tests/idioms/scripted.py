"""torch.jit: a scripted module trained as it is, a traced one for evaluation, a scripted loss and a
scripted class that use names of this file and functions that are watched elsewhere; the eager model
beside them."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(6, 16), nn.Dropout(0.2), nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(F.relu(self.first(x))))


@torch.jit.script
def smooth(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(out, target, label_smoothing=0.1)


def squash(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x)


@torch.jit.script
class Meter:
    """Looks up `squash` in the file that scripted it."""

    def __init__(self) -> None:
        self.total = torch.tensor(0.0)

    def add(self, value: torch.Tensor) -> torch.Tensor:
        self.total = self.total + squash(value.detach()) + torch.tensor([1.0, 2.0])[0]
        return self.total


@torch.jit.script
def slope(x: torch.Tensor) -> torch.Tensor:
    found = torch.autograd.grad([squash(x).sum()], [x])[0]
    assert found is not None
    return F.dropout(found, 0.5, False).fill_(1.0) + found


torch.manual_seed(56)
x = torch.randn(192, 6)
y = (x[:, 0] > 0).long()
model = torch.jit.script(Net())
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(4):
    model.train()
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        loss = smooth(model(xb), yb)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, F.cross_entropy(model(x), y).item())
eager = Net()
eager.load_state_dict(model.state_dict())
eager.eval()
traced = torch.jit.trace(eager, x[:2])
with torch.no_grad():
    print(torch.equal(traced(x), eager(x)))
print(Meter().add(loss).item(), slope(torch.ones(3, requires_grad=True)).sum().item())
print(fingerprint(eager))
