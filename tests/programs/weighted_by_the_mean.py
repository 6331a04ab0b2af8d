"""SL522 weighted-by-the-mean. `# SL522` marks where the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def train(criterion, classes=3, batch=16, more=()):
    torch.manual_seed(0)
    model = nn.Linear(4, classes)
    optimizer = torch.optim.SGD([*model.parameters(), *more], lr=0.05)
    for _ in range(5):
        x = torch.randn(batch, 4)
        y = torch.randint(0, classes, (batch,)) if classes > 1 else (x[:, :1] > 1).float()
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()


def bad_focal_of_a_cross_entropy():
    def criterion(logits, y):
        ce = F.cross_entropy(logits, y)  # SL522
        return (1 - torch.exp(-ce)) ** 2 * ce

    train(criterion)


def bad_logarithm_of_p():
    class Focal(nn.Module):
        def __init__(self, gamma=2.0):
            super().__init__()
            self.ce = nn.CrossEntropyLoss()
            self.gamma = gamma

        def forward(self, logits, y):
            logp = -self.ce(logits, y)  # SL522
            p = torch.exp(logp)
            loss = -((1 - p) ** self.gamma) * logp
            return loss.mean()

    train(Focal())


def bad_two_classes_with_an_alpha_each():
    def criterion(logits, y):
        bce = F.binary_cross_entropy_with_logits(logits, y)  # SL522
        p = torch.exp(-bce)
        alpha = 0.9 * y + 0.1 * (1 - y)
        return (alpha * (1 - p) ** 2.0 * bce).mean()

    train(criterion, classes=1)


def bad_mean_taken_by_hand():
    def criterion(logits, y):
        bce = F.binary_cross_entropy(logits.sigmoid(), y, reduction="none").mean()  # SL522
        return 0.25 * (1 - torch.exp(-bce)).pow(2) * bce

    train(criterion, classes=1)


def bad_pixels():
    def criterion(logits, y):
        maps = logits[:, :, None, None].expand(-1, -1, 2, 2)
        ce = F.cross_entropy(maps, y[:, None, None].expand(-1, 2, 2))  # SL522
        return (1 - (-ce).exp()) * ce

    train(criterion, batch=1)


def good_each_sample_its_own():
    def criterion(logits, y):
        ce = F.cross_entropy(logits, y, reduction="none")
        return ((1 - torch.exp(-ce)) ** 2 * ce).mean()

    train(criterion)


def fine_one_sample():
    def criterion(logits, y):
        ce = F.cross_entropy(logits, y)
        return (1 - torch.exp(-ce)) ** 2 * ce

    train(criterion, batch=1)


def fine_losses_of_samples_one_by_one():
    def criterion(logits, y):
        total = 0.0
        for row, label in zip(logits, y, strict=True):
            ce = F.cross_entropy(row, label)
            total = total + (1 - torch.exp(-ce)) ** 2 * ce
        return total / len(y)

    train(criterion)


def fine_uncertainty_that_is_learnt():
    s = nn.Parameter(torch.zeros(()))

    def criterion(logits, y):
        return torch.exp(-s) * F.cross_entropy(logits, y) + s

    train(criterion, more=[s])


def fine_likelihood():
    def criterion(logits, y):
        return 1 - torch.exp(-F.cross_entropy(logits, y))

    train(criterion)


def fine_another_tasks_loss():
    def criterion(logits, y):
        ce = F.cross_entropy(logits, y)
        return (1 - torch.exp(-ce)) * logits.square().mean() + ce

    train(criterion)


def fine_regression():
    def criterion(logits, y):
        loss = F.mse_loss(logits, y)
        return (1 - torch.exp(-loss)) * loss

    train(criterion, classes=1)
