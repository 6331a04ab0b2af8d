"""The same two calls on two processes, with a gradient that is shared, sharded, or neither.

The lab starts the processes itself; they speak gloo on the CPU. Several GPUs were not tried.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn, optim

from steplens.lab.base import claim
from steplens.lab.helpers import X, Y, cleared


@claim(
    "Under DDP `model.zero_grad()` and `optimizer.zero_grad()` clear the same on every rank.",
    number="cleared: by the model {by_model}, by the optimizer {by_optimizer}",
    holds=lambda by_model, by_optimizer: {*by_model, *by_optimizer} == {"2 of 2"},
    truth="DDP keeps whole parameters and whole gradients on each rank, and each call clears "
    "those of its own process. They differ for the same reason as on one process: other "
    "parameters.",
    note=13,
    ranks=2,
)
def ddp_clears_alike_on_every_rank():
    model = nn.parallel.DistributedDataParallel(nn.Linear(2, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    F.mse_loss(model(X), Y).backward()
    model.zero_grad()
    by_model = cleared(model.parameters())
    F.mse_loss(model(X), Y).backward()
    optimizer.zero_grad()
    return {"by_model": by_model, "by_optimizer": cleared(model.parameters())}


@claim(
    "Under DDP each rank keeps the gradient of its own batch.",
    number="gradient of its own batch {own}; kept by DDP {kept}",
    holds=lambda own, kept: own == kept,
    truth="`backward()` averages over the ranks before it returns, so every rank steps alike. "
    "The average is of means: a rank with fewer samples counts as much as the others.",
    ranks=2,
)
def ddp_keeps_each_ranks_gradient():
    x = X * (dist.get_rank() + 1)
    plain = nn.Linear(2, 1)
    nn.init.ones_(plain.weight), nn.init.zeros_(plain.bias)
    (own,) = torch.autograd.grad(plain(x).sum(), plain.weight)
    model = nn.parallel.DistributedDataParallel(plain)
    model(x).sum().backward()
    return {"own": own[0, 1].item(), "kept": plain.weight.grad[0, 1].item()}


@claim(
    "Under DDP it is enough that one rank clears its gradients.",
    number="gradient {first}; the next, with rank 1 not cleared, {second}",
    holds=lambda first, second: first == second,
    truth="`zero_grad()` acts on its own process only. What rank 1 still holds is averaged "
    "into everybody's next gradient. Every rank has to make the same calls.",
    note=13,
    ranks=2,
)
def one_rank_clears_for_all():
    model = nn.parallel.DistributedDataParallel(nn.Linear(2, 1))
    model(X).sum().backward()
    first = model.module.weight.grad[0, 1].item()
    if dist.get_rank() == 0:
        model.zero_grad()
    model(X).sum().backward()
    return {"first": first, "second": model.module.weight.grad[0, 1].item()}


@claim(
    "`ZeroRedundancyOptimizer.zero_grad()` clears the gradients of its own shard only.",
    number="cleared: {whole}; by the inner optimizer, `.optim`, {shard}",
    holds=lambda whole: all(each != "4 of 4" for each in whole),
    truth="It shards the state, not the gradients, and its `zero_grad()` clears all of them, "
    "as `model.zero_grad()` does. The inner optimizer, `.optim`, clears its shard and no more.",
    note=13,
    ranks=2,
)
def zero_redundancy_clears_its_shard_only():
    from torch.distributed.optim import ZeroRedundancyOptimizer

    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = ZeroRedundancyOptimizer(model.parameters(), optim.Adam, lr=0.1)
    F.mse_loss(model(X), Y).backward()
    optimizer.optim.zero_grad()
    shard = cleared(model.parameters())
    optimizer.zero_grad()
    return {"whole": cleared(model.parameters()), "shard": shard}


@claim(
    "Under FSDP2 the two calls clear the same shards on every rank.",
    number="cleared: by the model {by_model}, a later optimizer {by_optimizer}, an earlier "
    "{by_early}",
    only_if="the optimizer was made after `fully_shard`",
    holds=lambda by_model, by_optimizer: {*by_model, *by_optimizer} == {"2 of 2"},
    elsewhere=lambda by_early: set(by_early) == {"2 of 2"},
    truth="`fully_shard` puts sharded parameters in the place of the old ones. An optimizer "
    "made before holds the old ones: it clears nothing and trains nothing.",
    note=13,
    ranks=2,
)
def fsdp_clears_its_shards():
    from torch.distributed.fsdp import fully_shard

    model, found = nn.Linear(2, 4), {}
    early = optim.SGD(model.parameters(), lr=0.1)
    fully_shard(model, mesh=dist.init_device_mesh("cpu", (2,)))
    for call in (early, model, optim.SGD(model.parameters(), lr=0.1)):
        model(X).sum().backward()
        call.zero_grad()
        found[len(found)] = cleared(model.parameters())
    return {"by_early": found[0], "by_model": found[1], "by_optimizer": found[2]}
