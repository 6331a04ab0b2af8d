"""Mean teacher: a second model whose parameters are detached in place, consistency cost on
unlabelled data, the teacher evaluated at the end of each epoch."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from weights import fingerprint


def create_model(ema=False):
    model = nn.Sequential(
        nn.Linear(10, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 4)
    )
    if ema:
        for param in model.parameters():
            param.detach_()
    return model


def update_ema_variables(model, ema_model, alpha, global_step):
    alpha = min(1 - 1 / (global_step + 1), alpha)
    for ema_param, param in zip(ema_model.parameters(), model.parameters(), strict=True):
        ema_param.data.mul_(alpha).add_(param.data, alpha=1 - alpha)


def validate(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


torch.manual_seed(13)
x = torch.randn(480, 10)
y = (x @ torch.randn(10, 4)).argmax(1)
y[:400][torch.rand(400) < 0.7] = -1
model, ema_model = create_model(), create_model(ema=True)
optimizer = torch.optim.SGD(
    model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4, nesterov=True
)
class_criterion = nn.CrossEntropyLoss(reduction="sum", ignore_index=-1)
global_step = 0
for epoch in range(4):
    model.train()
    ema_model.train()
    weight = 5.0 * (epoch + 1) / 4
    for i in torch.randperm(400).split(50):
        model_out = model(x[i] + 0.1 * torch.randn(len(i), 10))
        ema_logit = ema_model(x[i] + 0.1 * torch.randn(len(i), 10)).detach()
        class_loss = class_criterion(model_out, y[i]) / len(i)
        consistency = F.mse_loss(F.softmax(model_out, 1), F.softmax(ema_logit, 1))
        loss = class_loss + weight * consistency
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        global_step += 1
        update_ema_variables(model, ema_model, 0.95, global_step)
    print(
        epoch, loss.item(), validate(model, x[400:], y[400:]), validate(ema_model, x[400:], y[400:])
    )
print(fingerprint(model, ema_model))
