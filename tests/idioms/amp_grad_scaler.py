"""Mixed precision with a GradScaler on the CPU: unscale before clipping, a scheduler that waits for
skipped steps, one batch whose scaled gradients overflow on purpose."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(25)
x = 15 * torch.randn(512, 16)
y = (x @ torch.randn(16, 4)).argmax(1)
model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 0.2, 1.0, total_iters=10)
scaler = torch.amp.GradScaler(device="cpu", init_scale=2.0**127, growth_interval=20)

for epoch in range(3):
    running = 0.0
    for i in torch.randperm(512).split(64):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
            output = model(x[i])
            loss = nn.functional.cross_entropy(output, y[i])
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        before = scaler.get_scale()
        scaler.update()
        if before <= scaler.get_scale():
            scheduler.step()
        running += loss.item()
    print(epoch, running / 8, scaler.get_scale(), scheduler.get_last_lr())
print(fingerprint(model))
