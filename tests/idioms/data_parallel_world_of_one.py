"""DataParallel, then DistributedDataParallel in a gloo world of one, with no_sync accumulation and
the checkpoint taken from .module."""

import os
import tempfile

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler
from weights import fingerprint


def build():
    return nn.Sequential(nn.Linear(6, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 3))


def main():
    torch.manual_seed(48)
    x = torch.randn(192, 6)
    data = TensorDataset(x, x[:, :3].argmax(1))
    plain = nn.DataParallel(build())
    opt = torch.optim.SGD(plain.parameters(), lr=0.05)
    for xb, yb in DataLoader(data, batch_size=32, shuffle=True):
        opt.zero_grad()
        nn.functional.cross_entropy(plain(xb), yb).backward()
        opt.step()
    print("dp", fingerprint(plain.module))

    with tempfile.TemporaryDirectory() as folder:
        store = f"file://{os.path.join(folder, 'store')}"
        dist.init_process_group("gloo", init_method=store, rank=0, world_size=1)
        model = DDP(build())
        sampler = DistributedSampler(data, shuffle=True)
        loader = DataLoader(data, batch_size=16, sampler=sampler)
        opt = torch.optim.Adam(model.parameters(), lr=2e-3)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            model.train()
            for k, (xb, yb) in enumerate(loader):
                if k % 2 == 0:
                    with model.no_sync():
                        (nn.functional.cross_entropy(model(xb), yb) / 2).backward()
                    continue
                loss = nn.functional.cross_entropy(model(xb), yb) / 2
                loss.backward()
                opt.step()
                opt.zero_grad()
            model.eval()
            with torch.no_grad():
                hits = (model.module(x).argmax(1) == data.tensors[1]).float().mean()
            torch.save(model.module.state_dict(), os.path.join(folder, "last.pt"))
            print(epoch, loss.item(), hits.item())
        print("ddp", fingerprint(model.module))
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
