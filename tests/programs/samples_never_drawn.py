"""SL511 samples-never-drawn. `# SL511` marks where the finding must point."""
# ruff: noqa: RET503, RET504  returns within loops are what this is about

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, TensorDataset, WeightedRandomSampler


def data():
    labels = (torch.arange(40) % 4 == 0).long()
    return TensorDataset(torch.randn(40, 4), labels), labels


def train(loader):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()


def bad_weight_of_each_class():
    dataset, labels = data()
    weights = 1.0 / torch.bincount(labels)
    sampler = WeightedRandomSampler(weights, len(dataset))  # SL511
    train(DataLoader(dataset, batch_size=8, sampler=sampler))


def bad_weights_in_a_batch_sampler():
    dataset, _ = data()
    sampler = WeightedRandomSampler([0.2, 0.8], 40)  # SL511
    train(DataLoader(dataset, batch_sampler=BatchSampler(sampler, 8, drop_last=False)))


def good_weight_of_each_sample():
    dataset, labels = data()
    weights = 1.0 / torch.bincount(labels)
    sampler = WeightedRandomSampler(weights[labels], len(dataset))
    train(DataLoader(dataset, batch_size=8, sampler=sampler))


def fine_samples_left_out_by_weights_of_0():
    dataset, labels = data()
    sampler = WeightedRandomSampler((labels == 1).double(), 16)
    train(DataLoader(dataset, batch_size=8, sampler=sampler))


def fine_sampler_of_the_programs_own():
    class ByClass(WeightedRandomSampler):
        """Draws a class by its weight, then one of its samples."""

        def __init__(self, weights, labels, count):
            super().__init__(weights, count)
            self.members = [torch.where(labels == each)[0] for each in range(len(weights))]

        def __iter__(self):
            for drawn in super().__iter__():
                own = self.members[drawn]
                yield int(own[torch.randint(len(own), ())])

    dataset, labels = data()
    train(DataLoader(dataset, batch_size=8, sampler=ByClass([0.5, 0.5], labels, 40)))


def build():
    model = nn.Linear(4, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def learn(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def bad_return_inside_of_the_loop():
    model, optimizer = build()
    loader = DataLoader(data()[0], batch_size=8, shuffle=True)

    def epoch():
        total = 0.0
        for x, y in loader:
            total += learn(model, optimizer, x, y)
            return total / len(loader)  # SL511

    for _ in range(3):
        epoch()


def bad_evaluation_of_the_first_batch():
    model, optimizer = build()
    loader = DataLoader(data()[0], batch_size=8)

    @torch.no_grad()
    def evaluate():
        right, count = 0, 0
        for _number, (x, y) in enumerate(loader):
            right += (model(x).argmax(1) == y).sum().item()
            count += len(y)
            return right / count  # SL511

    for _ in range(2):
        learn(model, optimizer, *next(iter(DataLoader(data()[0], batch_size=4))))
        evaluate()


def fine_one_batch_that_is_asked_for():
    model, optimizer = build()
    loader = DataLoader(data()[0], batch_size=8, shuffle=True)

    def one():
        for x, y in loader:
            return x, y

    def few(most):
        total = 0.0
        for number, (x, y) in enumerate(loader):
            total += learn(model, optimizer, x, y)
            if number + 1 >= most:
                return total
        return total

    def first():
        losses = []
        for x, y in loader:
            losses.append(learn(model, optimizer, x, y))
            break
        return losses

    for _ in range(3):
        learn(model, optimizer, *one())
        few(1)
        first()


def fine_many_steps_on_one_batch():
    model, optimizer = build()
    loader = DataLoader(data()[0], batch_size=8, shuffle=True)

    def fit():
        total = 0.0
        for x, y in loader:
            for _ in range(5):
                total += learn(model, optimizer, x, y)
            return total

    def step():
        for x, y in loader:
            loss = learn(model, optimizer, x, y)
            return loss

    for _ in range(3):
        fit()
        step()


def fine_loader_of_one_batch():
    model, optimizer = build()
    loader = DataLoader(data()[0], batch_size=40, shuffle=True)

    def epoch():
        total = 0.0
        for x, y in loader:
            total += learn(model, optimizer, x, y)
            return total

    for _ in range(3):
        epoch()
