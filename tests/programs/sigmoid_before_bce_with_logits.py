"""SL502 sigmoid-before-bce-with-logits. `# SL502` marks where the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn


def train(model, loss_of, steps=3):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        x = torch.randn(8, 4)
        y = (x[:, :2] > 0).float()
        optimizer.zero_grad()
        loss_of(model, x, y).backward()
        optimizer.step()


def bad_sigmoid_layer():
    criterion = nn.BCEWithLogitsLoss()

    def loss_of(model, x, y):
        return criterion(model(x), y)  # SL502

    train(nn.Sequential(nn.Linear(4, 2), nn.Sigmoid()), loss_of)


def bad_sigmoid_then_squeeze():
    def loss_of(model, x, y):
        p = torch.sigmoid(model(x)).squeeze(1).float()
        return F.binary_cross_entropy_with_logits(p, y[:, 0], weight=torch.ones(8))  # SL502

    train(nn.Linear(4, 1), loss_of)


def bad_softmax_layer():
    def loss_of(model, x, y):
        return F.binary_cross_entropy_with_logits(model(x).softmax(1), y)  # SL502

    train(nn.Linear(4, 2), loss_of)


def good_logits():
    def loss_of(model, x, y):
        return F.binary_cross_entropy_with_logits(model(x), y)

    train(nn.Linear(4, 2), loss_of)


def fine_sigmoid_and_plain_bce():
    def loss_of(model, x, y):
        return F.binary_cross_entropy(torch.sigmoid(model(x)), y)

    train(nn.Linear(4, 2), loss_of)


def fine_gate():
    def loss_of(model, x, y):
        value, gate = model(x).chunk(2, 1)
        return F.binary_cross_entropy_with_logits(value * torch.sigmoid(gate), y)

    train(nn.Linear(4, 4), loss_of)


def fine_focal_loss():
    def loss_of(model, x, y):
        logits = model(x)
        p = torch.sigmoid(logits)
        ce = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
        return (((1 - p) * y + p * (1 - y)) ** 2 * ce).mean()

    train(nn.Linear(4, 2), loss_of)


def fine_hidden_sigmoid():
    def loss_of(model, x, y):
        return F.binary_cross_entropy_with_logits(model(x), y)

    train(nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 2)), loss_of)


def fine_labels_from_a_sigmoid():
    teacher = nn.Linear(4, 2)

    def loss_of(model, x, y):
        soft = torch.sigmoid(teacher(x)).detach()
        return F.binary_cross_entropy_with_logits(model(x), soft)

    train(nn.Linear(4, 2), loss_of)


def bad_relu_as_the_last_layer():
    def loss_of(model, x, y):
        return F.binary_cross_entropy_with_logits(model(x), y)  # SL502

    train(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), loss_of)


def fine_relu_of_a_hidden_layer():
    def loss_of(model, x, y):
        return F.binary_cross_entropy_with_logits(model(x), y)

    train(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), loss_of)


def bad_sigmoid_before_a_soft_margin():
    def loss_of(model, x, y):
        return F.multilabel_soft_margin_loss(torch.sigmoid(model(x)), y)  # SL502

    train(nn.Linear(4, 2), loss_of)


def fine_log_sigmoid_of_logits():
    def loss_of(model, x, y):
        return F.multilabel_soft_margin_loss(model(x), y) - F.logsigmoid(model(x)).mean()

    train(nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2)), loss_of)


def bad_sigmoid_of_a_sigmoid():
    def loss_of(model, x, y):
        return F.binary_cross_entropy(torch.sigmoid(model(x)), y)  # SL502

    train(nn.Sequential(nn.Linear(4, 2), nn.Sigmoid()), loss_of)


def fine_sigmoid_of_a_hidden_sigmoid():
    def loss_of(model, x, y):
        return F.binary_cross_entropy(model(x), y)

    train(nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 2), nn.Sigmoid()), loss_of)


def bad_sigmoid_again_in_a_dice_loss():
    def dice(outputs, y):
        p = torch.sigmoid(outputs).reshape(len(y), -1)  # SL502
        return 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)

    def loss_of(model, x, y):
        return dice(model(x), y)

    train(nn.Sequential(nn.Linear(4, 2), nn.Sigmoid()), loss_of)


def bad_sigmoid_again_beside_a_bce():
    def loss_of(model, x, y):
        p = model(x)
        again = p.sigmoid()  # SL502
        return F.binary_cross_entropy(p, y) + (again - y).abs().mean()

    train(nn.Sequential(nn.Linear(4, 2), nn.Sigmoid()), loss_of)


def fine_a_dice_loss_of_logits():
    def loss_of(model, x, y):
        p = torch.sigmoid(model(x))
        return 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)

    train(nn.Linear(4, 2), loss_of)


def fine_a_steep_sigmoid_of_a_sigmoid():
    """As networks that learn a threshold beside a probability do."""

    def loss_of(model, x, y):
        p, t = model(x).chunk(2, 1)
        steep = torch.sigmoid(50 * (p - t))
        return F.binary_cross_entropy(p, y) + (steep - y).abs().mean()

    train(nn.Sequential(nn.Linear(4, 4), nn.Sigmoid()), loss_of)


def fine_a_sigmoid_of_hidden_probabilities():
    """With a layer between."""

    def loss_of(model, x, y):
        return (model(x) - y).square().mean()

    layers = nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2), nn.Sigmoid()
    train(nn.Sequential(*layers), loss_of)
