"""DDPM training of a small UNet by diffusers, with an EMA model and a sampled batch."""
# trains: conv_in.weight, down_blocks.0.resnets.0.conv1.weight

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    model = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=4,
        block_out_channels=(8, 8), down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    noise_scheduler = DDPMScheduler(num_train_timesteps=20)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images = DataLoader(TensorDataset(torch.rand(48, 1, 8, 8)), batch_size=8, shuffle=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, 2, 2 * len(images))
    ema = EMAModel(model.parameters(), decay=0.9)
    for epoch in range(2):
        model.train()
        for (clean,) in images:
            noise = torch.randn_like(clean)
            at = torch.randint(0, 20, (len(clean),))
            noisy = noise_scheduler.add_noise(clean, noise, at)
            loss = F.mse_loss(model(noisy, at).sample, noise)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            ema.step(model.parameters())
    model.eval()
    ema.store(model.parameters())
    ema.copy_to(model.parameters())
    with torch.no_grad():
        sample = torch.randn(2, 1, 8, 8)
        for at in noise_scheduler.timesteps[:3]:
            sample = noise_scheduler.step(model(sample, at).sample, at, sample).prev_sample
    ema.restore(model.parameters())
    print(sample.shape)


if __name__ == "__main__":
    main()
