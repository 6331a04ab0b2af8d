"""VQ-VAE: a codebook moved by running averages in buffers, nearest codes by distance, the straight-
through copy of gradients, dead codes replaced; then a codebook that is trained by its own loss."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


def nearest(z, codes):
    return torch.cdist(z.detach(), codes.detach()).argmin(1)


class AveragedCodes(nn.Module):
    def __init__(self, size=16, width=4, decay=0.9):
        super().__init__()
        self.decay = decay
        self.register_buffer("codes", torch.randn(size, width))
        self.register_buffer("count", torch.ones(size))
        self.register_buffer("total", self.codes.clone())

    def forward(self, z):
        index = nearest(z, self.codes)
        picked = self.codes[index]
        if self.training:
            with torch.no_grad():
                one_hot = F.one_hot(index, len(self.codes)).type_as(z)
                self.count.mul_(self.decay).add_(one_hot.sum(0), alpha=1 - self.decay)
                self.total.mul_(self.decay).add_(one_hot.t() @ z, alpha=1 - self.decay)
                self.codes.copy_(self.total / self.count.clamp_min(1e-3).unsqueeze(1))
                dead = self.count < 0.02
                self.codes[dead] = z[torch.randint(len(z), (int(dead.sum()),))]
                self.total[dead], self.count[dead] = self.codes[dead], 1.0
        return z + (picked - z).detach(), 0.25 * F.mse_loss(z, picked)


class LearnedCodes(nn.Module):
    def __init__(self, size=16, width=4):
        super().__init__()
        self.codes = nn.Embedding(size, width)
        self.codes.weight.data.uniform_(-1 / size, 1 / size)

    def forward(self, z):
        picked = self.codes(nearest(z, self.codes.weight))
        loss = F.mse_loss(picked, z.detach()) + 0.25 * F.mse_loss(z, picked.detach())
        return z + (picked - z).detach(), loss


class Autoencoder(nn.Module):
    def __init__(self, codes):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 4))
        self.codes = codes
        self.decoder = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 12))

    def forward(self, x):
        z, loss = self.codes(self.encoder(x))
        return self.decoder(z), loss


torch.manual_seed(40)
data = torch.randn(256, 3) @ torch.randn(3, 12)
for codes in (AveragedCodes(), LearnedCodes()):
    model = Autoencoder(codes)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _epoch in range(4):
        model.train()
        for x in data[torch.randperm(256)].split(32):
            y, commitment = model(x)
            loss = F.mse_loss(y, x) + commitment
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            y, _ = model(data)
        print(F.mse_loss(y, data).item())
    print(fingerprint(model))
