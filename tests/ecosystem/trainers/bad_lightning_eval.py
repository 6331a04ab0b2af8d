"""A LightningModule that looks at its own accuracy in eval mode and stays there."""

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        x, y = batch
        if number == 0:
            self.log("accuracy", self.accuracy(x, y))
        scores = self.net(x)  # SL101
        return nn.functional.cross_entropy(scores, y)

    def accuracy(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.net.eval()
        with torch.no_grad():
            return (self.net(x).argmax(1) == y).float().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def main() -> None:
    L.seed_everything(0)
    x = torch.randn(96, 8)
    data = DataLoader(TensorDataset(x, x[:, :3].argmax(1)), batch_size=16, shuffle=True)
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Classifier(), data)


if __name__ == "__main__":
    main()
