"""SL311 step-without-effect. `# SL311` marks the lines at which the finding must point."""

import copy

import torch
from torch import nn


def learn(model, optimizer, steps=6, scale=1.0):
    dtype = next(model.parameters()).dtype
    for _ in range(steps):
        optimizer.zero_grad()
        (scale * (model(torch.randn(16, 4, dtype=dtype)) - 1).pow(2).mean()).backward()
        optimizer.step()


def bad_update_below_bfloat16():
    model = nn.Linear(4, 8).to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    for _ in range(6):
        optimizer.zero_grad()
        (model(torch.randn(16, 4, dtype=torch.bfloat16)) - 1).pow(2).mean().backward()
        optimizer.step()  # SL311


def bad_biases_alone_take_up_the_update():
    model = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16), nn.Tanh(), nn.Linear(16, 1))
    model = model.to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.randn(8, 4, dtype=torch.bfloat16)).pow(2).mean().backward()
        optimizer.step()  # SL311


def bad_rate_below_float32():
    model = nn.Linear(4, 8)
    nn.init.ones_(model.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-12)
    for _ in range(6):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()  # SL311


def bad_own_optimizer_writes_to_a_copy():
    class Descent(torch.optim.Optimizer):
        def __init__(self, parameters, lr):
            super().__init__(parameters, {"lr": lr})

        @torch.no_grad()
        def step(self):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter = parameter - group["lr"] * parameter.grad

    model = nn.Linear(4, 2)
    optimizer = Descent(model.parameters(), 0.1)
    for _ in range(12):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()  # SL311


def good_float32():
    model = nn.Linear(4, 8)
    learn(model, torch.optim.SGD(model.parameters(), lr=0.01))


def good_bfloat16_with_a_rate_it_can_hold():
    model = nn.Linear(4, 8).to(torch.bfloat16)
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1))


def fine_autocast():
    model = nn.Linear(4, 8)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for _ in range(6):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = (model(torch.randn(16, 4)) - 1).pow(2).mean()
        loss.backward()
        optimizer.step()


def fine_rate_zero_at_first():
    model = nn.Linear(4, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 4))
    for _ in range(8):
        learn(model, optimizer, 1)
        scheduler.step()


def fine_gradients_of_zero():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scale = nn.Parameter(torch.zeros(1))
    other = torch.optim.SGD([scale], lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        other.zero_grad()
        ((scale * model(torch.randn(8, 4))).mean() - 1).pow(2).backward()
        optimizer.step()
        other.step()


def fine_converged_lbfgs():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=20)
    x = torch.randn(8, 2)

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - x.sum(1, keepdim=True)).pow(2).mean()
        loss.backward()
        return loss

    for _ in range(8):
        optimizer.step(closure)


def fine_own_optimizer_applies_every_fourth_step():
    class Patient(torch.optim.Optimizer):
        def __init__(self, parameters, lr):
            super().__init__(parameters, {"lr": lr})
            self.count = 0

        @torch.no_grad()
        def step(self):
            self.count += 1
            for group in self.param_groups:
                for parameter in group["params"]:
                    total = self.state[parameter].setdefault("total", torch.zeros_like(parameter))
                    total += parameter.grad / 4
                    if self.count % 4 == 0:
                        parameter -= group["lr"] * total
                        total.zero_()

    model = nn.Linear(4, 2)
    learn(model, Patient(model.parameters(), 0.1), 24)


def fine_fine_tuning_with_a_small_rate():
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    learn(model, torch.optim.AdamW(model.parameters(), lr=1e-6))


