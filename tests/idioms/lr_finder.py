"""An LR range test before the training: states of model and optimizer are saved by deepcopy, the
rate grows until the loss explodes, then both are loaded back."""

import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from weights import fingerprint


class LRFinder:
    def __init__(self, model, optimizer, criterion):
        self.model, self.optimizer, self.criterion = model, optimizer, criterion
        self.saved = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())

    def range_test(self, loader, start=1e-5, end=5.0, num_iter=30):
        history, best, it = [], None, iter(loader)
        for group in self.optimizer.param_groups:
            group["lr"] = start
        gamma = (end / start) ** (1 / num_iter)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, gamma)
        self.model.train()
        for _ in range(num_iter):
            try:
                x, y = next(it)
            except StopIteration:
                it = iter(loader)
                x, y = next(it)
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            history.append((scheduler.get_last_lr()[0], loss.item()))
            scheduler.step()
            best = loss.item() if best is None else min(best, loss.item())
            if loss.item() > 5 * best:
                break
        return history

    def reset(self):
        self.model.load_state_dict(self.saved[0])
        self.optimizer.load_state_dict(self.saved[1])


torch.manual_seed(52)
x = torch.randn(256, 10)
y = x[:, :4].argmax(1)
loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
finder = LRFinder(model, optimizer, criterion)
history = finder.range_test(loader)
finder.reset()
lr = min(history, key=lambda pair: pair[1])[0] / 10
for group in optimizer.param_groups:
    group["lr"] = lr
for epoch in range(4):
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
    print(epoch, lr, loss.item())
print(fingerprint(model))
