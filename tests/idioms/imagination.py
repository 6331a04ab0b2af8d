"""A world model, then an actor trained through it: imagined steps run through the model's own
layers, whose leftover gradients are cleared before its next step; parameters frozen for the moment
by a context manager."""

import contextlib

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


@contextlib.contextmanager
def frozen(module):
    held = [p.requires_grad for p in module.parameters()]
    for p in module.parameters():
        p.requires_grad = False
    yield
    for p, was in zip(module.parameters(), held, strict=True):
        p.requires_grad = was


torch.manual_seed(65)
world = nn.GRUCell(5, 12)
reward, value = nn.Linear(12, 1), nn.Linear(12, 1)
decoder, actor = nn.Linear(12, 3), nn.Sequential(nn.Linear(12, 16), nn.ELU(), nn.Linear(16, 2))
parts = [*world.parameters(), *reward.parameters(), *decoder.parameters()]
of_model = torch.optim.Adam(parts, lr=3e-3)
of_actor = torch.optim.Adam(actor.parameters(), lr=3e-3)
of_value = torch.optim.Adam(value.parameters(), lr=3e-3)
for step in range(20):
    seen, acts = torch.randn(6, 16, 3), torch.rand(6, 16, 2) * 2 - 1
    h, loss, starts = torch.zeros(16, 12), torch.zeros(()), []
    for t in range(6):
        h = world(torch.cat([seen[t], acts[t]], 1), h)
        loss = loss + F.mse_loss(decoder(h), seen[t])
        loss = loss + F.mse_loss(reward(h), seen[t].sum(1, keepdim=True))
        starts.append(h.detach())
    of_model.zero_grad()
    loss.backward()
    of_model.step()

    h, rewards, states = torch.cat(starts), [], []
    with contextlib.ExitStack() as stack:
        if step % 2:  # the other half of the time the leftovers are cleared instead
            for module in (world, reward, value, decoder):
                stack.enter_context(frozen(module))
        for _ in range(4):
            action = torch.tanh(actor(h))
            h = world(torch.cat([decoder(h), action], 1), h)
            rewards.append(reward(h))
            states.append(h)
        target = sum(rewards) + value(h)
        of_actor.zero_grad()
        (-target.mean()).backward()
        of_actor.step()
    of_value.zero_grad()
    F.mse_loss(value(states[0].detach()), target.detach()).backward()
    of_value.step()
    if step % 5 == 0:
        print(step, loss.item(), target.mean().item())
print(fingerprint(world, actor, value))
