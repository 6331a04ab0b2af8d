"""SL703 ranks-read-alike, on two ranks. `# SL703` marks the lines at which the finding must point.

Each function trains a model of its own. Given a folder and names, only these run.
"""

import sys

import torch
import torch.distributed as dist
from torch import multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


def table():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 6, generator=generator)
    return TensorDataset(x, x.sum(1, keepdim=True))


def train(loader, evaluation=None, epochs=3):
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Linear(6, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(epochs):
        if isinstance(loader.sampler, DistributedSampler):
            loader.sampler.set_epoch(_)
        for x, y in loader:
            optimizer.zero_grad()
            (model(x) - y).pow(2).mean().backward()
            optimizer.step()
        for x, _ in evaluation or ():
            with torch.no_grad():
                model.module(x)


def bad_shuffled_by_one_seed():
    torch.manual_seed(0)
    train(DataLoader(table(), batch_size=8, shuffle=True))  # SL703


def bad_not_shuffled():
    train(DataLoader(table(), batch_size=8))  # SL703


def fine_sampler():
    data = table()
    train(DataLoader(data, batch_size=8, sampler=DistributedSampler(data)))


def bad_shard_of_one_rank():
    data = table()
    sampler = DistributedSampler(data, num_replicas=dist.get_world_size(), rank=0)
    train(DataLoader(data, batch_size=8, sampler=sampler))  # SL703


def bad_shards_of_different_orders():
    data = table()
    sampler = DistributedSampler(data, seed=dist.get_rank())  # SL703
    train(DataLoader(data, batch_size=8, sampler=sampler))


def fine_shards_by_a_seed_of_ones_own():
    data = table()
    train(DataLoader(data, batch_size=8, sampler=DistributedSampler(data, seed=7)))


def fine_shards_in_another_order():
    data = table()
    rank = 1 - dist.get_rank()
    train(DataLoader(data, batch_size=8, sampler=DistributedSampler(data, 2, rank)))


def fine_ranks_of_one_replica():
    data = table()
    train(DataLoader(data, batch_size=8, sampler=DistributedSampler(data, 1, 0)))


def fine_shard_of_each_rank():
    x, y = table().tensors
    rank = dist.get_rank()
    train(DataLoader(TensorDataset(x[rank::2], y[rank::2]), batch_size=8))


def fine_evaluated_on_all_of_it():
    data = table()
    loader = DataLoader(data, batch_size=8, sampler=DistributedSampler(data))
    train(loader, DataLoader(data, batch_size=8))


def rank_main(rank: int, store: str, names: list[str]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    for name, function in list(globals().items()):
        if name.partition("_")[0] in ("bad", "fine") and (not names or name in names):
            function()
    dist.destroy_process_group()


if __name__ == "__main__":
    multiprocessing.spawn(rank_main, (f"{sys.argv[1]}/store", sys.argv[2:]), nprocs=2)
