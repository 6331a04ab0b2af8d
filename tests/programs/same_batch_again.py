"""SL506 same-batch-again. `# SL506` marks the lines at which the finding must point."""

import itertools
import random

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset


def build(seed=None):
    if seed is not None:
        torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    return model, torch.optim.SGD(model.parameters(), lr=0.01)


def table(n=32):
    x = torch.randn(n, 4)
    return TensorDataset(x, x.sum(1, keepdim=True))


def update(model, optimizer, x, y):
    optimizer.zero_grad()
    (model(x) - y).pow(2).mean().backward()
    optimizer.step()


def bad_seed_reset_each_epoch():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8, shuffle=True)
    for _ in range(3):
        torch.manual_seed(7)  # SL506
        for x, y in loader:
            update(model, optimizer, x, y)


def bad_seed_reset_before_noise():
    model, optimizer = build()
    x, y = table().tensors
    for _ in range(4):
        torch.random.manual_seed(3)  # SL506
        update(model, optimizer, x + 0.1 * torch.randn_like(x), y)


def bad_seed_left_by_the_evaluation():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8, shuffle=True)

    def sample():
        torch.manual_seed(0)  # SL506
        model.eval()
        with torch.no_grad():
            model(torch.randn(4, 4))
        model.train()

    for _ in range(3):
        for x, y in loader:
            update(model, optimizer, x, y)
        sample()


def bad_python_seed():
    model, optimizer = build()
    x, y = table().tensors
    for _ in range(3):
        random.seed(5)  # SL506
        order = list(range(32))
        random.shuffle(order)
        for begin in range(0, 32, 8):
            chosen = order[begin : begin + 8]
            update(model, optimizer, x[chosen], y[chosen])


def bad_seed_in_the_dataset():
    class Noisy(TensorDataset):
        def __getitem__(self, i):
            torch.manual_seed(0)  # SL506
            x, y = super().__getitem__(i)
            return x + 0.1 * torch.randn(4), y

    model, optimizer = build()
    for x, y in DataLoader(Noisy(*table().tensors), batch_size=8):
        update(model, optimizer, x, y)


def bad_seed_at_each_sample_of_one_batch():
    class Noisy(TensorDataset):
        def __getitem__(self, i):
            torch.manual_seed(0)  # SL506
            x, y = super().__getitem__(i)
            return x + 0.1 * torch.randn(4), y

    model, optimizer = build()
    loader = DataLoader(Noisy(*table().tensors), batch_size=32)
    for _ in range(3):
        for x, y in loader:
            update(model, optimizer, x, y)


def fine_a_dataset_drawn_anew_in_each_pass():
    """A made-up dataset: the seed at its first item makes its samples the same in each pass."""

    class Drawn(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, i):
            if i == 0:
                torch.manual_seed(3)
            x = torch.randn(8, 4)
            return x, x.sum(1, keepdim=True)

    model, optimizer = build()
    loader = DataLoader(Drawn(), batch_size=None)
    for _ in range(4):
        for x, y in loader:
            update(model, optimizer, x, y)


def fine_a_stream_drawn_anew_in_each_pass():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            random.seed(3)
            for _ in range(32):
                x = torch.tensor([random.gauss(0, 1) for _ in range(4)])
                yield x, x.sum(0, keepdim=True)

    model, optimizer = build()
    loader = DataLoader(Stream(), batch_size=8)
    for _ in range(4):
        for x, y in loader:
            update(model, optimizer, x, y)


def bad_seed_reset_each_pass_over_a_stream_without_a_length():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield from table()

        def __len__(self):
            raise NotImplementedError

    model, optimizer = build()
    loader = DataLoader(Stream(), batch_size=8)
    for _ in range(3):
        torch.manual_seed(7)  # SL506
        for x, y in loader:
            update(model, optimizer, x + 0.1 * torch.randn(8, 4), y)


def bad_first_batch_only():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8)
    for _ in range(6):
        x, y = next(iter(loader))  # SL506
        update(model, optimizer, x, y)


