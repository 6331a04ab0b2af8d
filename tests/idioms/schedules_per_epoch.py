"""Schedulers stepped per epoch: ReduceLROnPlateau with a metric, MultiStep, Cosine over the epochs,
a chained pair, and a fresh scheduler for each phase of one optimizer."""

import torch
from torch import nn
from torch.optim import lr_scheduler as S
from weights import fingerprint

torch.manual_seed(54)
x = torch.randn(200, 5)
y = (x[:, 0] * x[:, 1]).sign().clamp(0).long()


def epoch_of(net, opt):
    net.train()
    for i in torch.randperm(160).split(32):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x[i]), y[i])
        loss.backward()
        opt.step()
    net.eval()
    with torch.no_grad():
        return nn.functional.cross_entropy(net(x[160:]), y[160:]).item()


def fresh():
    net = nn.Sequential(nn.Linear(5, 24), nn.ReLU(), nn.Linear(24, 2))
    return net, torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)


net, opt = fresh()
plateau = S.ReduceLROnPlateau(opt, mode="min", factor=0.5, patience=1)
for epoch in range(8):
    val = epoch_of(net, opt)
    plateau.step(val)
print("plateau", val, opt.param_groups[0]["lr"], fingerprint(net))

for make in (
    lambda o: S.MultiStepLR(o, [2, 4], 0.1),
    lambda o: S.CosineAnnealingLR(o, T_max=6),
    lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.1, total_iters=2), S.ExponentialLR(o, 0.9)]),
):
    net, opt = fresh()
    scheduler = make(opt)
    for epoch in range(6):
        val = epoch_of(net, opt)
        scheduler.step()
    print(type(scheduler).__name__, val, scheduler.get_last_lr(), fingerprint(net))

net, opt = fresh()
for phase, lr in enumerate((0.1, 0.02)):
    for group in opt.param_groups:
        group["lr"] = group["initial_lr"] = lr
    scheduler = S.StepLR(opt, step_size=1, gamma=0.5)
    for _ in range(3):
        val = epoch_of(net, opt)
        scheduler.step()
    print("phase", phase, val, opt.param_groups[0]["lr"])
print(fingerprint(net))
