"""GAN with one fake per iteration, generator first (PyTorch-GAN style): the generator's loss runs
through the discriminator, whose leftovers are cleared before its own backward."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(3)
generator = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 10))
discriminator = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 1), nn.Sigmoid())
adversarial_loss = torch.nn.BCELoss()
optimizer_G = torch.optim.Adam(generator.parameters(), lr=0.002, betas=(0.5, 0.999))
optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=0.002, betas=(0.5, 0.999))
images = torch.rand(320, 10)

for epoch in range(3):
    for i, real_imgs in enumerate(images.split(32)):
        valid = torch.ones(real_imgs.size(0), 1)
        fake = torch.zeros(real_imgs.size(0), 1)

        # -----------------
        #  Train Generator
        # -----------------
        optimizer_G.zero_grad()
        z = torch.randn(real_imgs.shape[0], 4)
        gen_imgs = generator(z)
        g_loss = adversarial_loss(discriminator(gen_imgs), valid)
        g_loss.backward()
        optimizer_G.step()

        # ---------------------
        #  Train Discriminator
        # ---------------------
        optimizer_D.zero_grad()
        real_loss = adversarial_loss(discriminator(real_imgs), valid)
        fake_loss = adversarial_loss(discriminator(gen_imgs.detach()), fake)
        d_loss = (real_loss + fake_loss) / 2
        d_loss.backward()
        optimizer_D.step()
    print(f"[Epoch {epoch}] [D loss: {d_loss.item():.6f}] [G loss: {g_loss.item():.6f}]")
print(fingerprint(generator, discriminator))
