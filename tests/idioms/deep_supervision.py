"""Deep supervision: auxiliary heads at every depth while training, only the last one in
evaluation; the forward returns a list or a tensor by mode."""

import torch
from torch import nn
from weights import fingerprint


class DeepNet(nn.Module):
    def __init__(self, width=24, depth=3):
        super().__init__()
        self.inp = nn.Linear(10, width)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU())
            for _ in range(depth)
        )
        self.aux = nn.ModuleList(nn.Linear(width, 3) for _ in range(depth - 1))
        self.out = nn.Linear(width, 3)

    def forward(self, x):
        x = self.inp(x)
        outs = []
        for k, stage in enumerate(self.stages):
            x = stage(x)
            if self.training and k < len(self.aux):
                outs.append(self.aux[k](x))
        final = self.out(x)
        return [final, *outs] if self.training else final


torch.manual_seed(37)
x = torch.randn(300, 10)
y = x[:, :3].argmax(1)
model, ce = DeepNet(), nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
for epoch in range(4):
    model.train()
    for i in torch.randperm(240).split(40):
        outs = model(x[i])
        loss = sum(w * ce(o, y[i]) for w, o in zip((1.0, 0.4, 0.4), outs, strict=True))
        opt.zero_grad(set_to_none=False)
        loss.backward()
        opt.step()
    model.eval()
    with torch.no_grad():
        print(epoch, loss.item(), (model(x[240:]).argmax(1) == y[240:]).float().mean().item())
print(fingerprint(model))
