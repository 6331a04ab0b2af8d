"""An Accelerate loop: prepared objects, gradient accumulation, clipping, gathered metrics."""
# trains: 0.weight, 3.bias

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    x = torch.randn(128, 8)
    y = (x.sum(1) > 0).long()
    train = DataLoader(TensorDataset(x[:96], y[:96]), batch_size=8, shuffle=True)
    held_out = DataLoader(TensorDataset(x[96:], y[96:]), batch_size=8)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.95**step)
    model, optimizer, train, held_out, scheduler = accelerator.prepare(
        model, optimizer, train, held_out, scheduler
    )
    for epoch in range(3):
        model.train()
        for inputs, targets in train:
            with accelerator.accumulate(model):
                loss = nn.functional.cross_entropy(model(inputs), targets)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
        model.eval()
        right = 0
        for inputs, targets in held_out:
            with torch.no_grad():
                guessed = model(inputs).argmax(1)
            guessed, targets = accelerator.gather_for_metrics((guessed, targets))
            right += int((guessed == targets).sum())
        accelerator.print(epoch, right)


if __name__ == "__main__":
    main()
