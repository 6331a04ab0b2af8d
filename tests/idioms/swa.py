"""SWA: an AveragedModel from the middle of the run, SWALR, update_bn at the end (a pass in train
mode without grad, on purpose), then the evaluation."""

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset
from weights import fingerprint

torch.manual_seed(18)
x = torch.randn(384, 10)
y = (x @ torch.randn(10, 3)).argmax(1)
loader = DataLoader(TensorDataset(x[:320], y[:320]), batch_size=32, shuffle=True)
model = nn.Sequential(nn.Linear(10, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
swa_model = AveragedModel(model)
scheduler = CosineAnnealingLR(optimizer, T_max=8)
swa_start = 5
swa_scheduler = SWALR(optimizer, swa_lr=0.05, anneal_epochs=2)

for epoch in range(8):
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(xb), yb)
        loss.backward()
        optimizer.step()
    if epoch > swa_start:
        swa_model.update_parameters(model)
        swa_scheduler.step()
    else:
        scheduler.step()
    print(epoch, loss.item(), optimizer.param_groups[0]["lr"])

update_bn(loader, swa_model)
swa_model.eval()
with torch.no_grad():
    acc = (swa_model(x[320:]).argmax(1) == y[320:]).float().mean()
print("swa accuracy", acc.item())
print(fingerprint(model, swa_model))
