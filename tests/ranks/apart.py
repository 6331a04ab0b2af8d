"""SL704 ranks-apart, on two ranks. `# SL704` marks the lines at which the finding must point.

Each function trains a model of its own. Given a folder and names, only these run.
"""

import sys

import torch
import torch.distributed as dist
from torch import multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


def build():
    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1)))
    return model, torch.optim.SGD(model.parameters(), lr=0.05)


def batches(steps=48):
    generator = torch.Generator().manual_seed(dist.get_rank())
    for _ in range(steps):
        x = torch.randn(16, 6, generator=generator)
        yield x, x.sum(1, keepdim=True)


def learn(model, optimizer, x, y):
    optimizer.zero_grad()
    (model(x) - y).pow(2).mean().backward()


def bad_weights_loaded_by_the_first_rank():
    model, optimizer = build()
    torch.manual_seed(1)
    if dist.get_rank() == 0:
        model.module.load_state_dict(
            {k: torch.randn_like(v) for k, v in model.module.state_dict().items()}
        )
    for x, y in batches():
        learn(model, optimizer, x, y)
        optimizer.step()  # SL704


def bad_scheduled_by_the_first_rank():
    model, optimizer = build()
    for x, y in batches():
        learn(model, optimizer, x, y)
        optimizer.step()  # SL704
        if dist.get_rank() == 0:
            optimizer.param_groups[0]["lr"] *= 0.8


def bad_unfrozen_once_it_is_wrapped():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    net[0].requires_grad_(False)
    model = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for number, (x, y) in enumerate(batches()):
        if number == 12:
            net[0].requires_grad_(True)
        learn(model, optimizer, x, y)
        optimizer.step()  # SL704


def fine_wrapped_again_once_it_is_unfrozen():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    net[0].requires_grad_(False)
    model = DistributedDataParallel(net)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for number, (x, y) in enumerate(batches()):
        if number == 12:
            net[0].requires_grad_(True)
            model = DistributedDataParallel(net)
        learn(model, optimizer, x, y)
        optimizer.step()


class Proxies(nn.Module):
    def __init__(self):
        super().__init__()
        self.centre = nn.Parameter(torch.ones(1))

    def forward(self, x, y):
        return (x - self.centre * y).pow(2).mean()


def bad_loss_with_parameters_of_its_own():  # a note
    model, optimizer = build()
    criterion = Proxies()  # SL704
    optimizer.add_param_group({"params": list(criterion.parameters())})
    for x, y in batches():
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()


def bad_temperature_of_no_module():  # a note
    model, optimizer = build()
    scale = nn.Parameter(torch.ones(1))
    optimizer.add_param_group({"params": [scale]})
    for x, y in batches():
        optimizer.zero_grad()
        (model(x) * scale.exp() - y).pow(2).mean().backward()
        optimizer.step()  # SL704


def fine_loss_with_parameters_wrapped_too():
    model, optimizer = build()
    criterion = DistributedDataParallel(Proxies())
    optimizer.add_param_group({"params": list(criterion.parameters())})
    for x, y in batches():
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()


def fine_loss_whose_parameters_are_averaged_by_hand():
    model, optimizer = build()
    criterion = Proxies()
    optimizer.add_param_group({"params": list(criterion.parameters())})
    for x, y in batches():
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        dist.all_reduce(criterion.centre.grad)
        criterion.centre.grad /= dist.get_world_size()
        optimizer.step()


def fine_the_same_on_both():
    model, optimizer = build()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 8)
    for x, y in batches():
        learn(model, optimizer, x, y)
        optimizer.step()
        scheduler.step()


def fine_a_head_of_its_own():
    model, optimizer = build()
    torch.manual_seed(dist.get_rank())
    head = nn.Linear(1, 1)
    optimizer.add_param_group({"params": list(head.parameters())})
    for x, y in batches():
        optimizer.zero_grad()
        (head(model(x)) - y).pow(2).mean().backward()
        optimizer.step()


def by_hand(model, optimizer, x, y):
    optimizer.zero_grad()
    (model(x) - y).pow(2).mean().backward()
    for p in model.parameters():
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()


def bad_averaged_by_hand_from_different_starts():
    torch.manual_seed(dist.get_rank())
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches():
        by_hand(model, optimizer, x, y)
        optimizer.step()  # SL704


def fine_averaged_by_hand_from_one_start():
    torch.manual_seed(dist.get_rank())
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    for p in model.parameters():
        dist.broadcast(p.data, 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches():
        by_hand(model, optimizer, x, y)
        optimizer.step()


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


def bad_one_part_averaged_by_hand():
    torch.manual_seed(0)
    model = Parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches():
        optimizer.zero_grad()
        (model(x) - y).pow(2).mean().backward()
        for p in model.body.parameters():
            dist.all_reduce(p.grad)
            p.grad /= dist.get_world_size()
        optimizer.step()  # SL704


def shards():
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, x.sum(1, keepdim=True))
    return DataLoader(data, batch_size=10, sampler=DistributedSampler(data))


def bad_never_wrapped():
    torch.manual_seed(0)
    model = Parts()  # SL704
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in shards():
        learn(model, optimizer, x, y)
        optimizer.step()


def bad_never_wrapped_one_after_the_other():
    store = dist.distributed_c10d._get_default_store()
    if dist.get_rank():
        store.wait(["first"])
    torch.manual_seed(0)
    model = Parts()  # SL704
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in shards():
        learn(model, optimizer, x, y)
        optimizer.step()
    store.set("first", "done")


def fine_averaged_now_and_then():
    torch.manual_seed(0)
    model = Parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for number, (x, y) in enumerate(shards()):
        learn(model, optimizer, x, y)
        optimizer.step()
        if number == 15:
            for p in model.parameters():
                dist.all_reduce(p.data)
                p.data /= dist.get_world_size()


def fine_models_of_their_own_without_shards():
    torch.manual_seed(0)
    model = Parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches():
        learn(model, optimizer, x, y)
        optimizer.step()


def fine_models_of_their_own():
    torch.manual_seed(dist.get_rank())
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches():
        optimizer.zero_grad()
        (model(x) - y).pow(2).mean().backward()
        optimizer.step()


def rank_main(rank: int, store: str, names: list[str]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    for name, function in list(globals().items()):
        if name.partition("_")[0] in ("bad", "fine") and (not names or name in names):
            function()
    dist.destroy_process_group()


if __name__ == "__main__":
    multiprocessing.spawn(rank_main, (f"{sys.argv[1]}/store", sys.argv[2:]), nprocs=2)
