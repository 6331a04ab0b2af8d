"""A detector-like model: a dict of tensors in and out, losses kept in a dict and summed, an output
that is only logged, a model that returns its losses in training and its predictions in eval."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(3, 8, 3, padding=1), act=nn.ReLU(), pool=nn.AvgPool2d(2))
        )
        self.classify, self.boxes = nn.Conv2d(8, 2, 1), nn.Conv2d(8, 4, 1)

    def forward(self, batch):
        features = self.backbone(batch["image"])
        logits, boxes = self.classify(features), self.boxes(features)
        if not self.training:
            return {"scores": logits.softmax(1)[:, 1], "boxes": boxes}
        positive = batch["label"] == 1
        box_loss = (boxes - batch["box"]).abs().mean(1)
        return {
            "loss_cls": F.cross_entropy(logits, batch["label"]),
            "loss_box": (box_loss * positive).sum() / positive.sum().clamp(min=1),
            "stats": {"mean_logit": logits.mean(), "positives": positive.sum()},
        }


def make(n):
    image = torch.randn(n, 3, 8, 8)
    pooled = F.avg_pool2d(image, 2)
    label = (pooled[:, 0] > 0.1).long()
    return {
        "image": image,
        "label": label,
        "box": pooled.sum(1, keepdim=True).expand(-1, 4, -1, -1),
    }


torch.manual_seed(74)
model = Detector()
params = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=5e-4)
logged = []
for epoch in range(3):
    model.train()
    for _ in range(6):
        out = model(make(16))
        losses = {k: v for k, v in out.items() if k.startswith("loss")}
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        logged.append(
            {k: v.item() for k, v in losses.items()} | {"m": float(out["stats"]["mean_logit"])}
        )
    model.eval()
    with torch.inference_mode():
        result = model({"image": torch.randn(4, 3, 8, 8)})
    print(epoch, logged[-1], result["scores"].mean().item())
print(fingerprint(model))
