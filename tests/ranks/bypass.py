"""SL701 wrapper-bypassed, on two ranks. `# SL701` marks the lines at which the finding must point.

Each function trains a model of its own. Given a folder and names, only these run.
"""

import sys
from contextlib import nullcontext

import torch
import torch.distributed as dist
from torch import multiprocessing, nn
from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
from torch.nn.parallel import DistributedDataParallel


def made(seed: int = 0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    model = DistributedDataParallel(net)
    torch.manual_seed(dist.get_rank())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    return model, optimizer, nn.CrossEntropyLoss()


def batches(count: int = 5):
    for _ in range(count):
        x = torch.randn(16, 6)
        yield x, (x.sum(1) > 0).long()


def bad_called_through_module():
    model, optimizer, criterion = made()
    for x, y in batches():
        optimizer.zero_grad()
        criterion(model.module(x), y).backward()  # SL701
        optimizer.step()


def bad_second_loss_through_module():
    """The wrapper averages what the first backward left; the second adds each rank's own."""
    model, optimizer, criterion = made()
    for x, y in batches(8):
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        noisy = model.module(x + 0.1 * torch.randn_like(x))  # SL701
        (0.5 * criterion(noisy, y)).backward()
        optimizer.step()


def fine_second_loss_through_module_first():
    """The wrapper averages all that the gradients hold when its own backward ends."""
    model, optimizer, criterion = made()
    for x, y in batches(8):
        optimizer.zero_grad()
        noisy = model.module(x + 0.1 * torch.randn_like(x))
        (0.5 * criterion(noisy, y)).backward()
        criterion(model(x), y).backward()
        optimizer.step()


def fine_both_losses_in_one_backward():
    model, optimizer, criterion = made()
    for x, y in batches(8):
        optimizer.zero_grad()
        noisy = model.module(x + 0.1 * torch.randn_like(x))
        (criterion(model(x), y) + 0.5 * criterion(noisy, y)).backward()
        optimizer.step()


class WithLoss(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, x, y):
        return self.criterion(self.model(x), y)


def bad_called_through_another_holder():
    """The module with the loss was given the network, not the wrapper."""
    model, optimizer, _ = made()
    task = WithLoss(model.module)
    for x, y in batches():
        optimizer.zero_grad()
        task(x, y).backward()  # SL701
        optimizer.step()


def fine_held_by_another_for_evaluation():
    model, optimizer, criterion = made()
    task = WithLoss(model.module)
    for x, y in batches():
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
        with torch.no_grad():
            task.eval()(x, y)
        task.train()


def fine_wrapper_within_the_holder():
    model, optimizer, _ = made()
    task = WithLoss(model)
    for x, y in batches():
        optimizer.zero_grad()
        task(x, y).backward()
        optimizer.step()


def fine_holder_calls_the_wrapper_it_hides():
    model, optimizer, _ = made()
    task = WithLoss(model.module)
    task.forward = lambda x, y: task.criterion(model(x), y)
    for number, (x, y) in enumerate(batches(8)):
        with model.no_sync() if number % 2 == 0 else nullcontext():
            (task(x, y) / 2).backward()
        if number % 2:
            optimizer.step()
            optimizer.zero_grad()


def bad_loss_averaged_for_the_log():
    model, optimizer, criterion = made()
    for x, y in batches():
        optimizer.zero_grad()
        loss = criterion(model.module(x), y)  # SL701
        loss.backward()
        shown = loss.detach().clone()
        dist.all_reduce(shown)
        optimizer.step()


def bad_evaluated_through_the_wrapper():
    model, optimizer, criterion = made()
    plain = model.module
    for x, y in batches():
        model.train()
        optimizer.zero_grad()
        criterion(plain(x), y).backward()  # SL701
        optimizer.step()
        model.eval()
        with torch.no_grad():
            model(x)


def bad_from_some_step_on():
    """In a no_sync block that should have ended: beyond the window, in rounds that are counted."""
    model, optimizer, criterion = made()
    for number, (x, y) in enumerate(batches(60)):
        optimizer.zero_grad()
        with model.no_sync() if number >= 40 else nullcontext():
            criterion(model(x), y).backward()  # SL701
        optimizer.step()


def fine_many_steps_of_two_batches():
    model, optimizer, criterion = made()
    for number, (x, y) in enumerate(batches(80)):
        with model.no_sync() if number % 2 == 0 else nullcontext():
            (criterion(model(x), y) / 2).backward()
        if number % 2:
            optimizer.step()
            optimizer.zero_grad()


def bad_scaled_clipped_and_logged():
    model, optimizer, criterion = made()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for x, y in batches():
        optimizer.zero_grad()
        loss = criterion(model.module(x), y)  # SL701
        scaler.scale(loss).backward()
        shown = loss.detach().clone()
        dist.all_reduce(shown)
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        scaler.step(optimizer)
        scaler.update()


def bad_every_backward_under_no_sync():
    model, optimizer, criterion = made()
    for _ in range(4):
        optimizer.zero_grad()
        for x, y in batches(2):
            with model.no_sync():
                loss = criterion(model(x), y) / 2  # SL701
                loss.backward()
        optimizer.step()


def bad_averaged_with_the_first_batch_alone():
    model, optimizer, criterion = made()
    for number, (x, y) in enumerate(batches(8)):
        with nullcontext() if number % 2 == 0 else model.no_sync():
            loss = criterion(model(x), y) / 2  # SL701
            loss.backward()
        if number % 2:
            optimizer.step()
            optimizer.zero_grad()


def fine_another_loss_of_a_part_that_no_rank_shares():
    model, optimizer, criterion = made()
    own = nn.Linear(2, 2)
    optimizer.add_param_group({"params": list(own.parameters())})
    for x, y in batches(6):
        optimizer.zero_grad()
        out = model(x)
        criterion(out, y).backward()
        criterion(own(out.detach()), y).backward()
        optimizer.step()


def bad_flag_set_after_the_forward():
    model, optimizer, criterion = made()
    model.require_backward_grad_sync = False
    for _ in range(5):
        optimizer.zero_grad()
        shown = torch.zeros(())
        for number, (x, y) in enumerate(batches(2)):
            loss = criterion(model(x), y) / 2  # SL701
            shown += loss.detach()
            model.require_backward_grad_sync = number == 1
            loss.backward()
        dist.all_reduce(shown)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        model.require_backward_grad_sync = False


def good_called_through_the_wrapper():
    model, optimizer, criterion = made()
    for x, y in batches():
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()


def fine_evaluated_through_module():
    model, optimizer, criterion = made()
    for x, y in batches():
        model.train()
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            model.module(x)


def fine_accumulated_under_no_sync():
    model, optimizer, criterion = made()
    for _ in range(3):
        optimizer.zero_grad()
        with model.no_sync():
            for x, y in batches(2):
                (criterion(model(x), y) / 3).backward()
        for x, y in batches(1):
            (criterion(model(x), y) / 3).backward()
        optimizer.step()


def fine_forward_method_of_the_wrapper():
    model, optimizer, criterion = made()
    for x, y in batches():
        optimizer.zero_grad()
        criterion(model.forward(x), y).backward()
        optimizer.step()


def fine_gradients_averaged_by_hand():
    model, optimizer, criterion = made()
    for x, y in batches():
        optimizer.zero_grad()
        criterion(model.module(x), y).backward()
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad.data)
            parameter.grad.data /= dist.get_world_size()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()


