"""Full-batch training of a small regression and a graph network on one graph: the same data at
every step, on purpose; the GCN's rows depend on each other through the adjacency."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(69)
X = torch.randn(100, 3)
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.1 * torch.randn(100, 1)
linear = nn.Linear(3, 1)
opt = torch.optim.SGD(linear.parameters(), lr=0.1)
for t in range(50):
    pred = linear(X)
    loss = F.mse_loss(pred, Y)
    opt.zero_grad()
    loss.backward()
    opt.step()
print("regression", loss.item())


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass):
        super().__init__()
        self.w1, self.w2 = nn.Linear(nfeat, nhid, bias=False), nn.Linear(nhid, nclass, bias=False)

    def forward(self, x, adj):
        x = F.relu(adj @ self.w1(x))
        x = F.dropout(x, 0.5, training=self.training)
        return F.log_softmax(adj @ self.w2(x), dim=1)


n = 60
labels = torch.arange(n) % 3
adj = ((labels[:, None] == labels[None]) & (torch.rand(n, n) < 0.2)).float() + torch.eye(n)
adj = (adj / adj.sum(1, keepdim=True)).to_sparse()
features = F.one_hot(labels, 3).float() + torch.randn(n, 3)
train, val = torch.arange(0, 30), torch.arange(30, 60)
model = GCN(3, 8, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
for epoch in range(30):
    model.train()
    optimizer.zero_grad()
    output = model(features, adj)
    loss = F.nll_loss(output[train], labels[train])
    loss.backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        acc = (model(features, adj)[val].argmax(1) == labels[val]).float().mean()
    if epoch % 10 == 9:
        print(epoch, loss.item(), acc.item())
print(fingerprint(linear, model))