def bad_first_batch_only_after_batches_of_a_class_that_refuses():
    class Pair:
        def __init__(self, rows):
            x, y = zip(*rows, strict=True)
            self.held = {"x": torch.stack(x), "y": torch.stack(y)}

        def __getattr__(self, name):
            return self.held[name]  # a KeyError, where there is none

    model, optimizer = build()
    for pair in DataLoader(table(), batch_size=8, collate_fn=Pair):
        update(model, optimizer, pair.x, pair.y)
    loader = DataLoader(table(), batch_size=8)
    for _ in range(6):
        x, y = next(iter(loader))  # SL506
        update(model, optimizer, x, y)


def bad_first_batch_of_loaders_made_anew():
    model, optimizer = build()
    data = table()

    def batch():
        return next(iter(DataLoader(data, batch_size=8)))  # SL506

    for _ in range(6):
        x, y = batch()
        update(model, optimizer, x, y)


def bad_first_batch_of_loaders_made_anew_in_a_long_run():
    model, optimizer = build()
    data = table()
    for step in range(80):
        x, y = next(iter(DataLoader(data, batch_size=8)))  # SL506
        update(model, optimizer, x, y)
        if step % 30 == 29:
            for x, y in DataLoader(data, batch_size=16):
                with torch.no_grad():
                    (model(x) - y).pow(2).mean().item()


def fine_first_batch_of_shuffling_loaders_made_anew():
    model, optimizer = build()
    data = table()
    for _ in range(6):
        x, y = next(iter(DataLoader(data, batch_size=8, shuffle=True)))
        update(model, optimizer, x, y)


def fine_first_batch_of_a_part_made_anew():
    model, optimizer = build()
    data = table()
    for _ in range(6):
        part = Subset(data, torch.randperm(32)[:16].tolist())
        x, y = next(iter(DataLoader(part, batch_size=8)))
        update(model, optimizer, x, y)


def fine_first_batches_of_two_domains_made_anew():
    model, optimizer = build()
    source, target = table(), table()
    for _ in range(6):
        x, y = next(iter(DataLoader(source, batch_size=8, shuffle=True)))
        z, _ = next(iter(DataLoader(target, batch_size=8)))
        update(model, optimizer, x + 0 * z, y)


def fine_a_batch_for_each_of_several_models():
    data = table()
    for _ in range(6):
        model, optimizer = build()
        for x, y in DataLoader(data, batch_size=16):
            update(model, optimizer, x, y)


def bad_generator_reset_each_epoch():
    """A note: the order may be meant."""
    model, optimizer = build()
    order = torch.Generator()
    loader = DataLoader(table(), batch_size=8, shuffle=True, generator=order)
    for _ in range(3):
        order.manual_seed(1)
        for x, y in loader:  # SL506
            update(model, optimizer, x, y)


def good_seeded_once():
    torch.manual_seed(7)
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8, shuffle=True)
    for _ in range(3):
        for x, y in loader:
            update(model, optimizer, x, y)


def fine_a_seed_for_each_epoch():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8, shuffle=True)
    for epoch in range(3):
        torch.manual_seed(7 + epoch)
        for x, y in loader:
            update(model, optimizer, x, y)


def fine_a_new_model_for_each_fold():
    for _ in range(3):
        model, optimizer = build(seed=0)
        loader = DataLoader(table(), batch_size=8, shuffle=True)
        for x, y in loader:
            update(model, optimizer, x, y)


def fine_nothing_drawn():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8)
    for _ in range(3):
        torch.manual_seed(0)
        for x, y in loader:
            update(model, optimizer, x, y)


def fine_evaluation_under_a_fork():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8, shuffle=True)
    for _ in range(3):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model.eval()
            with torch.no_grad():
                model(torch.randn(4, 4))
            model.train()
        for x, y in loader:
            update(model, optimizer, x, y)


def fine_fixed_projection_in_the_model():
    class Projected(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 1)

        def forward(self, x):
            torch.manual_seed(11)
            return self.layer(x @ torch.randn(4, 6))

    model = Projected()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, y in zip(torch.randn(4, 8, 4), torch.randn(4, 8, 1), strict=True):
        update(model, optimizer, x, y)


