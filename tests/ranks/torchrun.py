"""Two ranks under torchrun: DDP, ZeroRedundancyOptimizer, checkpointing, accumulation, FSDP2."""

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.block = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(checkpoint(self.block, self.first(x), use_reentrant=False))


def zero(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    model = DistributedDataParallel(Net())
    optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam, lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return loss


def accumulate(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    model = DistributedDataParallel(Net())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        with model.no_sync():
            (cross_entropy(model(x[:8]), y[:8]) / 2).backward()
        loss = cross_entropy(model(x[8:]), y[8:]) / 2
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return loss


def sharded(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    model = Net()
    fully_shard(model.block)
    fully_shard(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(8):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        model(x)
    return loss


def main() -> None:
    dist.init_process_group("gloo")
    torch.manual_seed(dist.get_rank())
    x = torch.randn(16, 8)
    y = (x.sum(1) > 0).long()
    losses = [kind(x, y).item() for kind in (zero, accumulate, sharded)]
    if dist.get_rank() == 0:
        print([round(loss, 6) for loss in losses])
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
