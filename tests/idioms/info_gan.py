"""InfoGAN: a third optimizer holds generator and critic; samples are drawn in train mode."""

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
generator = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
body = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2))
judge, reader = nn.Linear(16, 1), nn.Linear(16, 2)
critic = nn.ModuleList([body, judge, reader])
plays = torch.optim.Adam(generator.parameters(), lr=1e-3)
judges = torch.optim.Adam(critic.parameters(), lr=1e-3)
informs = torch.optim.Adam([*generator.parameters(), *critic.parameters()], lr=1e-3)
real, fake = torch.ones(32, 1), torch.zeros(32, 1)


def draw(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    code = torch.rand(n, 2) * 2 - 1
    return generator(torch.cat([torch.randn(n, 4), code], 1)), code


for epoch in range(3):
    for step in range(10):
        points = torch.randn(32, 2) + 2
        plays.zero_grad()
        made, _ = draw(32)
        F.binary_cross_entropy_with_logits(judge(body(made)), real).backward()
        plays.step()
        judges.zero_grad()
        loss = F.binary_cross_entropy_with_logits(judge(body(points)), real)
        loss = loss + F.binary_cross_entropy_with_logits(judge(body(made.detach())), fake)
        (loss / 2).backward()
        judges.step()
        informs.zero_grad()
        made, code = draw(32)
        F.mse_loss(reader(body(made)), code).backward()
        informs.step()
        if step % 5 == 4:
            samples, _ = draw(100)
            print(epoch, step, samples.data.mean(0).tolist())
