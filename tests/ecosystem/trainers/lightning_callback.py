"""The Lightning callback: epochs and stages on the timeline, and a fit that a finding ends."""
# trains: net.weight

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from steplens.adapters.lightning import StepLens


class Classifier(L.LightningModule):
    def __init__(self, forgetful: bool = False) -> None:
        super().__init__()
        self.net = nn.Linear(8, 3)
        self.forgetful = forgetful

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], number: int) -> None:
        self.log("loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def optimizer_zero_grad(self, epoch, batch, optimizer) -> None:
        if not self.forgetful:
            optimizer.zero_grad()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-2)


def fit(model: L.LightningModule, callback: StepLens) -> L.Trainer:
    x = torch.randn(64, 8)
    data = TensorDataset(x, x[:, :3].argmax(1))
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    trainer.fit(model, DataLoader(data, batch_size=16, shuffle=True), DataLoader(data, 16))
    return trainer


def main() -> None:
    L.seed_everything(0)
    callback = StepLens(stop_on="error")
    trainer = fit(Classifier(), callback)
    marks = [each.text for each in callback.report.timeline.events if hasattr(each, "text")]
    assert marks == [
        "sanity check",
        "epoch 1, training",
        "epoch 1, validation",
        "epoch 2, training",
        "epoch 2, validation",
    ], marks
    assert trainer.global_step == 8


if __name__ == "__main__":
    main()
