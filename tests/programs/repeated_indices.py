"""SL519 repeated-indices. `# SL519` marks where the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F

SOURCE = torch.tensor([0, 1, 2, 3, 4, 5, 0, 2])
TARGET = torch.tensor([1, 1, 1, 0, 0, 3, 4, 5])
APART = torch.tensor([1, 0, 2, 5, 4, 3, 6, 7])


def train(gather, nodes=8):
    model = nn.ModuleDict({"into": nn.Linear(4, 6), "out": nn.Linear(6, 1)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(4):
        x = torch.randn(nodes, 4)
        optimizer.zero_grad()
        hidden = model["into"](x)
        F.mse_loss(model["out"](gather(hidden)), x[:, :1]).backward()
        optimizer.step()


def bad_messages_added_in_place():
    def gather(hidden):
        messages = torch.zeros_like(hidden)
        messages[TARGET] += hidden[SOURCE]  # SL519
        return messages

    train(gather)


def bad_added_to_what_has_a_graph():
    def gather(hidden):
        total = hidden * 0.5
        total[TARGET] += hidden[SOURCE]  # SL519
        return total

    train(gather)


def bad_taken_away():
    def gather(hidden):
        total = hidden.clone()
        total[TARGET] -= hidden[SOURCE].tanh()  # SL519
        return total

    train(gather)


def bad_written_out():
    def gather(hidden):
        total = torch.zeros_like(hidden)
        total[TARGET] = total[TARGET] + hidden[SOURCE]  # SL519
        return total

    train(gather)


def bad_two_indices():
    rows, columns = torch.tensor([0, 0, 3, 3, 5]), torch.tensor([1, 1, 2, 4, 5])

    def gather(hidden):
        grid = torch.zeros_like(hidden)
        grid[rows, columns] += hidden[rows, columns.flip(0)]  # SL519
        return grid

    train(gather)


def good_index_add():
    def gather(hidden):
        return torch.zeros_like(hidden).index_add(0, TARGET, hidden[SOURCE])

    train(gather)


def good_accumulated():
    def gather(hidden):
        messages = torch.zeros_like(hidden)
        return messages.index_put((TARGET,), hidden[SOURCE], accumulate=True)

    train(gather)


def fine_all_different():
    def gather(hidden):
        messages = torch.zeros_like(hidden)
        messages[APART] += hidden[SOURCE]
        return messages

    train(gather)


def fine_pairs_that_differ():
    rows, columns = torch.tensor([0, 0, 3, 3, 5]), torch.tensor([1, 2, 2, 4, 5])

    def gather(hidden):
        grid = torch.zeros_like(hidden)
        grid[rows, columns] += hidden[rows, columns.flip(0)]
        return grid

    train(gather)


def fine_mask():
    def gather(hidden):
        total = hidden.clone()
        total[hidden[:, 0] > -10] += hidden.tanh()
        return total

    train(gather)


def fine_one_value_for_all():
    def gather(hidden):
        total = hidden.clone()
        total[TARGET] += hidden.mean(0)
        return total

    train(gather)


def fine_one_row_spread():
    def gather(hidden):
        total = hidden.clone()
        total[TARGET] += hidden.mean(0).expand(len(TARGET), -1)
        return total

    train(gather)


def fine_a_penalty_once():
    """Words that came before are made less likely, once each."""

    def gather(hidden):
        scores = hidden.clone()
        scores[TARGET] -= 1.5
        return scores

    train(gather)


def fine_looked_up_by_the_same_index():
    def gather(hidden):
        total = hidden.clone()
        total[TARGET] += hidden.tanh()[TARGET]
        return total

    train(gather)


def fine_replaced():
    """The last of some rows is to stay."""

    def gather(hidden):
        latest = torch.zeros_like(hidden)
        latest[TARGET] = hidden[SOURCE] + 1
        return latest

    train(gather)


def fine_without_a_graph():
    counts = torch.zeros(8, 6)

    def gather(hidden):
        counts[TARGET] += hidden[SOURCE].detach()
        return hidden

    train(gather)
