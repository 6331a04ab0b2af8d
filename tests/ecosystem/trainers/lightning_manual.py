"""A GAN in Lightning's manual optimization: two optimizers, toggled by hand."""
# trains: generator.0.weight, discriminator.2.bias

import lightning as L
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.utils.data import DataLoader, TensorDataset


class Gan(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def training_step(self, batch: list[torch.Tensor], number: int) -> None:
        (real,) = batch
        g, d = self.optimizers()
        noise = torch.randn(len(real), 4)

        self.toggle_optimizer(g)
        fooled = self.discriminator(self.generator(noise))
        g_loss = bce(fooled, torch.ones_like(fooled))
        g.zero_grad()
        self.manual_backward(g_loss)
        g.step()
        self.untoggle_optimizer(g)

        self.toggle_optimizer(d)
        told = self.discriminator(real)
        fake = self.discriminator(self.generator(noise).detach())
        d_loss = bce(told, torch.ones_like(told)) + bce(fake, torch.zeros_like(fake))
        d.zero_grad()
        self.manual_backward(d_loss)
        d.step()
        self.untoggle_optimizer(d)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.Adam(self.generator.parameters(), lr=1e-3, betas=(0.5, 0.9)),
            torch.optim.Adam(self.discriminator.parameters(), lr=1e-3, betas=(0.5, 0.9)),
        ]


def main() -> None:
    L.seed_everything(0)
    data = TensorDataset(torch.randn(128, 2) * 0.5 + 1)
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Gan(), DataLoader(data, batch_size=16, shuffle=True))


if __name__ == "__main__":
    main()
