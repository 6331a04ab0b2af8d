"""CycleGAN: two generators in one optimizer, two discriminators in another, an image pool, linear
decay of the learning rate, discriminators frozen in the generators' turn."""

import itertools
import random

import torch
from torch import nn
from weights import fingerprint


def net(i, o):
    return nn.Sequential(nn.Linear(i, 16), nn.ReLU(), nn.Linear(16, o))


class ImagePool:
    def __init__(self, size):
        self.size, self.images = size, []

    def query(self, images):
        out = []
        for image in images.detach():
            if len(self.images) < self.size:
                self.images.append(image)
                out.append(image)
            elif random.random() > 0.5:
                k = random.randrange(self.size)
                out.append(self.images[k].clone())
                self.images[k] = image
            else:
                out.append(image)
        return torch.stack(out)


def set_requires_grad(nets, flag):
    for n in nets:
        for p in n.parameters():
            p.requires_grad = flag


torch.manual_seed(6)
random.seed(6)
G_A, G_B, D_A, D_B = net(6, 6), net(6, 6), net(6, 1), net(6, 1)
mse, l1 = nn.MSELoss(), nn.L1Loss()
opt_G = torch.optim.Adam(itertools.chain(G_A.parameters(), G_B.parameters()), lr=2e-3)
opt_D = torch.optim.Adam(itertools.chain(D_A.parameters(), D_B.parameters()), lr=2e-3)
decay = [
    torch.optim.lr_scheduler.LambdaLR(o, lambda e: 1.0 - max(0, e - 2) / 4) for o in (opt_G, opt_D)
]
pool_A, pool_B = ImagePool(20), ImagePool(20)
A, B = torch.randn(64, 6), torch.randn(64, 6) * 2 + 1
for epoch in range(5):
    for real_A, real_B in zip(A.split(16), B.split(16), strict=True):
        fake_B, fake_A = G_A(real_A), G_B(real_B)
        rec_A, rec_B = G_B(fake_B), G_A(fake_A)
        set_requires_grad([D_A, D_B], False)
        opt_G.zero_grad()
        idt = l1(G_A(real_B), real_B) + l1(G_B(real_A), real_A)
        on_A, on_B = D_A(fake_B), D_B(fake_A)
        adversarial = mse(on_A, torch.ones_like(on_A)) + mse(on_B, torch.ones_like(on_B))
        loss_G = adversarial + 10 * (l1(rec_A, real_A) + l1(rec_B, real_B)) + 5 * idt
        loss_G.backward()
        opt_G.step()
        set_requires_grad([D_A, D_B], True)
        opt_D.zero_grad()
        for D, real, fake in (
            (D_A, real_B, pool_B.query(fake_B)),
            (D_B, real_A, pool_A.query(fake_A)),
        ):
            yes, no = D(real), D(fake)
            loss = 0.5 * (mse(yes, torch.ones_like(yes)) + mse(no, torch.zeros_like(no)))
            loss.backward()
        opt_D.step()
    for s in decay:
        s.step()
    print(epoch, loss_G.item(), loss.item(), opt_G.param_groups[0]["lr"])
print(fingerprint(G_A, G_B, D_A, D_B))
