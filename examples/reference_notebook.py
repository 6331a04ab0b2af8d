"""The reference notebook as a script: what each call does to the state of a one-layer model."""

import torch
import torch.nn.functional as F
from torch import nn, optim


class TestModel(nn.Module):
    """One linear layer that can be put back to where it began."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.Linear(2, 1)
        self.reset()

    def reset(self):
        self.mlp.weight.data.fill_(1)
        self.mlp.bias.data.fill_(0)

    def forward(self, X):
        return self.mlp(X)


model = TestModel()
optimizer = optim.Adam(model.parameters(), lr=0.5)
X = torch.tensor([[0.0, 2.0]])
Y = torch.tensor([[1.0]])

Z = model(X)
print("Z =", Z)

loss = F.mse_loss(Z, Y)
print("weight gradient", model.mlp.weight.grad)

loss.backward()
print("weight gradient", model.mlp.weight.grad)

# with torch.no_grad():
#     Z = model(X)
#     loss = F.mse_loss(Z, Y)
#     loss.backward()

optimizer.step()
model.zero_grad()
print("weight gradient", model.mlp.weight.grad)
print("weight", model.mlp.weight.data)

model.reset()
model.eval()
Z = model(X)
loss = F.mse_loss(Z, Y)
loss.backward()
print("weight gradient", model.mlp.weight.grad)

Z = model(X)
loss = F.mse_loss(Z, Y)
loss.backward()
print("weight gradient", model.mlp.weight.grad)

print("weight before the step", model.mlp.weight.data)
optimizer.step()
print("weight after the step", model.mlp.weight.data)
