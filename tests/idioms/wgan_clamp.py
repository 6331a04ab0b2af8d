"""The first WGAN: weights clamped through .data after each critic step, backward of one and
minus one."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(5)
CLAMP, ITERS, N_CRITIC = 0.05, 12, 4
one = torch.tensor(1.0)
mone = one * -1
netG = nn.Sequential(nn.Linear(4, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 6))
netD = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 1))
optimizerD = torch.optim.RMSprop(netD.parameters(), lr=5e-4)
optimizerG = torch.optim.RMSprop(netG.parameters(), lr=5e-4)

for it in range(ITERS):
    for p in netD.parameters():
        p.requires_grad = True
    for _ in range(N_CRITIC):
        for p in netD.parameters():
            p.data.clamp_(-CLAMP, CLAMP)
        netD.zero_grad()
        errD_real = netD(torch.randn(32, 6) + 1).mean()
        errD_real.backward(one)
        with torch.no_grad():
            noisev = torch.randn(32, 4)
        fake = netG(noisev).data
        errD_fake = netD(fake).mean()
        errD_fake.backward(mone)
        errD = errD_real - errD_fake
        optimizerD.step()
    for p in netD.parameters():
        p.requires_grad = False
    netG.zero_grad()
    errG = netD(netG(torch.randn(32, 4))).mean()
    errG.backward(one)
    optimizerG.step()
    print(it, errD.item(), errG.item())
print(fingerprint(netG, netD))
