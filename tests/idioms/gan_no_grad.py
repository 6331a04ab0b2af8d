"""GAN in a class: fakes for the discriminator are made under no_grad, several critic steps."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Generator(nn.Module):
    def __init__(self, z=6, out=12):
        super().__init__()
        self.fc1 = nn.Linear(z, 32)
        self.bn = nn.BatchNorm1d(32)
        self.fc2 = nn.Linear(32, out)

    def forward(self, z):
        return self.fc2(F.relu(self.bn(self.fc1(z))))


class Discriminator(nn.Module):
    def __init__(self, inp=12):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(inp, 32), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(32, 1)
        )

    def forward(self, x):
        return self.net(x)


class Trainer:
    def __init__(self):
        self.g, self.d = Generator(), Discriminator()
        self.opt_g = torch.optim.Adam(self.g.parameters(), 1e-3)
        self.opt_d = torch.optim.RMSprop(self.d.parameters(), 1e-3)
        self.bce = nn.BCEWithLogitsLoss()

    def step_d(self, real):
        self.opt_d.zero_grad()
        with torch.no_grad():
            fake = self.g(torch.randn(len(real), 6))
        scores = self.d(torch.cat([real, fake]))
        target = torch.cat([torch.ones(len(real), 1), torch.zeros(len(fake), 1)])
        loss = self.bce(scores, target)
        loss.backward()
        self.opt_d.step()
        return loss.item()

    def step_g(self, n):
        for p in self.d.parameters():
            p.requires_grad = False
        self.opt_g.zero_grad()
        fake = self.g(torch.randn(n, 6))
        loss = self.bce(self.d(fake), torch.ones(n, 1))
        loss.backward()
        self.opt_g.step()
        for p in self.d.parameters():
            p.requires_grad = True
        return loss.item()


def main():
    torch.manual_seed(2)
    trainer = Trainer()
    real = torch.randn(512, 12) * 0.5 + 1
    for it in range(30):
        for _ in range(3):
            loss_d = trainer.step_d(real[torch.randint(0, 512, (32,))])
        loss_g = trainer.step_g(32)
        if it % 10 == 0:
            print(it, loss_d, loss_g)
    print(fingerprint(trainer.g, trainer.d))


if __name__ == "__main__":
    main()
