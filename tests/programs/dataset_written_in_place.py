"""SL509 dataset-written-in-place. `# SL509` marks the lines at which the finding must point."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset


def train(dataset, epochs=4, **options):
    options = {"batch_size": 4, "shuffle": True} | options
    loader = DataLoader(dataset, **options)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for x in loader:
            x = x[0] if isinstance(x, list) else x
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()


class Rows(Dataset):
    def __init__(self, n=16):
        self.data = torch.randn(n, 4)

    def __len__(self):
        return len(self.data)


def bad_noise_in_place():
    class Noisy(Rows):
        def __getitem__(self, i):
            x = self.data[i]
            x += 0.01 * torch.randn(4)  # SL509
            return x

    train(Noisy())


def bad_normalised_view():
    class Normal(Rows):
        def __getitem__(self, i):
            return self.data[i].sub_(self.data[i].mean())  # SL509

    train(Subset(Normal(), range(12)))


def bad_list_of_tensors():
    class Scaled(Rows):
        def __init__(self):
            self.items = [torch.randn(4) for _ in range(16)]

        def __len__(self):
            return 16

        def __getitem__(self, i):
            x = self.items[i]
            x.mul_(0.99)  # SL509
            return x

    train(Scaled())


def bad_numpy_rows():
    class Noisy(Rows):
        def __init__(self):
            data = np.random.rand(16, 4)
            self.mean, self.shape = data.mean(), np.array(4.0)  # a scalar, an array of no dimension
            self.data = (data - self.mean).astype(np.float32)

        def __getitem__(self, i):
            x = self.data[i]
            x *= 0.99  # SL509
            return torch.from_numpy(x)

    train(Noisy())


def bad_rows_beside_things_that_refuse():
    """Nothing of the classes of what a dataset holds is called to find its data."""

    class Refusing:
        __slots__ = ()

        def __getattr__(self, name):
            raise RuntimeError(name)

        def __repr__(self):
            raise RuntimeError

    class Lazy(dict):
        def items(self):
            raise RuntimeError

    class Rest(list):
        def __getitem__(self, place):
            raise RuntimeError

    class Noisy(Rows):
        def __init__(self):
            self.refusing, self.lazy = Refusing(), Lazy({Refusing(): 1})
            self.rest = Rest([1, 2])
            super().__init__()

        def __getitem__(self, i):
            x = self.data[i]
            x *= 0.99  # SL509
            return x

    train(Noisy())


def bad_loop_writes_through_the_batch():
    data = Rows()
    data.__class__ = type("Slices", (Rows,), {"__getitem__": lambda self, i: self.data[i : i + 4]})
    loader = DataLoader(data, batch_size=None, sampler=range(0, 16, 4))
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(3):
        for x in loader:
            x += 0.01  # SL509
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()


def good_copy():
    class Noisy(Rows):
        def __getitem__(self, i):
            x = self.data[i].clone()
            x += 0.01 * torch.randn(4)
            return x

    train(Noisy())


def fine_cache_filled_once():
    class Cached(Rows):
        def __init__(self):
            super().__init__()
            self.cache = torch.zeros(16, 4)
            self.done = torch.zeros(16, dtype=torch.bool)

        def __getitem__(self, i):
            if not self.done[i]:
                self.cache[i] = self.data[i] * 2
                self.done[i] = True
            return self.cache[i]

    train(Cached())


def fine_counters():
    class Counting(Rows):
        def __init__(self):
            super().__init__()
            self.reads = torch.zeros(16)

        def __getitem__(self, i):
            self.reads[i] += 1
            return self.data[i]

    train(Counting())


def fine_program_changes_the_data_itself():
    data = Rows()
    data.__class__.__getitem__ = lambda self, i: self.data[i]
    for _ in range(3):
        train(data, epochs=1)
        data.data += 0.1


def fine_batches_changed_in_place():
    loader = DataLoader(TensorDataset(torch.randn(16, 4)), batch_size=4)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(3):
        for (x,) in loader:
            x -= x.mean()
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()


def fine_small_cache_with_eviction():
    class Slots(Rows):
        def __init__(self):
            super().__init__()
            self.kept = {}

        def __getitem__(self, i):
            if i not in self.kept:
                self.kept[i] = self.data[i] * 2
                if len(self.kept) > 4:
                    del self.kept[next(iter(self.kept))]
            return self.kept.get(i, self.data[i])

    train(Slots())


class Tokens(Dataset):
    def __init__(self, n=16):
        self.tokens = torch.randint(1, 50, (n, 10))
        self.others = torch.zeros(n, 10, dtype=torch.long)

    def __len__(self):
        return len(self.tokens)


def read(dataset, epochs=4):
    model = nn.Embedding(51, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    loader = DataLoader(dataset, batch_size=4, shuffle=True)
    for _ in range(epochs):
        for tokens in loader:
            optimizer.zero_grad()
            model(tokens).pow(2).mean().backward()
            optimizer.step()


def bad_tokens_masked_in_place():
    class Masked(Tokens):
        def __getitem__(self, i):
            ids = self.tokens[i]
            ids[torch.rand(10) < 0.2] = 0  # SL509
            return ids

    read(Masked())


def good_tokens_of_a_copy():
    class Masked(Tokens):
        def __getitem__(self, i):
            ids = self.tokens[i].clone()
            ids[torch.rand(10) < 0.2] = 0
            return ids

    read(Masked())


def fine_negatives_drawn_anew_into_a_table():
    class Negatives(Tokens):
        def __getitem__(self, i):
            self.others[i] = torch.randint(1, 50, (10,))
            return self.others[i]

    read(Negatives())
