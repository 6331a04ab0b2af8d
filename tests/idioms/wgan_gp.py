"""WGAN with gradient penalty: autograd.grad with create_graph, five critic steps to one."""

import torch
import torch.nn as nn
from torch.autograd import grad
from weights import fingerprint


def gradient_penalty(critic, real, fake):
    eps = torch.rand(real.size(0), 1)
    mixed = (eps * real + (1 - eps) * fake).requires_grad_(True)
    scores = critic(mixed)
    (g,) = grad(
        outputs=scores,
        inputs=mixed,
        grad_outputs=torch.ones_like(scores),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )
    return ((g.view(g.size(0), -1).norm(2, dim=1) - 1) ** 2).mean()


def main(n_critic=5, lambda_gp=10.0):
    torch.manual_seed(0)
    gen = nn.Sequential(nn.Linear(3, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 2))
    critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.1), nn.Linear(32, 1))
    opt_g = torch.optim.Adam(gen.parameters(), lr=1e-3, betas=(0.0, 0.9))
    opt_c = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
    for it in range(40):
        angle = torch.rand(48) * 6.28
        real = torch.stack([angle.cos(), angle.sin()], 1)
        opt_c.zero_grad()
        fake = gen(torch.randn(48, 3))
        d_loss = -critic(real).mean() + critic(fake.detach()).mean()
        d_loss = d_loss + lambda_gp * gradient_penalty(critic, real.data, fake.data)
        d_loss.backward()
        opt_c.step()
        opt_g.zero_grad()
        if it % n_critic == 0:
            g_loss = -critic(gen(torch.randn(48, 3))).mean()
            g_loss.backward()
            opt_g.step()
            print(it, f"{d_loss.item():.5f} {g_loss.item():.5f}")
    print(fingerprint(gen, critic))


main()
