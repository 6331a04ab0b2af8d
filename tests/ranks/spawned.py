"""Two ranks that the program starts itself; given `forgetful`, the second never clears, given
`idle`, it never steps."""

import os
import sys

import torch
import torch.distributed as dist
from torch import multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel


def train(rank: int, folder: str, words: list[str]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.randn(32, 8)
    y = (x.sum(1) > 0).long()
    for _ in range(6):
        if rank == 0 or "forgetful" not in words:
            optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rank::2]), y[rank::2])
        loss.backward()
        if rank == 0 or "idle" not in words:
            optimizer.step()  # SL201 or SL204, on rank 1
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    method, folder, *words = sys.argv[1:]
    multiprocessing.start_processes(train, (folder, words), nprocs=2, start_method=method)
    print("joined", os.path.basename(__file__))
