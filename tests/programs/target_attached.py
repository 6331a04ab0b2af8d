"""SL524 target-attached. `# SL524` marks where the finding must point."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

GAMMA = 0.9


def train(loss_of, outputs=3, held=None):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, outputs))
    old = copy.deepcopy(net) if held is None else held(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(5):
        batch = torch.randn(12, 4), torch.randint(0, 3, (12, 1)), torch.randn(12)
        loss = loss_of(net, old, *batch, torch.randn(12, 4), (torch.arange(12) % 4 == 0).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_q_learning():
    def loss_of(net, old, state, action, reward, following, done):
        best = net(following).max(1).values
        target = reward + GAMMA * (1 - done) * best  # SL524
        return F.mse_loss(net(state).gather(1, action).squeeze(1), target)

    train(loss_of)


def bad_values_by_the_mask_alone():
    def loss_of(net, old, state, action, reward, following, done):
        target = reward[:, None] + net(following) * GAMMA * (1 - done[:, None])  # SL524
        return F.smooth_l1_loss(net(state), target)

    train(loss_of, outputs=1)


def bad_error_squared_by_hand():
    def loss_of(net, old, state, action, reward, following, done):
        going_on = torch.where(done.bool(), torch.zeros(12), net(following).squeeze(1))
        target = reward + GAMMA * going_on  # SL524
        return (target - net(state).squeeze(1)).pow(2).mean()

    train(loss_of, outputs=1)


def bad_double_q_learning():
    def loss_of(net, old, state, action, reward, following, done):
        answers = net(following)
        picked = answers.argmax(1, keepdim=True)
        target = reward.unsqueeze(1) + GAMMA * answers.gather(1, picked)  # SL524
        return F.huber_loss(net(state).gather(1, action), target)

    train(loss_of)


def good_no_grad():
    def loss_of(net, old, state, action, reward, following, done):
        with torch.no_grad():
            target = reward + GAMMA * (1 - done) * net(following).max(1).values
        return F.mse_loss(net(state).gather(1, action).squeeze(1), target)

    train(loss_of)


def fine_a_target_network():
    def loss_of(net, old, state, action, reward, following, done):
        target = reward + GAMMA * (1 - done) * old(following).max(1).values
        return F.mse_loss(net(state).gather(1, action).squeeze(1), target)

    train(loss_of, held=lambda net: copy.deepcopy(net).requires_grad_(False))


def fine_two_views_agree():
    def loss_of(net, old, state, action, reward, following, done):
        return F.mse_loss(net(state), net(state + 0.1 * following)) + net(state).square().mean()

    train(loss_of)


def fine_an_equation_stepped_in_time():
    def loss_of(net, old, state, action, reward, following, done):
        later = net(following).squeeze(1) + 0.01 * reward
        return F.mse_loss(later, net(state).squeeze(1)) + F.mse_loss(
            net(state).squeeze(1), reward + 0.5 * net(following).squeeze(1)
        )

    train(loss_of, outputs=1)


def fine_unknown_labels_left_out():
    def loss_of(net, old, state, action, reward, following, done):
        guess = net(state).squeeze(1)
        known = reward * (1 - done) + done * guess
        return F.mse_loss(guess, known) + F.mse_loss(guess, torch.where(done > 0, guess, reward))

    train(loss_of, outputs=1)


def fine_a_picture_refined():
    refine = nn.Linear(3, 3)

    def loss_of(net, old, state, action, reward, following, done):
        rough = net(state)
        mask = done[:, None]
        filled = following[:, :3] * (1 - mask) + mask * rough
        return F.l1_loss(refine(filled), following[:, :3] * (1 - mask) + mask * rough)

    train(loss_of, held=lambda net: net.append(refine)[:3])
