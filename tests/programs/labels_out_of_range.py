"""SL510 labels-out-of-range. `# SL510` marks where the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn


def train(model, loss_of, label_of, steps=4):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        x = torch.randn(16, 4)
        y = label_of(x[:, :2])
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()


def signs(x):
    return torch.where(x > 0, 1.0, -1.0)


def zeros_and_ones(x):
    return (x > 0).float()


def bad_signs_for_bce():
    criterion = nn.BCEWithLogitsLoss()

    def loss_of(out, y):
        return criterion(out, y)  # SL510

    train(nn.Linear(4, 2), loss_of, signs)


def bad_mask_of_bytes():
    def loss_of(out, y):
        return F.binary_cross_entropy_with_logits(out, y * 255)  # SL510

    train(nn.Linear(4, 2), loss_of, zeros_and_ones)


def bad_numbers_of_classes():
    def loss_of(out, y):
        return F.binary_cross_entropy_with_logits(out, y.sum(1, keepdim=True))  # SL510

    train(nn.Linear(4, 1), loss_of, zeros_and_ones)


def bad_normalised_image_reconstructed():
    def loss_of(out, y):
        each = F.binary_cross_entropy_with_logits(out, y, reduction="none")  # SL510
        return each.mean()

    train(nn.Linear(4, 2), loss_of, lambda x: (x - x.mean()) / x.std() * 2)


def bad_zeros_for_soft_margin():
    def loss_of(out, y):
        return F.soft_margin_loss(out, y)  # SL510

    train(nn.Linear(4, 2), loss_of, zeros_and_ones)


def good_zeros_and_ones():
    train(nn.Linear(4, 2), nn.BCEWithLogitsLoss(), zeros_and_ones)


def good_signs_for_soft_margin():
    train(nn.Linear(4, 2), nn.SoftMarginLoss(), signs)


def fine_noisy_labels_of_a_gan():
    train(
        nn.Linear(4, 2),
        nn.BCEWithLogitsLoss(),
        lambda x: zeros_and_ones(x) + torch.empty_like(x).uniform_(-0.3, 0.3),
    )


def fine_missing_labels_masked_after():
    def loss_of(out, y):
        each = F.binary_cross_entropy_with_logits(out, y, reduction="none")
        known = (y >= 0).float()
        return (each * known).sum() / known.sum()

    train(nn.Linear(4, 2), loss_of, signs)


def fine_missing_labels_indexed():
    def loss_of(out, y):
        return F.binary_cross_entropy_with_logits(out, y, reduction="none")[y >= 0].mean()

    train(nn.Linear(4, 2), loss_of, signs)


def fine_missing_labels_without_weight():
    def loss_of(out, y):
        return F.binary_cross_entropy_with_logits(out, y, weight=(y >= 0).float())

    train(nn.Linear(4, 2), loss_of, signs)


def fine_samples_left_out():
    def loss_of(out, y):
        each = F.binary_cross_entropy_with_logits(out, y, reduction="none").sum(1)
        return (each * (y >= 0).all(1)).sum()

    train(nn.Linear(4, 2), loss_of, signs)


def fine_one_class_in_a_batch():
    train(nn.Linear(4, 2), nn.SoftMarginLoss(), torch.ones_like)


def pairs(loss_of, label_of, steps=4):
    torch.manual_seed(0)
    tower = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(tower.parameters(), lr=0.01)
    for _ in range(steps):
        one, other = torch.randn(2, 16, 4).unbind()
        optimizer.zero_grad()
        loss_of(tower(one), tower(other), label_of(one[:, 0])).backward()
        optimizer.step()


def bad_zeros_for_a_cosine_embedding():
    criterion = nn.CosineEmbeddingLoss(margin=0.2)

    def loss_of(one, other, y):
        return criterion(one, other, y)  # SL510

    pairs(loss_of, zeros_and_ones)


def bad_truth_values_for_a_ranking():
    def loss_of(one, other, y):
        loss = F.margin_ranking_loss(one[:, 0], other[:, 0], y, margin=0.1)  # SL510
        return loss + 0.1 * one.pow(2).mean()

    pairs(loss_of, zeros_and_ones)


def good_signs_for_a_cosine_embedding():
    pairs(nn.CosineEmbeddingLoss(), signs)


def fine_ties_beside_both_orders():
    def loss_of(one, other, y):
        return F.margin_ranking_loss(one[:, 0], other[:, 0], y)

    pairs(loss_of, lambda x: signs(x) * (x.abs() > 0.3))


def fine_pairs_of_one_kind():
    def loss_of(one, other, y):
        return F.cosine_embedding_loss(one, other, torch.ones_like(y))

    pairs(loss_of, signs)


def standardised(x):
    return (x - x.mean()) / x.std()


def bad_relu_before_a_regression():
    def loss_of(out, y):
        return F.mse_loss(out, y)  # SL510

    train(
        nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2), nn.ReLU()), loss_of, standardised
    )


def bad_sigmoid_for_standardised_images():
    def loss_of(out, y):
        return F.smooth_l1_loss(out, y)  # SL510

    train(nn.Sequential(nn.Linear(4, 2), nn.Sigmoid()), loss_of, standardised)


def fine_relu_for_counts_with_noise():
    def loss_of(out, y):
        return F.mse_loss(out, y)

    def counts(x):
        return x.abs().mul(3).round() + 0.2 * torch.randn(x.shape)

    model = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    nn.init.ones_(model[0].bias)
    train(model, loss_of, counts)


def fine_sigmoid_of_a_mask_that_leaves_out():
    def loss_of(out, y):
        return (F.mse_loss(out, y, reduction="none") * (y >= 0)).mean()

    train(
        nn.Sequential(nn.Linear(4, 2), nn.Sigmoid()),
        loss_of,
        lambda x: torch.where(x > 0, 1.0, -1.0),
    )


def tags(loss_of, several=True, steps=4):
    torch.manual_seed(0)
    model = nn.Linear(6, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        x = torch.randn(32, 6)
        one = F.one_hot(x[:, :5].argmax(1), 5).float()
        optimizer.zero_grad()
        loss_of(model(x), (x[:, :5] > 0).float() if several else one).backward()
        optimizer.step()


def bad_several_labels_behind_a_softmax():
    def loss_of(logits, y):
        return F.binary_cross_entropy(logits.softmax(1), y)  # SL510

    tags(loss_of)


def fine_several_labels_behind_a_sigmoid():
    def loss_of(logits, y):
        return F.binary_cross_entropy(logits.sigmoid(), y)

    tags(loss_of)


def fine_one_label_each_behind_a_softmax():
    def loss_of(logits, y):
        return F.binary_cross_entropy(logits.softmax(1), y)

    tags(loss_of, several=False)


def bad_distances_with_labels_of_zero():
    def loss_of(logits, y):
        return F.hinge_embedding_loss(logits[:, 0].abs(), y[:, 0])  # SL510

    tags(loss_of)


def fine_distances_with_labels_of_both_signs():
    def loss_of(logits, y):
        return F.hinge_embedding_loss(logits[:, 0].abs(), 2 * y[:, 0] - 1)

    tags(loss_of)


def bad_several_labels_for_a_cross_entropy():
    tags(lambda logits, y: F.cross_entropy(logits, y))  # SL510


def fine_several_labels_that_share_one():
    tags(lambda logits, y: F.cross_entropy(logits, y / y.sum(1, keepdim=True).clamp(min=1)))


def fine_one_label_each_as_a_distribution():
    tags(lambda logits, y: F.cross_entropy(logits, y), several=False)


def fine_multinomial_likelihood_of_what_was_chosen():
    """As a recommender has it that draws items from one distribution for each user."""
    tags(lambda logits, y: -(logits.log_softmax(1) * y).sum(1).mean())


def bad_labels_given_first():
    def loss_of(out, y):
        return F.binary_cross_entropy(y, out.sigmoid())  # SL510

    train(nn.Linear(4, 2), loss_of, zeros_and_ones)


def bad_labels_given_first_to_logits():
    criterion = nn.BCEWithLogitsLoss()

    def loss_of(out, y):
        return criterion(y, out)  # SL510

    train(nn.Linear(4, 2), loss_of, zeros_and_ones)


def bad_pictures_given_first():
    def loss_of(out, y):
        return F.binary_cross_entropy(y, out.sigmoid())  # SL510

    train(nn.Linear(4, 2), loss_of, lambda x: x.sigmoid())


def good_labels_given_second():
    def loss_of(out, y):
        return F.binary_cross_entropy(out.sigmoid(), y)

    train(nn.Linear(4, 2), loss_of, zeros_and_ones)


def fine_both_sides_predicted():
    def loss_of(out, y):
        each = out.sigmoid()
        return F.binary_cross_entropy(each, each) + F.binary_cross_entropy(each, y)

    train(nn.Linear(4, 2), loss_of, zeros_and_ones)
