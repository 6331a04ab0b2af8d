"""SL511 samples-never-drawn. `# SL511` marks where the finding must point."""

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