def fine_an_optimizer_for_each_parameter_and_a_bias_before_a_norm():
    """The gradient of that bias is 0 but for rounding, and its own optimizer moves nothing."""
    model = nn.Sequential(nn.Linear(16, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 1))
    optimizers = {p: torch.optim.SGD([p], lr=0.01) for p in model.parameters()}

    def step(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    for _ in range(12):
        (model(torch.randn(32, 16)) - 1).pow(2).mean().backward()


def fine_converged_to_the_last_bit():
    """What is left of the gradient is too small for the weight to move."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.full((8, 1), 3.0)
    for _ in range(200):
        optimizer.zero_grad()
        (model(x) - 1.7 * x).pow(2).mean().backward()
        optimizer.step()


def bad_average_bound_to_a_name():
    model, target = nn.Linear(4, 4), nn.Linear(4, 4)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        learn(model, optimizer, steps=1)
        for p, q in zip(target.parameters(), model.parameters(), strict=True):
            p = 0.9 * p.data + 0.1 * q.data  # SL311
    assert p is not None


class Shadow:
    def __init__(self, model, average):
        self.model, self.average = model, average
        self.of, self.into = list(model.parameters()), list(average.parameters())

    @torch.no_grad()
    def written(self):
        for p, q in zip(self.into, self.of, strict=True):
            p.mul_(0.9).add_(q, alpha=0.1)


def bad_average_of_lists_bound_to_a_name():
    class Bound(Shadow):
        @torch.no_grad()
        def update(self):
            for p, q in zip(self.into, self.of, strict=True):
                p = 0.9 * p + 0.1 * q  # SL311

    model, target = nn.Linear(4, 4), nn.Linear(4, 4)
    optimizer = torch.optim.Adam(model.parameters())
    shadow = Bound(model, target)
    for _ in range(4):
        learn(model, optimizer, steps=1)
        shadow.update()


def good_average_of_lists():
    model, target = nn.Linear(4, 4), nn.Linear(4, 4)
    optimizer = torch.optim.Adam(model.parameters())
    shadow = Shadow(model, target)
    for _ in range(4):
        learn(model, optimizer, steps=1)
        shadow.written()


def bad_average_that_is_dropped():
    model, target = nn.Linear(4, 4), nn.Linear(4, 4)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        learn(model, optimizer, steps=1)
        for p, q in zip(target.parameters(), model.parameters(), strict=True):
            p.data.mul(0.9).add(q.data, alpha=0.1)  # SL311


def bad_dropped_average_of_a_model_with_norms():
    online = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    target = copy.deepcopy(online).requires_grad_(False)
    predictor = nn.Linear(4, 4)
    optimizer = torch.optim.SGD([*online.parameters(), *predictor.parameters()], lr=0.05)
    for _ in range(6):
        x = torch.randn(16, 4)
        with torch.no_grad():
            goal = target(x + 0.1 * torch.randn(16, 4))
        optimizer.zero_grad()
        (predictor(online(x)) - goal).pow(2).mean().backward()
        optimizer.step()
        for p, q in zip(target.parameters(), online.parameters(), strict=True):
            p.data.mul(0.9).add(q.data, alpha=0.1)  # SL311


def bad_kept_average_that_is_dropped():
    model = nn.Linear(4, 4)
    shadow = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        learn(model, optimizer, steps=1)
        for name, p in model.named_parameters():
            if p.requires_grad:
                shadow[name].lerp(p.detach(), 0.1)  # SL311


def fine_statements_that_write_though_their_names_say_add():
    model = nn.Linear(4, 4)
    optimizer = torch.optim.Adam(model.parameters())
    shadow = {name: p.detach().clone() for name, p in model.named_parameters()}
    sizes = {name: set[int]() for name in shadow}
    out = {name: torch.empty_like(p) for name, p in shadow.items()}
    for _ in range(4):
        learn(model, optimizer, steps=1)
        for name, p in model.named_parameters():
            sizes[name].add(p.numel())
            shadow[name].mul_(0.9).add_(p.detach(), alpha=0.1)
            torch.mul(p.detach(), 0.9, out=out[name])


def fine_average_that_is_written():
    model, target = nn.Linear(4, 4), nn.Linear(4, 4)
    optimizer = torch.optim.Adam(model.parameters())
    total = 0.0
    for _ in range(4):
        learn(model, optimizer, steps=1)
        for p, q in zip(target.parameters(), model.parameters(), strict=True):
            p.data = 0.9 * p.data + 0.1 * q.data
        for p in model.parameters():
            p = p.detach() * 2
            total += p.sum().item()


def fine_written_in_place_and_bound_as_well():
    model = nn.Linear(4, 4)
    optimizer = torch.optim.Adam(model.parameters())
    for p in model.parameters():
        p = nn.init.normal_(p)
    for p in model.parameters():
        p = p.to("cpu")
    learn(model, optimizer)
    with torch.no_grad():
        for p in model.parameters():
            p = 0.0 + p.mul_(0.9)
    learn(model, optimizer)


def bad_weights_bound_and_not_copied():
    model = nn.Linear(4, 2)
    start = [torch.zeros_like(p) for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for param, zero in zip(model.parameters(), start):
        param = zero  # noqa: F841 # SL311
    for _ in range(4):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def good_weights_copied():
    model = nn.Linear(4, 2)
    start = [torch.ones_like(p) for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for param, one in zip(model.parameters(), start):
        param.data.copy_(one)
    for _ in range(4):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def fine_last_of_a_loop():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for newest, other in zip(range(3), range(3, 6)):
        newest = other
    for _ in range(newest):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def half(width=32):
    model = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
    return nn.Sequential(model, nn.Linear(width, 1)).to(torch.bfloat16)


def fit(model, optimizer, steps=80, schedule=None, after=None):
    for _ in range(steps):
        x = torch.randn(16, 8).to(torch.bfloat16)
        optimizer.zero_grad()
        (model(x).float() - x.float().sum(1, keepdim=True)).pow(2).mean().backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        if after is not None:
            after()


def bad_most_updates_are_below_bfloat16():
    model = half()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    for _ in range(80):
        x = torch.randn(16, 8).to(torch.bfloat16)
        optimizer.zero_grad()
        (model(x).float() - x.float().sum(1, keepdim=True)).pow(2).mean().backward()
        optimizer.step()  # SL311


def bad_most_updates_are_below_bfloat16_after_the_warm_up():
    model = half()
    optimizer = torch.optim.SGD(model.parameters(), lr=3e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 8))
    for _ in range(100):
        x = torch.randn(16, 8).to(torch.bfloat16)
        optimizer.zero_grad()
        (model(x).float() - x.float().sum(1, keepdim=True)).pow(2).mean().backward()
        optimizer.step()  # SL311
        schedule.step()


def good_bfloat16_with_updates_it_can_hold():
    model = half()
    fit(model, torch.optim.Adam(model.parameters(), lr=1e-3))


def fine_bfloat16_while_the_rate_still_rises():
    model = half()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.04 + step / 5000)
    fit(model, optimizer, 90, schedule)


def fine_bfloat16_layers_at_a_small_rate_beside_others():
    model = half()
    groups = [{"params": model[1].parameters()}, {"params": model[0].parameters(), "lr": 1e-6}]
    fit(model, torch.optim.Adam(groups, lr=1e-3))


def fine_bfloat16_copies_of_float32():
    model = half()
    masters = [p.detach().float().requires_grad_() for p in model.parameters()]
    optimizer = torch.optim.Adam(masters, lr=1e-5)
    for _ in range(80):
        x = torch.randn(16, 8).to(torch.bfloat16)
        model.zero_grad()
        (model(x).float() - x.float().sum(1, keepdim=True)).pow(2).mean().backward()
        with torch.no_grad():
            for master, p in zip(masters, model.parameters()):
                master.grad = p.grad.float()
        optimizer.step()
        with torch.no_grad():
            for master, p in zip(masters, model.parameters()):
                p.copy_(master)


class Kahan(torch.optim.Optimizer):
    """Keeps what each addition has rounded away, and adds it the next time."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                lost = self.state[p].setdefault("lost", torch.zeros_like(p))
                lost.add_(p.grad, alpha=-group["lr"])
                before = p.clone()
                p.add_(lost)
                lost.add_(before.sub_(p))


def fine_bfloat16_with_what_was_rounded_away_kept():
    model = half()
    fit(model, Kahan(model.parameters(), lr=3e-5))


def fine_bfloat16_units_that_are_dead():
    model = half()
    with torch.no_grad():
        model[1].weight[:, 8:] = 0
    model[0][2].weight.register_hook(lambda grad: grad * (torch.arange(32) < 8)[:, None])
    fit(model, torch.optim.Adam(model.parameters(), lr=1e-3))


def fine_bfloat16_rows_with_a_trace_of_a_gradient():
    """Classes that do not occur: each step takes a little from them."""
    body, head = nn.Linear(8, 16).to(torch.bfloat16), nn.Linear(16, 64).to(torch.bfloat16)
    with torch.no_grad():
        head.bias[8:] = -12
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.3)
    for _ in range(80):
        x = torch.randn(32, 8).to(torch.bfloat16)
        optimizer.zero_grad()
        logits = head(torch.tanh(body(x))).float()
        nn.functional.cross_entropy(logits, x.float().argmax(1)).backward()
        optimizer.step()
