"""SL501 softmax-before-cross-entropy. `# SL501` marks the lines at which the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical


def train(model, loss_of, steps=3, classes=3, features=4):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        x, y = torch.randn(8, features), torch.randint(0, classes, (8,))
        optimizer.zero_grad()
        loss_of(model, x, y).backward()
        optimizer.step()


def bad_softmax_layer():
    criterion = nn.CrossEntropyLoss()

    def loss_of(model, x, y):
        return criterion(model(x), y)  # SL501

    train(nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1)), loss_of)


def bad_softmax_under_other_shapes():
    def loss_of(model, x, y):
        p = torch.softmax(model(x), -1).reshape(2, 4, 3)
        return F.cross_entropy(p.permute(0, 2, 1).float(), y.reshape(2, 4))  # SL501

    train(nn.Linear(4, 3), loss_of)


def bad_softmax_and_soft_labels():
    def loss_of(model, x, y):
        p = model(x).softmax(1)
        return F.cross_entropy(p, F.one_hot(y, 3).float())  # SL501

    train(nn.Linear(4, 3), loss_of)


def bad_softmax_with_label_smoothing():
    def loss_of(model, x, y):
        p = model(x).softmax(1)
        return F.cross_entropy(p, y, label_smoothing=0.1)  # SL501

    train(nn.Linear(4, 3), loss_of)


def bad_softmax_and_cross_entropy_by_hand():
    def loss_of(model, x, y):
        logp = F.log_softmax(model(x).softmax(1), 1)
        nll = -logp.gather(1, y[:, None]).squeeze(1)  # SL501
        return (0.9 * nll - 0.1 * logp.mean(1)).mean()

    train(nn.Linear(4, 3), loss_of)


def bad_softmax_and_policy_gradient():
    def loss_of(model, x, y):
        logp = model(x).softmax(-1).log_softmax(-1)
        return -(logp[torch.arange(8), y] * torch.randn(8)).sum()  # SL501

    train(nn.Linear(4, 3), loss_of)


def bad_log_softmax_twice():
    """A note: the second log-softmax changes nothing."""

    def loss_of(model, x, y):
        return F.cross_entropy(F.log_softmax(model(x), 1), y)  # SL501

    train(nn.Linear(4, 3), loss_of)


def good_logits():
    def loss_of(model, x, y):
        return F.cross_entropy(model(x), y)

    train(nn.Linear(4, 3), loss_of)


def fine_nll_of_log_softmax():
    def loss_of(model, x, y):
        return F.nll_loss(F.log_softmax(model(x), 1), y)

    train(nn.Linear(4, 3), loss_of)


def fine_cross_entropy_by_hand():
    def loss_of(model, x, y):
        logp = F.log_softmax(model(x), 1)
        entropy = -(model(x).softmax(1) * logp).sum(1)
        return (-logp.gather(1, y[:, None]).squeeze(1) - 0.01 * entropy).mean()

    train(nn.Linear(4, 3), loss_of)


def fine_attention_inside():
    class Pool(nn.Module):
        def __init__(self):
            super().__init__()
            self.score, self.value, self.out = nn.Linear(4, 1), nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            bag = x.reshape(-1, 2, 4)
            weights = torch.softmax(self.score(bag), dim=1)
            return self.out((weights * self.value(bag)).sum(1))

    def loss_of(model, x, y):
        return F.cross_entropy(model(x), y[:4])

    train(Pool(), loss_of)


def fine_attention_after_the_last_layer():
    def loss_of(model, x, y):
        members = model(x).reshape(8, 2, 3)
        weights = torch.softmax(members.mean(2, keepdim=True), dim=1)
        return F.cross_entropy((weights * members).sum(1), y)

    train(nn.Linear(4, 6), loss_of)


def fine_temperature():
    def loss_of(model, x, y):
        return F.cross_entropy(model(x) / 0.5, y)

    train(nn.Linear(4, 3), loss_of)


def fine_distillation():
    teacher = nn.Linear(4, 3)

    def loss_of(model, x, y):
        logits = model(x)
        soft = torch.softmax(teacher(x).detach() / 2, 1)
        return F.cross_entropy(logits, y) + F.kl_div(
            F.log_softmax(logits / 2, 1), soft, reduction="batchmean"
        )

    train(nn.Linear(4, 3), loss_of)


def fine_mixture_of_log_probabilities():
    def loss_of(model, x, y):
        log_mix = F.log_softmax(model(x)[:, :2], 1)
        log_p = F.log_softmax(model(x)[:, 2:].reshape(8, 2, 3), 2)
        return F.nll_loss(torch.logsumexp(log_mix.unsqueeze(2) + log_p, 1), y)

    train(nn.Linear(4, 8), loss_of)


def fine_entropy_bonus():
    def loss_of(model, x, y):
        logits = model(x)
        p = logits.softmax(1)
        entropy = -(p * p.clamp_min(1e-8).log()).sum(1).mean()
        return F.cross_entropy(logits, y) - 0.01 * entropy

    train(nn.Linear(4, 3), loss_of)


def fine_log_of_softmax():
    def loss_of(model, x, y):
        return F.nll_loss(torch.log(model(x).softmax(1) + 1e-8), y)

    train(nn.Linear(4, 3), loss_of)


def fine_contrastive():
    def loss_of(model, x, y):
        z = F.normalize(model(x), dim=1)
        similar = z @ z.t() / 0.1
        return F.cross_entropy(similar.masked_fill(torch.eye(8, dtype=torch.bool), -1e9), y)

    train(nn.Linear(4, 3), loss_of)


def bad_relu_as_the_last_layer():
    def loss_of(model, x, y):
        return F.cross_entropy(model(x), y)  # SL501

    train(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), loss_of)


def bad_softmax_of_a_later_phase():
    body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    train(nn.Sequential(body, nn.Linear(8, 3)), lambda m, x, y: F.cross_entropy(m(x), y), steps=20)
    model = nn.Sequential(body, nn.Linear(8, 3), nn.Softmax(dim=1))

    def loss_of(model, x, y):
        return F.cross_entropy(model(x), y)  # SL501

    train(model, loss_of, steps=6)


def bad_one_softmax_and_two_losses():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            return self.layer(x).softmax(1)

    def loss_of(model, x, y):
        labelled = F.cross_entropy(model(x), y)  # SL501
        pseudo = F.cross_entropy(model(x + 1), y)
        return labelled + pseudo

    train(Net(), loss_of)


def bad_probabilities_as_a_policys_logits():
    def loss_of(model, x, y):
        policy = Categorical(logits=model(x).softmax(-1))  # SL501
        return -(policy.log_prob(y) * torch.rand(8)).mean() - 0.01 * policy.entropy().mean()

    train(nn.Linear(4, 3), loss_of)


def fine_probabilities_of_a_policy():
    def loss_of(model, x, y):
        policy = Categorical(probs=model(x).softmax(-1))
        return -(policy.log_prob(y) * torch.rand(8)).mean() - 0.01 * policy.entropy().mean()

    train(nn.Linear(4, 3), loss_of)


def fine_energy_less_the_logsumexp_of_another():
    def loss_of(model, x, y):
        gate = model(x).softmax(1)
        return (gate - torch.logsumexp(model(x + 1), 1, keepdim=True)).mean()

    train(nn.Linear(4, 3), loss_of)