def fine_parameters_averaged_by_hand():
    model, optimizer, criterion = made()
    for number, (x, y) in enumerate(batches(8)):
        optimizer.zero_grad()
        criterion(model.module(x), y).backward()
        optimizer.step()
        if number % 4 == 3:
            for parameter in model.parameters():
                dist.all_reduce(parameter.data)
                parameter.data /= dist.get_world_size()


def fine_local_steps_through_the_wrapper():
    model, optimizer, criterion = made()
    for number, (x, y) in enumerate(batches(9)):
        optimizer.zero_grad()
        with model.no_sync():
            criterion(model(x), y).backward()
        optimizer.step()
        if number % 4 == 3:
            for parameter in model.parameters():
                dist.all_reduce(parameter.data)
                parameter.data /= dist.get_world_size()


def fine_local_steps_whose_losses_are_averaged():
    model, optimizer, criterion = made()
    for number, (x, y) in enumerate(batches(9)):
        optimizer.zero_grad()
        with model.no_sync():
            loss = criterion(model(x), y)
            loss.backward()
        shown = loss.detach().clone()
        dist.all_reduce(shown)
        optimizer.step()
        if number % 4 == 3:
            for parameter in model.parameters():
                dist.all_reduce(parameter.data)
                parameter.data /= dist.get_world_size()


def fine_flag_set_before_the_forward():
    model, optimizer, criterion = made()
    for _ in range(5):
        optimizer.zero_grad()
        shown = torch.zeros(())
        for number, (x, y) in enumerate(batches(2)):
            model.require_backward_grad_sync = number == 1
            loss = criterion(model(x), y) / 2
            shown += loss.detach()
            loss.backward()
        dist.all_reduce(shown)
        optimizer.step()


def fine_gradients_averaged_by_hand_under_no_sync():
    model, optimizer, criterion = made()
    for x, y in batches():
        optimizer.zero_grad()
        with model.no_sync():
            criterion(model(x), y).backward()
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()
        optimizer.step()


def fine_parameters_averaged_by_torch():
    model, optimizer, criterion = made()
    averager = PeriodicModelAverager(period=2, warmup_steps=0)
    for x, y in batches(8):
        optimizer.zero_grad()
        criterion(model.module(x), y).backward()
        optimizer.step()
        averager.average_parameters(model.parameters())


def fine_generator_through_the_module_of_the_discriminator():
    maker, critic = (
        DistributedDataParallel(nn.Linear(3, 6)),
        DistributedDataParallel(nn.Linear(6, 1)),
    )
    steps = [torch.optim.Adam(model.parameters()) for model in (maker, critic)]
    for x, _ in batches():
        steps[1].zero_grad()
        (critic(maker(torch.randn(16, 3)).detach()).mean() - critic(x).mean()).backward()
        steps[1].step()
        steps[0].zero_grad()
        critic.module(maker(torch.randn(16, 3))).mean().neg().backward()
        steps[0].step()


def fine_regularised_beside_the_wrapper():
    model, optimizer, criterion = made()
    for x, y in batches():
        optimizer.zero_grad()
        loss = criterion(model(x), y) + 0.1 * model.module[0](x).square().mean()
        loss.backward()
        optimizer.step()


def fine_closure():
    model, _, criterion = made()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)
    for x, y in batches(3):

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = criterion(model.forward(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)


def fine_group_of_one_rank():
    alone = [dist.new_group([rank]) for rank in range(2)][dist.get_rank()]
    net = nn.Linear(6, 2)
    model = DistributedDataParallel(net, process_group=alone)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for x, y in batches():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model.module(x), y).backward()
        optimizer.step()


def train(rank: int, folder: str, names: list[str]) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for name, function in list(globals().items()):
        if name.startswith(("bad_", "good_", "fine_")) and (not names or name in names):
            function()
    dist.destroy_process_group()


if __name__ == "__main__":
    folder, *names = sys.argv[1:]
    multiprocessing.start_processes(train, (folder, names), nprocs=2, start_method="fork")
