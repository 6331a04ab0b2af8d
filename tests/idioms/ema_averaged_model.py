"""EMA by AveragedModel with get_ema_multi_avg_fn and buffers, evaluated after every epoch while
the live model stays in train mode and is never evaluated."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from weights import fingerprint


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv1d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.stem(x))).mean(-1))


def evaluate(model, x, y):
    with torch.inference_mode():
        logits = model(x)
    return (logits.argmax(-1) == y).float().mean().item()


torch.manual_seed(19)
x = torch.randn(300, 1, 20).cumsum(-1)
y = (x[:, 0, -1] > 0).long()
net = Net().train()
ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.95), use_buffers=True)
ema.eval()
opt = torch.optim.AdamW(net.parameters(), lr=3e-3)
for epoch in range(4):
    for i in torch.randperm(240).split(24):
        loss = nn.functional.cross_entropy(net(x[i]), y[i], label_smoothing=0.1)
        loss.backward()
        opt.step()
        opt.zero_grad()
        ema.update_parameters(net)
    print(epoch, loss.item(), evaluate(ema, x[240:], y[240:]))
print(fingerprint(net, ema))