def bad_seed_in_a_forward_that_fixes_the_batches():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 1)

        def forward(self, x):
            torch.manual_seed(11)  # SL506
            return self.layer(x + 0.1 * torch.randn_like(x))

    model = Noisy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(4):
        update(model, optimizer, torch.randn(8, 4), torch.randn(8, 1))


def orders(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(n, generator=generator).split(8)


def bad_order_of_a_generator_made_anew():
    model, optimizer = build()
    x, y = table().tensors
    for _ in range(3):
        generator = torch.Generator().manual_seed(0)
        for part in torch.randperm(32, generator=generator).split(8):  # SL506
            update(model, optimizer, x[part], y[part])


def fine_order_of_a_generator_for_each_epoch():
    model, optimizer = build()
    x, y = table().tensors
    for epoch in range(3):
        for part in orders(32, epoch):
            update(model, optimizer, x[part], y[part])


def fine_same_part_evaluated_each_epoch():
    model, optimizer = build()
    x, y = table().tensors
    for _ in range(3):
        part = orders(32, 0)[0]
        with torch.no_grad():
            print((model(x[part]) - y[part]).abs().mean().item())
        for part in torch.randperm(32).split(8):
            update(model, optimizer, x[part], y[part])


def fine_perturbations_drawn_twice():
    """Both signs of one perturbation, another one at each step."""
    model, optimizer = build()
    x, y = table().tensors
    for step in range(4):
        for sign in (1, -1):
            torch.manual_seed(step)
            for parameter in model.parameters():
                parameter.data += sign * 1e-3 * torch.randn_like(parameter)
        update(model, optimizer, x, y)


def fine_a_seed_for_each_sample():
    class Noisy(TensorDataset):
        def __getitem__(self, i):
            torch.manual_seed(i)
            x, y = super().__getitem__(i)
            return x + 0.1 * torch.randn(4), y

    model, optimizer = build()
    for _ in range(3):
        for x, y in DataLoader(Noisy(*table(8).tensors), batch_size=8):
            update(model, optimizer, x, y)


def bad_loader_made_anew_with_the_same_seed():
    model, optimizer = build()
    data = table()
    for _ in range(3):
        generator = torch.Generator().manual_seed(0)
        loader = DataLoader(data, batch_size=8, shuffle=True, generator=generator)
        for x, y in loader:  # SL506
            update(model, optimizer, x, y)


def good_loader_made_anew_with_another_seed():
    model, optimizer = build()
    data = table()
    for epoch in range(3):
        generator = torch.Generator().manual_seed(epoch)
        loader = DataLoader(data, batch_size=8, shuffle=True, generator=generator)
        for x, y in loader:
            update(model, optimizer, x, y)


def fine_same_order_for_each_of_several_models():
    data = table()
    for _ in range(3):
        model, optimizer = build()
        generator = torch.Generator().manual_seed(0)
        for x, y in DataLoader(data, batch_size=8, shuffle=True, generator=generator):
            update(model, optimizer, x, y)


def fine_same_order_looked_at_without_training():
    model, optimizer = build()
    data = table()
    for epoch in range(3):
        generator = torch.Generator().manual_seed(epoch)
        for _ in DataLoader(data, batch_size=8, shuffle=True, generator=generator):
            pass
        generator = torch.Generator().manual_seed(epoch)
        for x, y in DataLoader(data, batch_size=8, shuffle=True, generator=generator):
            update(model, optimizer, x, y)


def fine_full_batch():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=32)
    for _ in range(8):
        x, y = next(iter(loader))
        update(model, optimizer, x, y)


def fine_one_batch_kept():
    model, optimizer = build()
    x, y = next(iter(DataLoader(table(), batch_size=8)))
    for _ in range(20):
        update(model, optimizer, x, y)


def fine_new_pass_for_each_step():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8, shuffle=True)
    for _ in range(8):
        x, y = next(iter(loader))
        update(model, optimizer, x, y)


