"""SL212 saved-tensor-overwritten. `# SL212` marks the lines at which the finding must point."""

import torch
from torch import nn


def networks():
    maker = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4))
    judge = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    return (
        maker,
        judge,
        torch.optim.SGD(maker.parameters(), lr=0.01),
        torch.optim.SGD(judge.parameters(), lr=0.01),
    )


def bad_step_between_forward_and_backward():
    maker, judge, _of_maker, of_judge = networks()
    fake = maker(torch.randn(8, 3))
    score = judge(fake)
    score.mean().backward(retain_graph=True)
    of_judge.step()  # SL212
    (-score.mean()).backward()


def bad_activation_in_place():
    layer, head = nn.Linear(4, 4), nn.Linear(4, 1)
    hidden = torch.sigmoid(layer(torch.randn(8, 4)))
    hidden += 1  # SL212
    head(hidden).sum().backward()


def bad_element_assigned():
    layer, head = nn.Linear(4, 4), nn.Linear(4, 1)
    hidden = torch.exp(layer(torch.randn(8, 4)))
    hidden[0] = 0.0  # SL212
    head(hidden).sum().backward()


def bad_weight_written_by_hand():
    layer, head = nn.Linear(4, 4), nn.Linear(4, 1)
    loss = head(layer(torch.randn(8, 4)).tanh()).sum()
    with torch.no_grad():
        head.weight.mul_(0.5)  # SL212
    loss.backward()


def bad_input_overwritten():
    layer = nn.Linear(4, 4)
    mask = torch.ones(8, 4)
    loss = (layer(torch.randn(8, 4)) * mask).sum()  # SL212
    mask.zero_()
    loss.backward()


def good_step_after_both():
    maker, judge, of_maker, of_judge = networks()
    for _ in range(2):
        score = judge(maker(torch.randn(8, 3)))
        score.mean().backward(retain_graph=True)
        (-score.mean()).backward()
        of_judge.step()
        of_maker.step()
        of_judge.zero_grad()
        of_maker.zero_grad()


def fine_in_place_on_what_nobody_needs():
    layer, head = nn.Linear(4, 4), nn.Linear(4, 1)
    hidden = layer(torch.randn(8, 4))
    hidden += 1
    head(torch.relu_(hidden)).sum().backward()


def fine_caught():
    layer, head = nn.Linear(4, 4), nn.Linear(4, 1)
    hidden = torch.sigmoid(layer(torch.randn(8, 4)))
    hidden += 1
    try:
        head(hidden).sum().backward()
    except RuntimeError:
        pass
