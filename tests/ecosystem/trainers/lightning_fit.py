"""A LightningModule, trained and validated for two epochs by `Trainer.fit`."""
# trains: net.0.weight, net.1.weight, net.4.bias

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
        )
        self.loss = nn.CrossEntropyLoss()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        x, y = batch
        loss = self.loss(self(x), y)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], number: int) -> None:
        x, y = batch
        scores = self(x)
        self.log("val_loss", self.loss(scores, y), prog_bar=True)
        self.log("val_accuracy", (scores.argmax(1) == y).float().mean())

    def configure_optimizers(self) -> dict[str, object]:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def loader(seed: int, shuffle: bool) -> DataLoader[tuple[torch.Tensor, ...]]:
    drawn = torch.Generator().manual_seed(seed)
    x = torch.randn(96, 8, generator=drawn)
    return DataLoader(TensorDataset(x, x[:, :3].argmax(1)), batch_size=16, shuffle=shuffle)


def main() -> None:
    L.seed_everything(0)
    model = Classifier()
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    trainer.fit(model, loader(0, True), loader(1, False))


if __name__ == "__main__":
    main()