def fine_same_samples_looked_at_each_epoch():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8, shuffle=True)
    shown = DataLoader(table(), batch_size=8)
    for _ in range(5):
        for x, y in loader:
            update(model, optimizer, x, y)
        model.eval()
        with torch.no_grad():
            model(next(iter(shown))[0])
        model.train()


def fine_no_shuffling():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8)
    for _ in range(4):
        for x, y in loader:
            update(model, optimizer, x, y)


def bad_first_pass_kept_by_cycle():  # a note
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8, shuffle=True)
    batches = itertools.cycle(loader)  # SL506
    for _ in range(12):
        update(model, optimizer, *next(batches))


def good_new_pass_begun_each_time():
    def forever(loader):
        while True:
            yield from loader

    model, optimizer = build()
    batches = forever(DataLoader(table(), batch_size=8, shuffle=True))
    for _ in range(12):
        update(model, optimizer, *next(batches))


def fine_cycle_that_never_comes_round():
    model, optimizer = build()
    batches = itertools.cycle(DataLoader(table(), batch_size=8, shuffle=True))
    for _ in range(4):
        update(model, optimizer, *next(batches))


def indices(generator_of):
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    data = torch.randn(64, 4)
    for step in range(6):
        rows = torch.randint(64, (16,), generator=generator_of(step))
        optimizer.zero_grad()
        model(data[rows]).pow(2).mean().backward()
        optimizer.step()


def bad_indices_of_a_generator_made_anew():  # a note
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    data = torch.randn(64, 4)
    for _ in range(6):
        generator = torch.Generator().manual_seed(1337)
        rows = torch.randint(64, (16,), generator=generator)  # SL506
        optimizer.zero_grad()
        model(data[rows]).pow(2).mean().backward()
        optimizer.step()


def good_indices_of_one_generator():
    generator = torch.Generator().manual_seed(1337)
    indices(lambda step: generator)


def fine_indices_of_a_generator_for_each_step():
    indices(lambda step: torch.Generator().manual_seed(step))


def accumulated(model, optimizer, batches, accumulate=2):
    for number in range(12):
        x, y = next(batches())
        model(x).sub(y).pow(2).mean().div(accumulate).backward()
        if (number + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()


def bad_first_batch_only_between_accumulated_steps():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8)
    accumulated(model, optimizer, lambda: iter(loader))  # SL506


def good_batches_between_accumulated_steps():
    model, optimizer = build()
    loader = DataLoader(table(128), batch_size=8)
    batches = iter(loader)
    accumulated(model, optimizer, lambda: batches)


def fine_first_batch_looked_at_before_the_training():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8)
    for _ in range(4):
        x, y = next(iter(loader))
        print(x.shape, y.shape)
    for _ in range(3):
        for x, y in loader:
            update(model, optimizer, x, y)


def fine_one_of_a_few_samples_first_again():
    """One pass in twelve begins like the one before: by chance."""
    torch.manual_seed(3)
    model, optimizer = build()
    x, y = torch.randn(12, 4), torch.randint(0, 2, (12,))
    batches = DataLoader(TensorDataset(x, y), batch_size=1, shuffle=True)
    for _ in range(40):
        for a, b in batches:
            update(model, optimizer, a, b)


def bad_last_batch_after_the_end():
    model, optimizer = build()
    batches = iter(DataLoader(table(), batch_size=8, shuffle=True))
    x = y = None
    for _ in range(24):
        try:
            x, y = next(batches)  # SL506
        except StopIteration:
            pass
        update(model, optimizer, x, y)


def bad_last_batch_by_default():
    model, optimizer = build()
    batches = iter(DataLoader(table(), batch_size=8, shuffle=True))
    batch = next(batches)
    for _ in range(24):
        update(model, optimizer, *batch)
        batch = next(batches, batch)  # SL506


def good_new_pass_at_the_end():
    model, optimizer = build()
    loader = DataLoader(table(), batch_size=8, shuffle=True)
    batches = iter(loader)
    for _ in range(24):
        try:
            x, y = next(batches)
        except StopIteration:
            batches = iter(loader)
            x, y = next(batches)
        update(model, optimizer, x, y)


