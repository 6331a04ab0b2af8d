"""SL504 loss-broadcast. `# SL504` marks the lines at which the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn


def train(model, loss_of, steps=3, features=4):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        x = torch.randn(8, features)
        optimizer.zero_grad()
        loss_of(model, x, x.sum(1)).backward()
        optimizer.step()


def bad_mse_loss():
    def loss_of(model, x, y):
        return F.mse_loss(model(x), y)  # SL504

    train(nn.Linear(4, 1), loss_of)


def bad_l1_and_smooth_l1_loss():
    def loss_of(model, x, y):
        if x[0, 0] > 1e9:
            return F.l1_loss(model(x), y)
        return F.smooth_l1_loss(model(x), y)  # SL504

    train(nn.Linear(4, 1), loss_of)


def bad_l1_loss():
    def loss_of(model, x, y):
        return nn.L1Loss()(model(x), y)  # SL504

    train(nn.Linear(4, 1), loss_of)


def bad_percentage_error():
    def loss_of(model, x, y):
        return ((model(x) - y) / (y.abs() + 1)).abs().mean()  # SL504

    train(nn.Linear(4, 1), loss_of)


def fine_percentage_error():
    def loss_of(model, x, y):
        return ((model(x).squeeze(1) - y) / (y.abs() + 1)).abs().mean()

    train(nn.Linear(4, 1), loss_of)


def bad_by_hand():
    def loss_of(model, x, y):
        return ((model(x) - y) ** 2).mean()  # SL504

    train(nn.Linear(4, 1), loss_of)


def bad_target_first():
    def loss_of(model, x, y):
        error = y - model(x)  # SL504
        return error.abs().sum() / len(x)

    train(nn.Linear(4, 1), loss_of)


def bad_target_with_the_extra_dimension():
    def loss_of(model, x, y):
        return (model(x).squeeze(1) - y[:, None]).pow(2).mean()  # SL504

    train(nn.Linear(4, 1), loss_of)


def bad_flattened_prediction():
    def loss_of(model, x, y):
        return nn.HuberLoss()(model(x).flatten(), y.unsqueeze(1))  # SL504

    train(nn.Linear(4, 1), loss_of)


def bad_pinball():
    def loss_of(model, x, y):
        error = y - model(x)  # SL504
        return torch.max(0.1 * error, -0.9 * error).mean()

    train(nn.Linear(4, 1), loss_of)


def bad_policy_gradient():
    def loss_of(model, x, y):
        log_p = torch.distributions.Normal(model(x).squeeze(1), 1.0).log_prob(y)
        return -(log_p * y[:, None]).mean()  # SL504

    train(nn.Linear(4, 1), loss_of)


def bad_images():
    def loss_of(model, x, y):
        image = model(x.reshape(8, 1, 2, 2))
        return F.mse_loss(image, torch.randn(8, 2, 2))  # SL504

    train(nn.Conv2d(1, 1, 1), loss_of)


def bad_q_target():
    def loss_of(model, x, y):
        q = model(x).gather(1, torch.zeros(8, 1, dtype=torch.long))
        with torch.no_grad():
            target = y + 0.9 * model(x).max(1).values
        return F.smooth_l1_loss(q, target)  # SL504

    train(nn.Linear(4, 3), loss_of)


def bad_gaussian_likelihood():
    def loss_of(model, x, y):
        mean = model(x)
        return -torch.distributions.Normal(mean, 1.0).log_prob(y).mean()  # SL504

    train(nn.Linear(4, 1), loss_of)


def good_same_shapes():
    def loss_of(model, x, y):
        return F.mse_loss(model(x).squeeze(1), y)

    train(nn.Linear(4, 1), loss_of)


def fine_weights_and_masks():
    def loss_of(model, x, y):
        error = (model(x) - x[:, :3]) ** 2
        return (error * y[:, None].abs() * (y > 0).float()[:, None]).mean()

    train(nn.Linear(4, 3), loss_of)


def fine_quantiles():
    levels = torch.tensor([0.1, 0.5, 0.9])

    def loss_of(model, x, y):
        error = y[:, None] - model(x)
        return torch.max(levels * error, (levels - 1) * error).mean()

    train(nn.Linear(4, 3), loss_of)


def fine_as_many_quantiles_as_samples():
    def loss_of(model, x, y):
        own, others = model(x), torch.randn(8, 8)
        return F.smooth_l1_loss(
            own.unsqueeze(2).expand(-1, -1, 8), others.unsqueeze(1).expand(-1, 8, -1)
        )

    train(nn.Linear(4, 8), loss_of)


def fine_pairwise_ranking():
    def loss_of(model, x, y):
        score = model(x).squeeze(1)
        apart = score[:, None] - score[None, :]
        return F.softplus(-apart * (y[:, None] - y[None, :]).sign()).mean()

    train(nn.Linear(4, 1), loss_of)


def fine_pairs_with_targets_on_purpose():
    def loss_of(model, x, y):
        score = model(x).squeeze(1)
        return (score.unsqueeze(1) - y.unsqueeze(0)).abs().mean() - 0.5 * (
            score[:, None] - score[None, :]
        ).abs().mean()

    train(nn.Linear(4, 1), loss_of)


def fine_nearest_target():
    def loss_of(model, x, y):
        points = model(x)
        apart = ((points[:, None] - x[None, :, :2]) ** 2).sum(2)
        return apart.min(1).values.mean() + apart.min(0).values.mean()

    train(nn.Linear(4, 2), loss_of)


def fine_distances_by_the_product():
    def loss_of(model, x, y):
        made, real = model(x), x[:, :2]
        apart = made.pow(2).sum(1, keepdim=True) + real.pow(2).sum(1)[None] - 2 * made @ real.t()
        return apart.clamp_min(0).mean()

    train(nn.Linear(4, 2), loss_of)


def fine_kernel_of_samples():
    def loss_of(model, x, y):
        made = model(x)
        return -torch.exp(-((made - y) ** 2)).mean()

    train(nn.Linear(4, 1), loss_of)


def fine_ensemble_against_one_target():
    def loss_of(model, x, y):
        return ((model(x).t() - y) ** 2).mean()

    train(nn.Linear(4, 5), loss_of)


def fine_full_matrix_as_target():
    table = torch.randn(8, 8)

    def loss_of(model, x, y):
        return ((model(x) - table) ** 2).mean()

    train(nn.Linear(4, 1), loss_of)


def fine_scalar_and_bias():
    def loss_of(model, x, y):
        return ((model(x).squeeze(1) + 1.0 - y) ** 2 * torch.tensor(2.0)).mean()

    train(nn.Linear(4, 1), loss_of)


def fine_batch_of_one():
    def loss_of(model, x, y):
        return ((model(x[:1]) - y[:1]) ** 2).mean()

    train(nn.Linear(4, 1), loss_of)


def fine_outer_product_in_the_model():
    class Basis(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain, self.out = nn.Linear(4, 1), nn.Linear(8, 1)
            self.register_buffer("centers", torch.randn(8))

        def forward(self, x):
            return self.out((self.gain(x) - self.centers).pow(2))

    def loss_of(model, x, y):
        return ((model(x).squeeze(1) - y) ** 2).mean()

    train(Basis(), loss_of)


def bad_of_a_later_phase():
    body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    classes = nn.Sequential(body, nn.Linear(8, 3))
    train(classes, lambda m, x, y: F.cross_entropy(m(x), y.gt(0).long()), steps=20)

    def loss_of(model, x, y):
        error = model(x) - y  # SL504
        return error.pow(2).mean()

    train(nn.Sequential(body, nn.Linear(8, 1)), loss_of, steps=6)


def bad_advantage_of_returns_and_values():
    def loss_of(model, x, y):
        log_p = torch.distributions.Normal(model(x).squeeze(1), 1.0).log_prob(y)
        advantage = y - torch.randn(8, 1)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        return -(log_p * advantage).mean()  # SL504

    train(nn.Linear(4, 1), loss_of)


def fine_product_with_the_pairs_of_one_list():
    def loss_of(model, x, y):
        score = model(x).squeeze(1)
        return -(score * (y[:, None] - y[None, :])).mean()

    train(nn.Linear(4, 1), loss_of)


def fine_product_with_a_matrix():
    near = torch.rand(8, 8)

    def loss_of(model, x, y):
        return (model(x).squeeze(1) * near).sum(1).sub(y).pow(2).mean()

    train(nn.Linear(4, 1), loss_of)
