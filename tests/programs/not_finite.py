"""SL601 not-finite. `# SL601` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def build(lr=0.01, kind=torch.optim.SGD):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
    return model, kind(model.parameters(), lr=lr)


def train(model, optimizer, loss_of, steps=4):
    for step in range(steps):
        loss = loss_of(model, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_root_of_zero():
    model, optimizer = build()
    x = torch.randn(8, 4)
    for _ in range(4):
        z = model(x)
        other = model(x)
        distance = ((z - other) ** 2).sum(1).sqrt()  # SL601
        optimizer.zero_grad()
        ((distance - 1) ** 2).mean().backward()
        optimizer.step()


def bad_root_of_zero_after_the_window():
    model, optimizer = build()
    x = torch.randn(8, 4)
    for step in range(40):
        far = 1.0 if step < 30 else 0.0
        z = model(x)
        distance = (((z - z.detach() + far) ** 2).sum(1)).sqrt()  # SL601
        optimizer.zero_grad()
        distance.mean().backward()
        optimizer.step()


def bad_log_of_zero():
    model, optimizer = build()
    for step in range(4):
        share = torch.relu(model(torch.randn(8, 4)))
        entropy = -(share * share.log()).sum(1)  # SL601
        optimizer.zero_grad()
        entropy.mean().backward()
        optimizer.step()


def bad_where_does_not_help():
    model, optimizer = build()
    for _ in range(3):
        y = (model(torch.randn(8, 4)) * torch.tensor([1.0, 0.0, 1.0, 1.0])).abs()
        root = torch.pow(y, 0.5)  # SL601
        loss = torch.where(y > 0, root, torch.zeros_like(y)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_data_holds_nan():
    model, optimizer = build()
    for step in range(4):
        x = torch.randn(8, 4)
        if step == 2:
            x[3, 1] = float("nan")
        y = model(x)  # SL601
        optimizer.zero_grad()
        y.pow(2).mean().backward()
        optimizer.step()


def bad_row_scaled_in_the_forward_after_the_window():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

        def forward(self, x):
            x = x / x.norm(dim=1, keepdim=True)
            return self.layers(x)  # SL601

    model = Scaled()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(30):
        x = torch.randn(8, 4)
        if step == 25:
            x[3] = 0.0
        loss = (model(x) - 1).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_division_by_a_zero_spread():
    model, optimizer = build()
    for step in range(4):
        x = torch.randn(8, 4)
        y = model(x) * (0 if step == 2 else 1)
        scaled = y / y.abs().amax()  # SL601
        optimizer.zero_grad()
        scaled.pow(2).mean().backward()
        optimizer.step()


def bad_every_label_ignored_after_the_window():
    model, optimizer = build()
    for step in range(40):
        y = torch.full((8,), -100) if step == 30 else torch.arange(8) % 4
        loss = F.cross_entropy(model(torch.randn(8, 4)), y)  # SL601
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_nothing_selected():
    model, optimizer = build()
    for step in range(40):
        x = torch.randn(8, 4)
        chosen = torch.arange(8) < (0 if step == 30 else 5)
        loss = F.smooth_l1_loss(model(x)[chosen], x[chosen])  # SL601
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_ctc_target_too_long():
    model, optimizer = build()
    for step in range(40):
        logp = model(torch.randn(6, 2, 4)).log_softmax(-1)
        lengths = torch.tensor([2, 5 if step == 30 else 3])
        y = torch.tensor([[1, 2, 0, 0, 0], [1, 1, 1, 1, 1]])
        loss = F.ctc_loss(logp, y, torch.tensor([6, 6]), lengths)  # SL601
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_by_hand():
    model, _ = build()
    x = torch.randn(8, 4)
    for _ in range(4):
        y = model(x)
        distance = ((y - y.detach()) ** 2).sum(1).sqrt()  # SL601
        model.zero_grad()
        distance.mean().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad


def good_root_kept_above_zero():
    model, optimizer = build()
    x = torch.randn(8, 4)
    for _ in range(4):
        z = model(x)
        other = model(x)
        distance = ((z - other) ** 2).sum(1).clamp_min(1e-12).sqrt()
        optimizer.zero_grad()
        ((distance - 1) ** 2).mean().backward()
        optimizer.step()


def fine_root_of_zero_without_gradient():
    model, optimizer = build()
    train(model, optimizer, lambda m, s: m(torch.randn(8, 4)).pow(2).mean() + torch.zeros(1).sqrt())


def fine_ctc_infinity_zeroed():
    model, optimizer = build()
    y, lengths = torch.ones(2, 5, dtype=torch.long), torch.tensor([2, 5])

    def loss_of(m, step):
        logp = m(torch.randn(6, 2, 4)).log_softmax(-1)
        return F.ctc_loss(logp, y, torch.tensor([6, 6]), lengths, zero_infinity=True)

    train(model, optimizer, loss_of)


def fine_sums_over_nothing():
    model, optimizer = build()
    y, none = torch.full((8,), -100), torch.zeros(8, dtype=torch.bool)

    def loss_of(m, step):
        out = m(torch.randn(8, 4))
        empty = F.mse_loss(out[none], torch.zeros(0, 4), reduction="sum")
        return F.cross_entropy(out, y, reduction="sum") + empty + out.pow(2).mean()

    train(model, optimizer, loss_of)


def fine_norm_at_zero():
    model, optimizer = build()
    x = torch.randn(8, 4)
    train(model, optimizer, lambda m, s: (m(x) - m(x)).norm(dim=1).mean() + m(x).pow(2).mean())


def fine_masked_attention():
    model, optimizer = build()
    mask = torch.full((8, 4), 0.0)
    mask[:, 2] = float("-inf")
    train(model, optimizer, lambda m, s: (m(torch.randn(8, 4)) + mask).softmax(1)[:, 0].mean())


def fine_masked_log_probabilities():
    model, optimizer = build()
    mask = torch.zeros(8, 4, dtype=torch.bool)
    mask[:, 2] = True

    def loss_of(m, step):
        logits = m(torch.randn(8, 4)).masked_fill(mask, float("-inf"))
        return F.nll_loss(F.log_softmax(logits, 1), torch.zeros(8, dtype=torch.long))

    train(model, optimizer, loss_of)


def fine_skipped_by_the_program():
    model, optimizer = build()
    for step in range(6):
        loss = model(torch.randn(8, 4)).pow(2).mean() * (float("inf") if step == 3 else 1.0)
        optimizer.zero_grad()
        if not torch.isfinite(loss):
            continue
        loss.backward()
        optimizer.step()


def fine_norm_looked_at_before_the_step():
    model, optimizer = build()
    for step in range(6):
        loss = model(torch.randn(8, 4)).pow(2).mean() * (float("inf") if step == 3 else 1.0)
        optimizer.zero_grad()
        loss.backward()
        if torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).isfinite():
            optimizer.step()


def fine_grad_scaler_skips():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    for _ in range(6):
        loss = model(torch.randn(8, 4)).pow(2).mean() * 1e8
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()


def fine_gradients_made_finite():
    model, optimizer = build()
    x = torch.randn(8, 4)
    for _ in range(4):
        y = model(x)
        loss = ((y - y.detach()) ** 2).sum(1).sqrt().mean()
        optimizer.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            parameter.grad.nan_to_num_(1e-3, 1.0, -1.0)
        optimizer.step()


def fine_large_but_finite():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    train(model, optimizer, lambda m, s: (m(torch.randn(8, 4)) * 1e20).sum())


def fine_lbfgs_line_search():
    model, _ = build()
    optimizer = torch.optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")
    x, y = torch.randn(16, 4), torch.randn(16, 4)

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - y).pow(2).mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)


def fine_infinities_in_buffers_and_outputs():
    model, optimizer = build()
    best = torch.tensor(float("inf"))
    for _ in range(4):
        loss = model(torch.randn(8, 4)).pow(2).mean()
        best = torch.minimum(best, loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model(torch.randn(8, 4)).log()


def bad_log_softmax_over_nothing():
    model, optimizer = build()
    for step in range(4):
        keep = torch.ones(8, 4)
        keep[2] = float(step != 2)
        scores = F.log_softmax(model(torch.randn(8, 4)) + keep.log(), -1)  # SL601
        optimizer.zero_grad()
        (-scores[torch.arange(8) != 2][:, 0].mean()).backward()
        optimizer.step()


def bad_weights_of_one_sample_normalised():
    model, optimizer = build()
    for part in torch.randn(17, 4).split(8):
        gain = part[:, 0]
        gain = (gain - gain.mean()) / gain.std()
        loss = (gain * model(part)[:, 0]).mean()  # SL601
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
