"""An energy-based model: samples are drawn by Langevin steps on the input through the model in eval
mode with its parameters switched off, kept in a buffer, then contrasted with data; and a denoising
score matcher by double backward."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(61)
energy = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Dropout(0.05), nn.Linear(32, 1))
optimizer = torch.optim.Adam(energy.parameters(), lr=1e-3, betas=(0.0, 0.999))
buffer = torch.rand(128, 2) * 2 - 1


def langevin(x, steps=8, size=0.1):
    trained = energy.training
    energy.eval()
    for p in energy.parameters():
        p.requires_grad = False
    x = x.clone().requires_grad_(True)
    noise = torch.empty_like(x)
    for _ in range(steps):
        noise.normal_(0, 0.05)
        x.data.add_(noise)
        energy(x).sum().backward()
        x.data.add_(x.grad.clamp(-0.3, 0.3), alpha=-size)
        x.grad.detach_()
        x.grad.zero_()
    for p in energy.parameters():
        p.requires_grad = True
    energy.train(trained)
    return x.detach()


for step in range(24):
    real = torch.randn(32, 2) * 0.2 + torch.tensor([0.5, -0.5])
    index = torch.randint(128, (32,))
    fake = langevin(buffer[index])
    buffer[index] = fake
    energy.train()
    up, down = energy(torch.cat([real, fake])).chunk(2)
    loss = up.mean() - down.mean() + 0.1 * (up.pow(2) + down.pow(2)).mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(energy.parameters(), 0.1)
    optimizer.step()
    if step % 8 == 0:
        print(step, loss.item())

for step in range(12):
    clean = torch.randn(32, 2) * 0.2
    noise = torch.randn_like(clean)
    noisy = (clean + 0.3 * noise).requires_grad_(True)
    score = -torch.autograd.grad(energy(noisy).sum(), noisy, create_graph=True)[0]
    loss = (score + noise / 0.3).pow(2).sum(1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
print(fingerprint(energy, buffer))
