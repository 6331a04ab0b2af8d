"""SL516 folds-share-a-model. `# SL516` marks where the finding must point."""

import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, SubsetRandomSampler, TensorDataset, random_split


def data():
    return TensorDataset(torch.randn(30, 4), torch.randn(30, 1))


def folds(count=3):
    parts = torch.randperm(30).chunk(count)
    for held in range(count):
        rest = [part for place, part in enumerate(parts) if place != held]
        yield torch.cat(rest).tolist(), parts[held].tolist()


def fit(model, loader, epochs=2):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    model.train()
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            (model(x) - y).pow(2).mean().backward()
            optimizer.step()


def score(model, loader):
    model.eval()
    with torch.no_grad():
        return sum((model(x) - y).pow(2).sum().item() for x, y in loader)


def bad_one_model_for_all_folds():
    dataset = data()
    model = nn.Linear(4, 1)  # SL516
    for train, held in folds():
        fit(model, DataLoader(Subset(dataset, train), 10, shuffle=True))
        score(model, DataLoader(Subset(dataset, held), 10))


def bad_samplers_and_judged_each_epoch():
    dataset = data()
    model = nn.Linear(4, 1)  # SL516
    for train, held in folds():
        trained = DataLoader(dataset, 10, sampler=SubsetRandomSampler(train))
        judged = DataLoader(dataset, 10, sampler=SubsetRandomSampler(held))
        for _ in range(3):
            fit(model, trained, 1)
            score(model, judged)


def bad_split_anew_in_each_epoch():
    torch.manual_seed(0)
    dataset = data()
    model = nn.Linear(4, 1)
    for _ in range(4):
        train, held = random_split(dataset, [20, 10])  # SL516
        fit(model, DataLoader(train, 10, shuffle=True), 1)
        score(model, DataLoader(held, 10))


def good_split_once():
    train, held = torch.randperm(30).split([20, 10])
    dataset = data()
    model = nn.Linear(4, 1)
    trained, judged = Subset(dataset, train.tolist()), Subset(dataset, held.tolist())
    for _ in range(4):
        fit(model, DataLoader(trained, 10, shuffle=True), 1)
        score(model, DataLoader(judged, 10))


def fine_split_anew_for_a_new_model():
    dataset = data()
    for seed in range(3):
        torch.manual_seed(seed)
        train, held = torch.randperm(30).split([20, 10])
        model = nn.Linear(4, 1)
        fit(model, DataLoader(Subset(dataset, train.tolist()), 10), 1)
        score(model, DataLoader(Subset(dataset, held.tolist()), 10))


def good_made_anew():
    dataset = data()
    for train, held in folds():
        model = nn.Linear(4, 1)
        fit(model, DataLoader(Subset(dataset, train), 10, shuffle=True))
        score(model, DataLoader(Subset(dataset, held), 10))


def good_set_back():
    dataset = data()
    model = nn.Linear(4, 1)
    start = copy.deepcopy(model.state_dict())
    for train, held in folds():
        model.load_state_dict(start)
        fit(model, DataLoader(Subset(dataset, train), 10, shuffle=True))
        score(model, DataLoader(Subset(dataset, held), 10))


def good_initialised_again():
    dataset = data()
    model = nn.Linear(4, 1)
    for train, held in folds():
        model.reset_parameters()
        fit(model, DataLoader(Subset(dataset, train), 10, shuffle=True))
        score(model, DataLoader(Subset(dataset, held), 10))


def fine_labels_asked_for_one_after_another():
    dataset = data()
    model = nn.Linear(4, 1)
    order = torch.randperm(30).tolist()
    for known in (10, 16, 22):
        fit(model, DataLoader(Subset(dataset, order[:known]), 10, shuffle=True))
        score(model, DataLoader(Subset(dataset, order[known:]), 10))


def fine_clients():
    dataset = data()
    model = nn.Linear(4, 1)
    for client in torch.randperm(30).chunk(3):
        fit(model, DataLoader(Subset(dataset, client[:7].tolist()), 7, shuffle=True))
        score(model, DataLoader(Subset(dataset, client[7:].tolist()), 7))
