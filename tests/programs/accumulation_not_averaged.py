"""SL207 accumulation-not-averaged. `# SL207` marks the lines at which the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def build():
    model = nn.Linear(4, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.01)


def batch():
    return torch.randn(16, 4), torch.randint(0, 3, (16,))


def bad_cross_entropy():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            F.cross_entropy(model(x), y).backward()  # SL207
        optimizer.step()


def bad_mean_of_two_terms():
    model, optimizer = build()
    for step in range(1, 7):
        x, y = batch()
        loss = F.cross_entropy(model(x), y) + F.mse_loss(model(x), torch.zeros(16, 3))
        loss.backward()  # SL207
        if step % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()


def bad_scaled_by_a_grad_scaler_alone():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for step in range(1, 13):
        x, y = batch()
        scaler.scale(F.cross_entropy(model(x), y)).backward()  # SL207
        if step % 4 == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def good_divided():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            (F.cross_entropy(model(x), y) / 4).backward()
        optimizer.step()


def fine_summed():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            F.cross_entropy(model(x), y, reduction="sum").backward()
        optimizer.step()


def fine_weighted_by_gradient():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            F.cross_entropy(model(x), y).backward(gradient=torch.tensor(0.25))
        optimizer.step()


def fine_divided_by_hand():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            F.cross_entropy(model(x), y).backward()
        for parameter in model.parameters():
            parameter.grad /= 4
        optimizer.step()


def fine_different_losses():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        x, y = batch()
        F.cross_entropy(model(x), y).backward()
        F.mse_loss(model(x), torch.zeros(16, 3)).backward()
        optimizer.step()


def fine_scaled_by_a_factor():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            (0.25 * F.cross_entropy(model(x), y)).backward()
        optimizer.step()


def fine_divided_and_scaled_by_a_grad_scaler():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for step in range(1, 13):
        x, y = batch()
        scaler.scale(F.cross_entropy(model(x), y) / 4).backward()
        if step % 4 == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def bad_a_mean_beside_a_weighted_term():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            out = model(x)
            (F.cross_entropy(out, y) + 0.1 * out.pow(2).mean()).backward()  # SL207
        optimizer.step()


def fine_a_divided_sum_of_two_means():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            out = model(x)
            ((F.cross_entropy(out, y) + 0.1 * out.pow(2).mean()) / 4).backward()
        optimizer.step()


def bad_divided_twice():
    model, optimizer = build()
    for _ in range(3):
        for _ in range(4):
            loss = F.cross_entropy(model(torch.randn(8, 4)), torch.randint(3, (8,))) / 4
            (loss / 4).backward()  # SL207
        optimizer.step()
        optimizer.zero_grad()


def fine_a_weight_of_half_divided_by_two():
    model, optimizer = build()
    for _ in range(3):
        for _ in range(2):
            loss = F.cross_entropy(model(torch.randn(8, 4)), torch.randint(3, (8,))) / 2
            (loss / 2).backward()
        optimizer.step()
        optimizer.zero_grad()


def accumulate(due, k, divisor):
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for i in range(16):
        x = torch.randn(8, 4)
        loss = nn.functional.mse_loss(model(x), x[:, :1]) / divisor
        loss.backward()
        if due(i, k):
            optimizer.step()
            optimizer.zero_grad()


def bad_step_unless_the_batch_is_a_fourth():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    k = 4
    for i in range(16):
        x = torch.randn(8, 4)
        loss = nn.functional.mse_loss(model(x), x[:, :1]) / k
        loss.backward()
        if (i + 1) % k:  # SL207
            optimizer.step()
            optimizer.zero_grad()


def bad_remainder_that_is_not_0():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    accumulation = 3
    for i in range(18):
        x = torch.randn(8, 4)
        loss = nn.functional.mse_loss(model(x), x[:, :1])
        loss /= accumulation
        loss.backward()
        if (i + 1) % accumulation != 0:  # SL207
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def good_step_at_each_fourth():
    accumulate(lambda i, k: (i + 1) % k == 0, 4, 4)


def fine_remainder_of_something_else():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    every, parts = 4, 2
    for i in range(16):
        x = torch.randn(8, 4)
        loss = nn.functional.mse_loss(model(x), x[:, :1])
        loss = (loss + model(x).abs().mean()) / parts
        loss.backward()
        if i % every:
            optimizer.step()
            optimizer.zero_grad()


def fine_batches_that_are_passed_over():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    k = 4
    for i in range(16):
        x = torch.randn(8, 4)
        (nn.functional.mse_loss(model(x), x[:, :1]) / k).backward()
        if (i + 1) % k:
            continue
        optimizer.step()
        optimizer.zero_grad()


def fine_two_networks_by_turns():
    model, critic = nn.Linear(4, 1), nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    other = torch.optim.SGD(critic.parameters(), lr=0.01)
    k = 5
    for i in range(20):
        x = torch.randn(8, 4)
        if i % k:
            other.zero_grad()
            nn.functional.mse_loss(critic(x), x[:, :1]).backward()
            other.step()
        else:
            optimizer.zero_grad()
            (nn.functional.mse_loss(model(x), x[:, :1]) / 2).backward()
            optimizer.step()
    assert i / k > 0


def bad_divided_by_the_one_process_there_is():
    model, optimizer = build()
    world_size = 1
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            (F.cross_entropy(model(x), y) / world_size).backward()  # SL207
        optimizer.step()


def bad_means_over_what_a_mask_leaves():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            seen = torch.rand(len(y)) < 0.6
            seen[0] = True
            losses = F.cross_entropy(model(x), y, reduction="none")
            loss = (losses * seen).sum() / seen.sum()
            loss.backward()  # SL207
        optimizer.step()


def good_sums_over_the_whole_mask():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        parts = [(*batch(), torch.rand(8) < 0.6) for _ in range(4)]
        total = sum(len(y) for _, y, _ in parts)
        for x, y, _ in parts:
            seen = torch.rand(len(y)) < 0.6
            losses = F.cross_entropy(model(x), y, reduction="none")
            ((losses * seen).sum() / total).backward()
        optimizer.step()


def fine_masked_mean_scaled_as_a_whole():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            seen = torch.rand(len(y)) < 0.6
            losses = F.cross_entropy(model(x), y, reduction="none")
            (0.25 * (losses * seen).sum() / seen.sum().clamp(min=1)).backward()
        optimizer.step()


def texts(lengths, longest=12):
    """A batch of texts of these lengths; the labels of the rest are ignored."""
    y = torch.randint(0, 3, (len(lengths), longest))
    for row, length in enumerate(lengths):
        y[row, length:] = -100
    return torch.randn(len(lengths), longest, 4), y


def windows():
    for lengths in ([12, 12], [2, 3], [12, 9], [11, 12]), ([3, 2], [12, 10], [2, 2], [9, 12]):
        yield [texts(each) for each in lengths]


def bad_means_over_unequal_numbers_of_labels():
    model, optimizer = build()
    for parts in [*windows(), *windows()]:
        optimizer.zero_grad()
        for x, y in parts:
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
            (loss / len(parts)).backward()  # SL207
        optimizer.step()


def bad_unequal_means_by_a_factor_in_two_dimensions():
    model, optimizer = build()
    for parts in [*windows(), *windows()]:
        optimizer.zero_grad()
        for x, y in parts:
            (F.cross_entropy(model(x).transpose(1, 2), y) * (1 / len(parts))).backward()  # SL207
        optimizer.step()


def good_sums_over_the_labels_of_all():
    model, optimizer = build()
    for parts in [*windows(), *windows()]:
        optimizer.zero_grad()
        total = sum(int((y != -100).sum()) for _, y in parts)
        for x, y in parts:
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum")
            (loss / total).backward()
        optimizer.step()


def fine_means_over_about_as_many_labels():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        for lengths in ([12, 7], [9, 9], [12, 12], [6, 8]):
            x, y = texts(lengths)
            (F.cross_entropy(model(x).flatten(0, 1), y.flatten()) / 4).backward()
        optimizer.step()


def fine_a_last_batch_that_is_short():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        for lengths in ([12, 7], [9, 9], [12, 12], [2]):
            x, y = texts(lengths)
            (F.cross_entropy(model(x).flatten(0, 1), y.flatten()) / 4).backward()
        optimizer.step()


def fine_means_of_batches_of_which_nothing_is_ignored():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        for length in (12, 3, 7, 12):
            x, y = torch.randn(length, 4), torch.randint(0, 3, (length,))
            (F.cross_entropy(model(x), y) / 4).backward()
        optimizer.step()


def fine_unequal_means_scaled_by_their_share():
    model, optimizer = build()
    for parts in [*windows(), *windows()]:
        optimizer.zero_grad()
        total = sum(int((y != -100).sum()) for _, y in parts)
        for x, y in parts:
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
            (loss * (int((y != -100).sum()) / total)).backward()
        optimizer.step()


def fine_unequal_means_of_weighted_classes():
    model, optimizer = build()
    weight = torch.tensor([1.0, 0.1, 4.0])
    for parts in [*windows(), *windows()]:
        optimizer.zero_grad()
        for x, y in parts:
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), weight=weight)
            (loss / len(parts)).backward()
        optimizer.step()


def fine_unequal_means_one_for_each_step():
    model, optimizer = build()
    for parts in [*windows(), *windows()]:
        for x, y in parts:
            optimizer.zero_grad()
            (F.cross_entropy(model(x).flatten(0, 1), y.flatten()) / 4).backward()
            optimizer.step()


def batches(count=11):
    data = TensorDataset(torch.randn(8 * count, 4), torch.randint(0, 3, (8 * count,)))
    return DataLoader(data, batch_size=8)


def bad_rest_of_a_pass_carried_into_the_next():
    model, optimizer = build()
    loader = batches()
    for _ in range(5):
        for i, (x, y) in enumerate(loader):
            (F.cross_entropy(model(x), y) / 4).backward()  # SL207
            if (i + 1) % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()


def bad_rest_of_a_long_pass_carried_into_the_next():
    model, optimizer = build()
    loader = batches(101)
    for _ in range(3):
        for i, (x, y) in enumerate(loader):
            (F.cross_entropy(model(x), y) / 4).backward()  # SL207
            if (i + 1) % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()


def good_rest_of_a_pass_stepped():
    model, optimizer = build()
    loader = batches()
    for _ in range(5):
        for i, (x, y) in enumerate(loader):
            (F.cross_entropy(model(x), y) / 4).backward()
            if (i + 1) % 4 == 0 or i + 1 == len(loader):
                optimizer.step()
                optimizer.zero_grad()


def fine_batches_counted_on_from_pass_to_pass():
    model, optimizer = build()
    count = 0
    for _ in range(8):
        for x, y in batches():
            (F.cross_entropy(model(x), y) / 4).backward()
            count += 1
            if count % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()


def fine_rest_of_a_pass_cleared():
    model, optimizer = build()
    loader = batches()
    for _ in range(5):
        optimizer.zero_grad()
        for i, (x, y) in enumerate(loader):
            (F.cross_entropy(model(x), y) / 4).backward()
            if (i + 1) % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()


def fine_validation_between_two_batches():
    model, optimizer = build()
    held = batches(2)
    for _ in range(4):
        for i, (x, y) in enumerate(batches(12)):
            (F.cross_entropy(model(x), y) / 4).backward()
            if (i + 1) % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()
            if i == 5:
                with torch.no_grad():
                    for x, _ in held:
                        model(x)


def rescale(loss_of, factor, k=4):
    model, optimizer = build()
    for _ in range(8):
        optimizer.zero_grad()
        for _ in range(k):
            x, y = batch()
            loss_of(F.cross_entropy(model(x), y)).backward()
        for parameter in model.parameters():
            parameter.grad.mul_(factor)
        optimizer.step()


def bad_gradients_divided_once_more():
    model, optimizer = build()
    for _ in range(8):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            (F.cross_entropy(model(x), y) / 4).backward()  # SL207
        for parameter in model.parameters():
            parameter.grad /= 4
        optimizer.step()


def fine_gradients_scaled_by_another_number():
    rescale(lambda loss: loss / 4, 1 / 3)


def fine_sums_divided_in_the_gradients():
    rescale(lambda loss: loss, 1 / 4)


def fine_gradients_clipped():
    model, optimizer = build()
    for _ in range(8):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            (F.cross_entropy(model(x), y) / 4).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        optimizer.step()


def fine_some_gradients_scaled():
    model, optimizer = build()
    for _ in range(8):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            (F.cross_entropy(model(x), y) / 4).backward()
        model.bias.grad /= 4
        optimizer.step()
