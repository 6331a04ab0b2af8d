"""SL507 workers-draw-alike. `# SL507` marks the lines at which the finding must point."""

import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, get_worker_info

SHARED = np.random.default_rng(3)


def train(dataset, epochs=1, **options):
    loader = DataLoader(dataset, batch_size=4, num_workers=2, **options)
    fit(loader, epochs)


def fit(loader, epochs=1):
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(epochs):
        for x in loader:
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()


class Base(Dataset):
    def __len__(self):
        return 24


def bad_generator_made_in_init():
    class Noisy(Base):
        def __init__(self):
            self.rng = np.random.default_rng(0)  # SL507

        def __getitem__(self, i):
            return torch.from_numpy(self.rng.standard_normal(4, dtype=np.float32))

    train(Noisy())


def bad_python_generator_behind_a_subset():
    class Noisy(Base):
        def __init__(self):
            self.random = random.Random(0)  # SL507

        def __getitem__(self, i):
            return torch.tensor([self.random.random() for _ in range(4)])

    train(Subset(Noisy(), range(20)))


def bad_generator_in_a_transform():
    class Jitter:
        def __init__(self):
            self.state = np.random.RandomState(0)  # SL507

        def __call__(self, x):
            return x + torch.from_numpy(self.state.rand(4).astype(np.float32))

    class Noisy(Base):
        def __init__(self, transform):
            self.transform = transform

        def __getitem__(self, i):
            return self.transform(torch.zeros(4))

    train(Noisy(Jitter()))


def bad_torch_generator():
    class Noisy(Base):
        def __init__(self):
            self.source = torch.Generator().manual_seed(0)  # SL507

        def __getitem__(self, i):
            return torch.randn(4, generator=self.source)

    train(Noisy())


def bad_global_generator():
    class Noisy(Base):
        def __getitem__(self, i):
            return torch.from_numpy(SHARED.standard_normal(4, dtype=np.float32))

    loader = DataLoader(Noisy(), batch_size=4, num_workers=2)  # SL507
    fit(loader)


def bad_worker_init_function():
    class Noisy(Base):
        def __getitem__(self, i):
            return torch.from_numpy(np.random.rand(4).astype(np.float32))

    def begin(worker):
        np.random.seed(0)

    loader = DataLoader(Noisy(), batch_size=4, num_workers=2, worker_init_fn=begin)  # SL507
    fit(loader)


def bad_iterable_with_one_order():
    class Stream(IterableDataset):
        def __init__(self):
            self.rng = random.Random(0)  # SL507

        def __iter__(self):
            for _ in range(12):
                yield torch.tensor([self.rng.random() for _ in range(4)])

    train(Stream())


def bad_iterable_divided_after_one_order():
    """A note: one order is how these workers divide the data."""

    class Stream(IterableDataset):
        def __init__(self):
            self.rng = random.Random(0)  # SL507

        def __iter__(self):
            order = list(range(24))
            self.rng.shuffle(order)
            for i in order[get_worker_info().id :: 2]:
                yield torch.full((4,), i / 24)

    train(Stream())


def bad_iterable_that_is_not_divided():
    class Stream(IterableDataset):
        def __iter__(self):
            for i in range(12):
                yield torch.full((4,), i / 24)

    loader = DataLoader(Stream(), batch_size=4, num_workers=2)  # SL507
    fit(loader)


def bad_iterable_that_seeds_alike():
    class Stream(IterableDataset):
        def __iter__(self):
            rng = np.random.default_rng(5)
            for _ in range(16):
                yield {"x": torch.from_numpy(rng.standard_normal(4, dtype=np.float32))}

    def stack(rows):
        return torch.stack([row["x"] for row in rows])

    loader = DataLoader(Stream(), batch_size=4, num_workers=3, collate_fn=stack)  # SL507
    fit(loader)


def good_iterable_divided():
    class Stream(IterableDataset):
        def __iter__(self):
            info = get_worker_info()
            for i in range(info.id, 24, info.num_workers):
                yield torch.full((4,), i / 24)

    train(Stream(), epochs=2)


def fine_iterable_divided_by_the_init_function():
    class Stream(IterableDataset):
        begin = 0

        def __iter__(self):
            for i in range(self.begin, self.begin + 12):
                yield torch.full((4,), i / 24)

    def divide(worker):
        get_worker_info().dataset.begin = 12 * worker

    train(Stream(), worker_init_fn=divide)


