"""SL503 nll-without-log-softmax. `# SL503` marks the lines at which the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn


def train(model, loss_of, steps=3):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
        optimizer.zero_grad()
        loss_of(model, x, y).backward()
        optimizer.step()


def bad_logits():
    criterion = nn.NLLLoss()

    def loss_of(model, x, y):
        return criterion(model(x), y)  # SL503

    train(nn.Linear(4, 3), loss_of)


def bad_probabilities():
    def loss_of(model, x, y):
        return F.nll_loss(model(x).softmax(1), y)  # SL503

    train(nn.Linear(4, 3), loss_of)


def bad_log_softmax_over_another_dimension():
    def loss_of(model, x, y):
        log_p = F.log_softmax(model(x).reshape(2, 3, 4), dim=2)
        return F.nll_loss(log_p, torch.randint(0, 3, (2, 4)))  # SL503

    train(nn.Linear(4, 3), loss_of)


def bad_relu_before_the_loss():
    def loss_of(model, x, y):
        return F.nll_loss(torch.relu(model(x)), y)  # SL503

    train(nn.Linear(4, 3), loss_of)


def good_log_softmax():
    def loss_of(model, x, y):
        return F.nll_loss(F.log_softmax(model(x), dim=1), y)

    train(nn.Linear(4, 3), loss_of)


def fine_reshaped_log_probabilities():
    def loss_of(model, x, y):
        log_p = F.log_softmax(model(x).reshape(2, 4, 3), dim=2)
        return F.nll_loss(log_p.reshape(-1, 3), y) + F.nll_loss(
            log_p.transpose(1, 2), y.reshape(2, 4)
        )

    train(nn.Linear(4, 3), loss_of)


def fine_masked_log_probabilities():
    def loss_of(model, x, y):
        log_p = F.log_softmax(model(x), dim=1)
        keep = y > 0
        return F.nll_loss(log_p[keep], y[keep])

    train(nn.Linear(4, 3), loss_of)


def fine_subset_of_the_classes():
    def loss_of(model, x, y):
        log_p = F.log_softmax(model(x), dim=1)[:, [0, 1, 2]]
        return F.nll_loss(log_p, y)

    train(nn.Linear(4, 6), loss_of)


def fine_focal_loss():
    def loss_of(model, x, y):
        log_p = F.log_softmax(model(x), dim=1)
        return F.nll_loss((1 - log_p.exp()) ** 2 * log_p, y)

    train(nn.Linear(4, 3), loss_of)


def fine_policy_gradient():
    def loss_of(model, x, y):
        advantage = torch.randn(8, 1)
        return F.nll_loss(F.log_softmax(model(x), dim=1) * advantage, y)

    train(nn.Linear(4, 3), loss_of)


def fine_log_of_a_mixture():
    def loss_of(model, x, y):
        p = model(x).reshape(8, 2, 3).softmax(2).mean(1)
        return F.nll_loss((p + 1e-3).log(), y)

    train(nn.Linear(4, 6), loss_of)


def fine_normalised_elsewhere():
    def loss_of(model, x, y):
        logits = model(x)
        return F.nll_loss(logits, y) + logits.logsumexp(1).mean()

    train(nn.Linear(4, 3), loss_of)


def fine_log_softmax_of_ones_own():
    class LogSoftmax(torch.autograd.Function):
        @staticmethod
        def forward(ctx, logits):
            log_p = logits.log_softmax(1)
            ctx.save_for_backward(log_p)
            return log_p * 1.5

        @staticmethod
        def backward(ctx, given):
            (log_p,) = ctx.saved_tensors
            return given - log_p.exp() * given.sum(1, keepdim=True)

    def loss_of(model, x, y):
        return F.nll_loss(LogSoftmax.apply(model(x)), y)

    train(nn.Linear(4, 3), loss_of)


def fine_joint_log_probabilities():
    def loss_of(model, x, y):
        logits = model(x)
        log_prior = F.logsigmoid(logits[:, 3:])
        return F.nll_loss(F.log_softmax(logits[:, :3], 1) + log_prior, y)

    train(nn.Linear(4, 4), loss_of)


def bad_kl_of_probabilities():
    teacher = nn.Linear(4, 3)

    def loss_of(model, x, y):
        soft = teacher(x).softmax(1).detach()
        return F.kl_div(model(x).softmax(dim=-1), soft, reduction="batchmean")  # SL503

    train(nn.Linear(4, 3), loss_of)


def bad_kl_to_log_probabilities():
    teacher = nn.Linear(4, 3)

    def loss_of(model, x, y):
        soft = teacher(x).log_softmax(1).detach()
        return F.kl_div(model(x).log_softmax(1), soft, reduction="batchmean")  # SL503

    train(nn.Linear(4, 3), loss_of)


def good_kl_told_of_its_logarithms():
    teacher = nn.Linear(4, 3)

    def loss_of(model, x, y):
        soft = teacher(x).log_softmax(1).detach()
        return F.kl_div(model(x).log_softmax(1), soft, reduction="batchmean", log_target=True)

    train(nn.Linear(4, 3), loss_of)


def good_kl_of_log_probabilities():
    teacher = nn.Linear(4, 3)

    def loss_of(model, x, y):
        soft = teacher(x).softmax(1).detach()
        return F.kl_div(model(x).log_softmax(1), soft, reduction="batchmean")

    train(nn.Linear(4, 3), loss_of)


def fine_expected_cost_of_a_softmax():
    def loss_of(model, x, y):
        policy, value = model(x).softmax(1), torch.rand(8, 3)
        return (1 - policy * F.one_hot(y, 3)).mean() - (policy * value).sum(1).mean()

    train(nn.Linear(4, 3), loss_of)


def fine_absolute_error_of_probabilities():
    def loss_of(model, x, y):
        target = F.one_hot(y, 3).float()
        return (target - model(x).softmax(1)).abs().mean() + (
            1 - (target * model(x).softmax(1)).sum(1)
        ).mean()

    train(nn.Linear(4, 3), loss_of)


def bad_ctc_of_logits():
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        words, lengths = torch.randint(1, 3, (4, 2)), torch.full((4,), 6)
        out = model(torch.randn(6, 4, 4))
        loss = F.ctc_loss(out, words, lengths, torch.full((4,), 2))  # SL503
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good_ctc_of_log_probabilities():
    model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(-1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        words, lengths = torch.randint(1, 3, (4, 2)), torch.full((4,), 6)
        out = model(torch.randn(6, 4, 4))
        loss = F.ctc_loss(out, words, lengths, torch.full((4,), 2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_values_picked_and_compared():
    """The value of the action taken, by way of an NLL loss, for the error of a Q-network."""

    def loss_of(model, x, y):
        value = -F.nll_loss(model(x), y, reduction="none")
        return F.mse_loss(value, torch.randn(8))


def bad_prior_that_is_no_logarithm():
    prior = torch.full((3,), 1 / 3)

    def loss_of(model, x, y):
        q = model(x).softmax(-1)
        return F.kl_div(prior.expand_as(q), q, reduction="batchmean")  # SL503

    train(nn.Linear(4, 3), loss_of)


def fine_values_picked_for_an_error_by_hand():
    def loss_of(model, x, y):
        error = torch.randn(8) + F.nll_loss(model(x), y, reduction="none")
        return error.abs().mean() + 0.1 * (error**2).mean()

    train(nn.Linear(4, 3), loss_of)


def bad_logits_of_a_policy_picked_and_weighted():
    def loss_of(model, x, y):
        log_p = -F.nll_loss(model(x), y, reduction="none")  # SL503
        return -(log_p * torch.randn(8)).mean()

    train(nn.Linear(4, 3), loss_of)


def bad_logits_beside_an_error():
    def loss_of(model, x, y):
        losses = F.nll_loss(model(x), y, reduction="none")  # SL503
        return losses.mean() + 0.01 * losses.pow(2).mean()

    train(nn.Linear(4, 3), loss_of)


def fine_margins_of_scores():
    def loss_of(model, x, y):
        scores = model(x)
        right = -F.nll_loss(scores, y, reduction="none")
        other = scores.scatter(1, y[:, None], -9.0).amax(1)
        return F.relu(1 - right + other).mean()

    train(nn.Linear(4, 3), loss_of)


def fine_normalised_by_hand_elsewhere():
    def loss_of(model, x, y):
        scores = model(x)
        return (F.nll_loss(scores, y, reduction="none") + scores.exp().sum(1).log()).mean()

    train(nn.Linear(4, 3), loss_of)


def bad_logits_under_a_flood():
    def loss_of(model, x, y):
        return (F.nll_loss(model(x), y) - 0.1).abs() + 0.1  # SL503

    train(nn.Linear(4, 3), loss_of)


def good_prior_as_logarithms():
    prior = torch.full((3,), 1 / 3)

    def loss_of(model, x, y):
        q = model(x).softmax(-1)
        return F.kl_div(prior.log().expand_as(q), q, reduction="batchmean")

    train(nn.Linear(4, 3), loss_of)


def bad_probabilities_as_log_target():
    teacher = nn.Linear(4, 3)

    def loss_of(model, x, y):
        with torch.no_grad():
            target = teacher(x).softmax(1)
        return F.kl_div(model(x).log_softmax(1), target, log_target=True)  # SL503

    train(nn.Linear(4, 3), loss_of)


def good_logarithms_as_log_target():
    teacher = nn.Linear(4, 3)

    def loss_of(model, x, y):
        with torch.no_grad():
            target = teacher(x).log_softmax(1)
        return F.kl_div(model(x).log_softmax(1), target, reduction="batchmean", log_target=True)

    train(nn.Linear(4, 3), loss_of)


def fine_weights_from_an_entropy():
    def loss_of(model, x, y):
        logs = model(x).log_softmax(1)
        weight = F.one_hot(y, 3).float().exp()  # no target of a `kl_div`
        return (weight * -logs).mean()

    train(nn.Linear(4, 3), loss_of)


def distil(divergence, steps=4):
    torch.manual_seed(0)
    teacher, model = nn.Linear(4, 3).requires_grad_(False), nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        x = torch.randn(16, 4)
        optimizer.zero_grad()
        divergence(model(x), teacher(x)).backward()
        optimizer.step()


def bad_kl_div_of_logits():
    def divergence(mine, theirs):
        return F.kl_div(mine, theirs.softmax(1), reduction="batchmean")  # SL503

    distil(divergence)


def bad_kl_div_of_logits_summed_by_hand():
    def divergence(mine, theirs):
        each = F.kl_div(mine, theirs.softmax(1), reduction="none")  # SL503
        return each.sum(1).mean()

    distil(divergence)


def fine_kl_div_of_log_probabilities():
    def divergence(mine, theirs):
        return F.kl_div(mine.log_softmax(1), theirs.softmax(1), reduction="batchmean")

    distil(divergence)


def fine_difference_to_a_weighted_layer():
    """The weights sum to 1, and what is left is squared."""

    def divergence(mine, theirs):
        return (theirs - theirs.softmax(1) * mine).square().mean()

    distil(divergence)


def fine_kl_div_of_a_target_that_is_no_distribution():
    def divergence(mine, theirs):
        return F.kl_div(mine, theirs.sigmoid(), reduction="batchmean") + mine.square().mean()

    distil(divergence)
