"""SL702 epoch-never-set. `# SL702` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, TensorDataset


def data():
    x = torch.randn(48, 4)
    return TensorDataset(x, x.sum(1, keepdim=True))


def shared(dataset, **options):
    return DistributedSampler(dataset, num_replicas=2, rank=0, **options)


class Trainer:
    def __init__(self):
        self.model = nn.Linear(4, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)

    def train(self, x, y):
        self.optimizer.zero_grad()
        nn.functional.mse_loss(self.model(x), y).backward()
        self.optimizer.step()

    def evaluate(self, x, y):
        with torch.no_grad():
            return nn.functional.mse_loss(self.model(x), y)


def bad_epoch_never_set():
    dataset, trainer = data(), Trainer()
    loader = DataLoader(dataset, batch_size=4, sampler=shared(dataset))
    for _ in range(3):
        for x, y in loader:  # SL702
            trainer.train(x, y)


def bad_sampler_in_a_batch_sampler():
    dataset, trainer = data(), Trainer()
    batches = BatchSampler(shared(dataset, seed=7), batch_size=4, drop_last=True)
    loader = DataLoader(dataset, batch_sampler=batches)
    for _ in range(2):
        for x, y in loader:  # SL702
            trainer.train(x, y)


def bad_made_anew_for_each_epoch():
    dataset, trainer = data(), Trainer()
    for _ in range(2):
        loader = DataLoader(dataset, batch_size=4, sampler=shared(dataset))
        for x, y in loader:  # SL702
            trainer.train(x, y)


def good_epoch_set():
    dataset, trainer = data(), Trainer()
    sampler = shared(dataset)
    loader = DataLoader(dataset, batch_size=4, sampler=sampler)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for x, y in loader:
            trainer.train(x, y)


def fine_one_pass():
    dataset, trainer = data(), Trainer()
    for x, y in DataLoader(dataset, batch_size=4, sampler=shared(dataset)):
        trainer.train(x, y)


def fine_not_shuffled():
    dataset, trainer = data(), Trainer()
    loader = DataLoader(dataset, batch_size=4, sampler=shared(dataset, shuffle=False))
    for _ in range(2):
        for x, y in loader:
            trainer.train(x, y)


def fine_seed_set_instead():
    dataset, trainer = data(), Trainer()
    sampler = shared(dataset)
    loader = DataLoader(dataset, batch_size=4, sampler=sampler)
    for epoch in range(2):
        sampler.seed = 10 + epoch
        for x, y in loader:
            trainer.train(x, y)


def fine_epoch_set_after_the_first_batch():
    dataset, trainer = data(), Trainer()
    sampler = shared(dataset)
    loader = DataLoader(dataset, batch_size=4, sampler=sampler)
    for epoch in range(3):
        for x, y in loader:
            trainer.train(x, y)
        sampler.set_epoch(epoch + 1)


def fine_evaluation():
    dataset, held_out, trainer = data(), data(), Trainer()
    sampler = shared(dataset)
    loader = DataLoader(dataset, batch_size=4, sampler=sampler)
    others = DataLoader(held_out, batch_size=4, sampler=shared(held_out))
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for x, y in loader:
            trainer.train(x, y)
        for x, y in others:
            trainer.evaluate(x, y)


def fine_two_models_one_pass_each():
    dataset = data()
    loader = DataLoader(dataset, batch_size=4, sampler=shared(dataset))
    trainers = [Trainer(), Trainer()]
    for trainer in trainers:
        for x, y in loader:
            trainer.train(x, y)


def fine_sampler_with_an_order_of_its_own():
    class Own(DistributedSampler):
        def __iter__(self):
            self.epoch += 1
            return super().__iter__()

    dataset, trainer = data(), Trainer()
    loader = DataLoader(dataset, batch_size=4, sampler=Own(dataset, num_replicas=2, rank=1))
    for _ in range(2):
        for x, y in loader:
            trainer.train(x, y)