def fine_iterable_of_global_generators():
    class Stream(IterableDataset):
        def __iter__(self):
            for _ in range(12):
                yield torch.randn(4)

    train(Stream())


def fine_iterable_that_always_gives_the_same():
    class Stream(IterableDataset):
        def __iter__(self):
            for _ in range(12):
                yield torch.ones(4)

    train(Stream())


def fine_iterable_for_one_worker():
    class Stream(IterableDataset):
        def __iter__(self):
            if get_worker_info().id == 0:
                for i in range(24):
                    yield torch.full((4,), i / 24)

    train(Stream())


def fine_iterable_of_few_numbers():
    class Stream(IterableDataset):
        def __iter__(self):
            for _ in range(12):
                yield torch.randint(0, 2, (1,)).float().expand(4)

    train(Stream())


def good_generator_made_in_the_worker():
    class Noisy(Base):
        def __init__(self):
            self.rng = None

        def __getitem__(self, i):
            if self.rng is None:
                info = get_worker_info()
                self.rng = np.random.default_rng(info.seed if info else 0)
            return torch.from_numpy(self.rng.standard_normal(4, dtype=np.float32))

    train(Noisy(), epochs=2)


def fine_global_generators():
    class Noisy(Base):
        def __getitem__(self, i):
            return torch.randn(4) + random.random() + float(np.random.rand())

    train(Noisy(), epochs=2)


def fine_generator_for_the_split_only():
    class Split(Base):
        def __init__(self):
            self.rng = np.random.default_rng(0)
            self.order = self.rng.permutation(24)

        def __getitem__(self, i):
            return torch.full((4,), float(self.order[i]))

    train(Split())


def fine_generator_seeded_for_each_sample():
    class Noisy(Base):
        def __init__(self):
            self.rng = random.Random()

        def __getitem__(self, i):
            self.rng.seed(i)
            return torch.tensor([self.rng.random() for _ in range(4)])

    train(Noisy())


def fine_worker_init_function_with_the_number():
    class Noisy(Base):
        def __getitem__(self, i):
            return torch.from_numpy(np.random.rand(4).astype(np.float32))

    def begin(worker):
        np.random.seed(17 + worker)
        random.seed(17 + worker)

    train(Noisy(), worker_init_fn=begin)


def fine_generator_reset_by_the_init_function():
    class Noisy(Base):
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def __getitem__(self, i):
            return torch.from_numpy(self.rng.standard_normal(4, dtype=np.float32))

    def begin(worker):
        info = get_worker_info()
        info.dataset.rng = np.random.default_rng(info.seed)

    train(Noisy(), worker_init_fn=begin)


def fine_no_draws():
    class Plain(Base):
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def __getitem__(self, i):
            return torch.full((4,), i / 24)

    train(Plain(), shuffle=True, epochs=2)


def fine_in_the_main_process():
    class Noisy(Base):
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def __getitem__(self, i):
            return torch.from_numpy(self.rng.standard_normal(4, dtype=np.float32))

    fit(DataLoader(Noisy(), batch_size=4), epochs=2)


def fine_workers_that_persist():
    class Noisy(Base):
        def __getitem__(self, i):
            return torch.randn(4)

    train(Noisy(), epochs=3, persistent_workers=True)


def epochs(begin):
    class Noisy(Base):
        def __getitem__(self, i):
            return torch.from_numpy(np.random.rand(4).astype(np.float32))

    fit(DataLoader(Noisy(), batch_size=2, num_workers=1, worker_init_fn=begin), epochs=2)


def bad_seeded_with_the_number_in_each_pass():
    class Noisy(Base):
        def __getitem__(self, i):
            return torch.from_numpy(np.random.rand(4).astype(np.float32))

    loader = DataLoader(  # SL507
        Noisy(), batch_size=2, num_workers=2, worker_init_fn=lambda worker: np.random.seed(worker)
    )
    fit(loader, epochs=3)


def good_seeded_from_the_seed_of_the_pass():
    epochs(lambda worker: np.random.seed(torch.initial_seed() % 2**32))


def fine_seeded_alike_and_asked_without_training():
    class Noisy(Base):
        def __getitem__(self, i):
            return torch.from_numpy(np.random.rand(4).astype(np.float32))

    loader = DataLoader(
        Noisy(), batch_size=2, num_workers=2, worker_init_fn=lambda worker: np.random.seed(worker)
    )
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            for x in loader:
                model(x)
        model.train()
