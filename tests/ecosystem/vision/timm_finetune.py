"""A timm ResNet with timm's own optimizer, schedule, mixup and EMA."""
# trains: conv1.0.weight, fc.bias

import timm
import torch
from timm.data import Mixup
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=4, drop_rate=0.1)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05)
    mixup = Mixup(mixup_alpha=0.2, num_classes=4, label_smoothing=0.1)
    criterion = SoftTargetCrossEntropy()
    ema = ModelEmaV3(model, decay=0.9)
    scheduler = CosineLRScheduler(optimizer, t_initial=2, warmup_t=1, warmup_lr_init=1e-5)
    x, y = torch.randn(32, 3, 32, 32), torch.randint(0, 4, (32,))
    data = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, drop_last=True)
    for epoch in range(2):
        model.train()
        for images, targets in data:
            images, targets = mixup(images, targets)
            loss = criterion(model(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ema.update(model)
        scheduler.step(epoch + 1)
        model.eval()
        with torch.no_grad():
            print(model(x[:8]).argmax(1).shape, ema.module(x[:8]).shape)


if __name__ == "__main__":
    main()