def fine_last_batch_read_ahead():
    model, optimizer = build()
    for _ in range(4):
        batches = iter(DataLoader(table(), batch_size=8, shuffle=True))
        batch = next(batches, None)
        while batch is not None:
            following = next(batches, None)
            for _ in range(6):
                update(model, optimizer, *batch)
            batch = following


def fine_other_data_after_the_end():
    model, optimizer = build()
    batches = iter(DataLoader(table(), batch_size=8, shuffle=True))
    while (batch := next(batches, None)) is not None:
        update(model, optimizer, *batch)
    x, y = table().tensors
    for _ in range(24):
        update(model, optimizer, x, y)


def denoise(noise_of, batches, steps=8):
    model = nn.Linear(16, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(steps):
        x = batches()
        noisy = x + noise_of(x, step)
        optimizer.zero_grad()
        (model(noisy) - x).pow(2).mean().backward()
        optimizer.step()


def fresh_batch():
    return torch.randn(8, 16)


def bad_mask_of_a_generator_made_anew():  # a note
    def mask(x, step):
        generator = torch.Generator().manual_seed(3)
        return torch.bernoulli(torch.full_like(x, 0.3), generator=generator)  # SL506

    denoise(mask, fresh_batch)


def bad_noise_of_a_generator_made_anew():  # a note
    data = DataLoader(torch.randn(64, 16), batch_size=8)
    batches = iter(data)

    def noise(x, step):
        generator = torch.Generator().manual_seed(3)
        return torch.randn(x.shape, generator=generator)  # SL506

    denoise(noise, lambda: next(batches))


def good_noise_of_one_generator():
    generator = torch.Generator().manual_seed(3)
    denoise(lambda x, step: torch.randn(x.shape, generator=generator), fresh_batch)


def fine_noise_of_a_generator_for_each_step():
    def noise(x, step):
        return torch.rand(x.shape, generator=torch.Generator().manual_seed(step))

    denoise(noise, fresh_batch)


def fine_noise_of_one_batch_alone():
    x = torch.randn(8, 16)
    denoise(lambda x, _: torch.rand(x.shape, generator=torch.Generator().manual_seed(3)), lambda: x)


def fine_rare_masks_that_are_empty():
    generator = torch.Generator().manual_seed(3)
    chance = torch.full((8, 16), 1e-4)
    denoise(lambda x, _: torch.bernoulli(chance, generator=generator), fresh_batch, 32)


def judged(grad):
    model = nn.Linear(16, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(8):
        optimizer.zero_grad()
        x = fresh_batch()
        (model(x + torch.randn(8, 16)) - x).pow(2).mean().backward()
        optimizer.step()
        noise = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
        model.eval()
        with torch.set_grad_enabled(grad):
            model(x + noise)
        model.train()


def fine_noise_of_an_evaluation():
    judged(False)


def fine_latents_of_pictures():
    generator, judge = nn.Linear(16, 4), nn.Linear(4, 1)
    optimizers = [torch.optim.Adam(each.parameters(), lr=1e-3) for each in (generator, judge)]
    for step in range(12):
        real, fake = torch.randn(8, 4), generator(torch.randn(8, 16))
        optimizers[1].zero_grad()
        (judge(fake.detach()).mean() - judge(real).mean()).backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        (-judge(fake).mean()).backward()
        optimizers[0].step()
        latents = torch.randn(8, 16, generator=torch.Generator().manual_seed(7))
        with torch.no_grad():
            generator(latents)


def fine_noise_of_each_sample_by_its_number():
    class Noisy(torch.utils.data.Dataset):
        def __len__(self):
            return 16

        def __getitem__(self, index):
            generator = torch.Generator().manual_seed(index)
            return torch.randn(16, generator=generator)

    model = nn.Linear(16, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        for x in DataLoader(Noisy(), batch_size=1, shuffle=True):
            optimizer.zero_grad()
            (model(x) - x).pow(2).mean().backward()
            optimizer.step()
