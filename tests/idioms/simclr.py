"""SimCLR: the other rows of the batch are the negatives; rows depend on each other on purpose."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(16, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU())
        self.g = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 8))

    def forward(self, x):
        feature = torch.flatten(self.f(x), start_dim=1)
        out = self.g(feature)
        return F.normalize(feature, dim=-1), F.normalize(out, dim=-1)


def nt_xent(out_1, out_2, temperature=0.5):
    batch_size = out_1.shape[0]
    out = torch.cat([out_1, out_2], dim=0)
    sim_matrix = torch.exp(torch.mm(out, out.t().contiguous()) / temperature)
    mask = (torch.ones_like(sim_matrix) - torch.eye(2 * batch_size)).bool()
    sim_matrix = sim_matrix.masked_select(mask).view(2 * batch_size, -1)
    pos_sim = torch.exp(torch.sum(out_1 * out_2, dim=-1) / temperature)
    pos_sim = torch.cat([pos_sim, pos_sim], dim=0)
    return (-torch.log(pos_sim / sim_matrix.sum(dim=-1))).mean()


torch.manual_seed(15)
data = torch.randn(256, 16)
model = Encoder()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-6)
for epoch in range(1, 5):
    model.train()
    total_loss, total_num = 0.0, 0
    for batch in data[torch.randperm(256)].split(64):
        pos_1 = batch * (torch.rand_like(batch) > 0.2)
        pos_2 = batch + 0.1 * torch.randn_like(batch)
        _, out_1 = model(pos_1)
        _, out_2 = model(pos_2)
        loss = nt_xent(out_1, out_2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total_num += len(batch)
        total_loss += loss.item() * len(batch)
    print(f"Train Epoch: [{epoch}] Loss: {total_loss / total_num:.6f}")
print(fingerprint(model))
