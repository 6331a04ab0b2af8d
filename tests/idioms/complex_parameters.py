"""Complex parameters: an SSM-like diagonal recurrence and a Fourier layer, losses of real parts and
of magnitudes."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Diagonal(nn.Module):
    def __init__(self, states=8):
        super().__init__()
        self.log_decay = nn.Parameter(torch.rand(states).log())
        self.frequency = nn.Parameter(torch.arange(states) * 0.3)
        self.inward = nn.Parameter(torch.randn(states, dtype=torch.cfloat) / 4)
        self.outward = nn.Parameter(torch.randn(states, dtype=torch.cfloat) / 4)

    def forward(self, u):  # [batch, time] -> [batch, time]
        step = torch.complex(-self.log_decay.exp(), self.frequency)
        kernel = torch.exp(step[:, None] * torch.arange(u.shape[1]))
        kernel = ((self.inward * self.outward)[:, None] * kernel).sum(0).real
        size = 2 * u.shape[1]
        spectrum = torch.fft.rfft(u, n=size) * torch.fft.rfft(kernel, n=size)
        return torch.fft.irfft(spectrum, n=size)[:, : u.shape[1]]


torch.manual_seed(57)
u = torch.randn(96, 16)
y = u.cumsum(1) * 0.2
model = nn.Sequential(Diagonal(), nn.Linear(16, 16))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(4):
    for ub, yb in zip(u.split(16), y.split(16), strict=True):
        optimizer.zero_grad()
        out = model(ub)
        loss = F.mse_loss(out, yb) + 0.01 * torch.fft.rfft(out - yb).abs().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(epoch, loss.item())
print(fingerprint(model[1]), fingerprint(torch.view_as_real(model[0].inward)))
