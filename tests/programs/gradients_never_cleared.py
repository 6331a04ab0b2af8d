"""SL201 gradients-never-cleared. `# SL201` marks the lines at which the finding must point."""

import torch
from torch import nn


def build(momentum=0.0):
    model = nn.Linear(4, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum)


def loss_of(model):
    return model(torch.randn(16, 4)).pow(2).mean()


def bad_no_clear():
    model, optimizer = build()
    for _ in range(4):
        loss_of(model).backward()
        optimizer.step()  # SL201


def bad_clears_the_other_model():
    model, optimizer = build()
    other, _ = build()
    for _ in range(3):
        other.zero_grad()
        loss_of(model).backward()
        optimizer.step()  # SL201


def bad_clears_before_the_loop_only():
    model, optimizer = build(momentum=0.9)
    optimizer.zero_grad()
    for _ in range(3):
        loss_of(model).backward()
        optimizer.step()  # SL201


def bad_critic_never_cleared():  # and so what the encoder's loss leaves is in its updates
    encoder, critic = nn.Linear(4, 2), nn.Linear(2, 1)
    first = torch.optim.SGD(encoder.parameters(), lr=0.01)
    second = torch.optim.SGD(critic.parameters(), lr=0.01)
    for _ in range(6):
        x = torch.randn(16, 4)
        first.zero_grad()
        (encoder(x).pow(2).mean() - critic(encoder(x)).mean()).backward()
        first.step()
        (critic(encoder(x).detach()).mean() - critic(x[:, :2]).mean()).backward()
        second.step()  # SL201


def bad_updates_by_hand():
    weight = torch.zeros(3, requires_grad=True)
    for _ in range(6):
        x = torch.randn(16, 3)
        (x @ weight - x.sum(1)).pow(2).mean().backward()  # SL201
        with torch.no_grad():
            weight -= 0.1 * weight.grad


def bad_updates_of_a_model_by_hand_through_data():
    model = nn.Linear(4, 1)
    for _ in range(6):
        loss_of(model).backward()  # SL201
        for parameter in model.parameters():
            parameter.data -= 0.01 * parameter.grad.data


def good_clear_at_the_top():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def fine_accumulation():
    model, optimizer = build()
    for _ in range(3):
        for _ in range(2):
            (loss_of(model) / 2).backward()
        optimizer.step()
        optimizer.zero_grad()


def fine_set_to_none_false():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad(set_to_none=False)
        loss_of(model).backward()
        optimizer.step()


def fine_grad_none_by_hand():
    model, optimizer = build()
    for _ in range(4):
        for parameter in model.parameters():
            parameter.grad = None
        loss_of(model).backward()
        optimizer.step()


def fine_zeroed_in_place():
    model, optimizer = build()
    for _ in range(4):
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        loss_of(model).backward()
        optimizer.step()


def fine_zeroed_through_data():
    model, optimizer = build()
    for _ in range(60):
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.data.zero_()
        loss_of(model).backward()
        optimizer.step()


def fine_lbfgs_closure():
    model, _ = build()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    x = torch.randn(16, 4)

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - 1).pow(2).mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)


def curved(clear, passes=1, **options):
    """Steps of LBFGS; ``clear`` says where its gradients are cleared."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, **options)
    x = torch.randn(16, 4)

    def closure():
        if clear == "in the closure":
            optimizer.zero_grad()
        elif clear == "through data":
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.data.zero_()
        for _ in range(passes):
            loss = (model(x) - 1).pow(2).mean()
            loss.backward()
        return loss

    for _ in range(4):
        if clear == "before the step":
            optimizer.zero_grad()
        optimizer.step(closure)


def bad_closure_cleared_before_the_step_only():
    model, _ = build()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    x = torch.randn(16, 4)

    def closure():
        loss = (model(x) - 1).pow(2).mean()
        loss.backward()  # SL201
        return loss

    for _ in range(3):
        optimizer.zero_grad()
        optimizer.step(closure)


def bad_closure_of_a_line_search_never_cleared():
    model, _ = build()
    optimizer = torch.optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")
    x = torch.randn(16, 4)

    def closure():
        loss = (model(x) - 1).pow(2).mean()
        loss.backward()  # SL201
        return loss

    for _ in range(3):
        optimizer.step(closure)


def good_closure_that_clears():
    curved("in the closure")


def good_closure_that_clears_in_a_line_search():
    curved("in the closure", line_search_fn="strong_wolfe")


def fine_closure_that_clears_through_data():
    curved("through data")


def fine_closure_of_several_passes():
    curved("in the closure", passes=2)


def fine_closure_evaluated_once_and_cleared_before():
    curved("before the step", max_iter=1)


def fine_closure_of_plain_descent_cleared_before():
    model, optimizer = build(momentum=0.9)

    def closure():
        loss = loss_of(model)
        loss.backward()
        return loss

    for _ in range(4):
        optimizer.zero_grad()
        optimizer.step(closure)


def fine_closure_that_averages_over_weights_nearby():
    model, optimizer = build()

    def closure():
        optimizer.zero_grad()
        for _ in range(3):
            noise = [0.01 * torch.randn_like(p) for p in model.parameters()]
            with torch.no_grad():
                torch._foreach_add_(list(model.parameters()), noise)
            loss = loss_of(model) / 3
            loss.backward()
            with torch.no_grad():
                torch._foreach_sub_(list(model.parameters()), noise)
        return loss

    for _ in range(4):
        optimizer.step(closure)


def fine_closure_that_asks_for_gradients():
    model, _ = build()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    x = torch.randn(16, 4)

    def closure():
        loss = (model(x) - 1).pow(2).mean()
        parameters = list(model.parameters())
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = slope
        return loss

    for _ in range(3):
        optimizer.step(closure)


def fine_closure_whose_points_gather_gradients():
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    points = torch.linspace(0, 1, 16).unsqueeze(1).requires_grad_(True)

    def closure():
        optimizer.zero_grad()
        u = model(points)
        (slope,) = torch.autograd.grad(u.sum(), points, create_graph=True)
        loss = (slope - 1).pow(2).mean() + u[0].pow(2).mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)


def bad_two_optimizers_and_no_clear():
    model, one = build()
    two = torch.optim.SGD(model.parameters(), lr=0.001)
    for _ in range(3):
        loss_of(model).backward()
        one.step()  # SL201
        two.step()  # SL201


def bad_cleared_once_an_epoch():
    model, optimizer = build()
    for _ in range(2):
        optimizer.zero_grad()
        for _ in range(3):
            loss_of(model).backward()
            optimizer.step()  # SL201


def fine_two_optimizers_on_the_same_parameters():
    model, one = build()
    two = torch.optim.SGD(model.parameters(), lr=0.001)
    for _ in range(4):
        one.zero_grad()
        loss_of(model).backward()
        one.step()
        two.step()


def fine_a_new_optimizer_on_old_gradients():
    model, optimizer = build()
    loss_of(model).backward()
    optimizer.step()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    loss_of(model).backward()
    optimizer.step()


def fine_gradients_decayed_by_hand():
    model, optimizer = build()
    for _ in range(4):
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(0.9)
        loss_of(model).backward()
        optimizer.step()


def fine_one_head_for_each_batch():
    body, heads = nn.Linear(4, 4), nn.ModuleList([nn.Linear(4, 1) for _ in range(2)])
    optimizer = torch.optim.SGD([*body.parameters(), *heads.parameters()], lr=0.01)
    for batch in range(6):
        optimizer.zero_grad()
        heads[batch % 2](body(torch.randn(8, 4))).pow(2).mean().backward()
        optimizer.step()


def fine_wrapped_like_accelerate():
    class Wrapped(torch.optim.Optimizer):
        def __init__(self, optimizer):
            self.optimizer = optimizer

        @property
        def param_groups(self):
            return self.optimizer.param_groups

        def zero_grad(self, set_to_none=True):
            self.optimizer.zero_grad(set_to_none=set_to_none)

        def step(self, closure=None):
            self.optimizer.step(closure)

    model, optimizer = build()
    wrapped = Wrapped(optimizer)
    for _ in range(4):
        wrapped.zero_grad()
        loss_of(model).backward()
        wrapped.step()


def fine_a_wrapper_with_tensors_of_its_own():
    class Mixed(torch.optim.Optimizer):
        def __init__(self, parameters, inner):
            super().__init__(parameters, {"lr": 0.01})
            self.inner = inner

        def zero_grad(self, set_to_none=True):
            super().zero_grad(set_to_none)
            self.inner.zero_grad(set_to_none)

        def step(self, closure=None):
            with torch.no_grad():
                for group in self.param_groups:
                    for parameter in group["params"]:
                        parameter.add_(parameter.grad.sign(), alpha=-group["lr"])
            self.inner.step()

    body, head = nn.Linear(4, 4), nn.Linear(4, 1)
    optimizer = Mixed(body.parameters(), torch.optim.Adam(head.parameters()))
    for _ in range(10):
        optimizer.zero_grad()
        head(body(torch.randn(8, 4))).pow(2).mean().backward()
        optimizer.step()


def fine_sharpness_aware_with_closure():
    class Sam(torch.optim.Optimizer):
        def __init__(self, parameters, inner):
            super().__init__(list(parameters), {"rho": 0.05})
            self.inner = inner(self.param_groups, lr=0.01)

        @torch.no_grad()
        def step(self, closure=None):
            closure = torch.enable_grad()(closure)
            held = [p for group in self.param_groups for p in group["params"]]
            shifts = [0.05 * p.grad / (p.grad.norm() + 1e-12) for p in held]
            torch._foreach_add_(held, shifts)
            self.zero_grad()
            closure()
            torch._foreach_sub_(held, shifts)
            self.inner.step()
            self.zero_grad()

    model, _ = build()
    optimizer = Sam(model.parameters(), torch.optim.SGD)
    x = torch.randn(16, 4)

    def closure():
        loss = model(x).pow(2).mean()
        loss.backward()
        return loss

    for _ in range(4):
        closure()
        optimizer.step(closure)


def fine_updates_by_hand_cleared_unseen():
    model = nn.Linear(4, 1)
    for _ in range(6):
        loss_of(model).backward()
        for parameter in model.parameters():
            parameter.data -= 0.01 * parameter.grad.data
            parameter.grad.data.zero_()


def fine_target_network_with_gradients_copied_now_and_then():
    model, optimizer = build()
    target = nn.Linear(4, 1)
    for step in range(8):
        x = torch.randn(16, 4)
        optimizer.zero_grad()
        (model(x) - target(x) - 1).pow(2).mean().backward()  # SL103
        optimizer.step()
        if step % 2:
            target.load_state_dict(model.state_dict())


def fine_accumulated_by_hand_and_cleared():
    weight = torch.zeros(3, requires_grad=True)
    for step in range(12):
        x = torch.randn(16, 3)
        (x @ weight - x.sum(1)).pow(2).mean().backward()
        if step % 4 == 3:
            with torch.no_grad():
                weight -= 0.02 * weight.grad
            weight.grad = None


def hand_adam(parameters, moments, step):
    with torch.no_grad():
        for p, (m, v) in zip(parameters, moments, strict=True):
            m.lerp_(p.grad, 0.1)
            v.mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
            p -= 0.01 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)


def moments_of(model):
    return [(torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()]


def bad_adam_by_hand():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    moments = moments_of(model)
    for step in range(1, 9):
        loss_of(model).backward()  # SL201
        hand_adam(list(model.parameters()), moments, step)


def good_adam_by_hand():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    moments = moments_of(model)
    for step in range(1, 9):
        for p in model.parameters():
            p.grad = None
        loss_of(model).backward()
        hand_adam(list(model.parameters()), moments, step)


def fine_target_that_gets_gradients_and_is_averaged():
    model, optimizer = build()
    target = nn.Linear(4, 1)
    for _ in range(20):
        optimizer.zero_grad()
        x = torch.randn(16, 4)
        (model(x) - 0.9 * target(x)).pow(2).mean().backward()
        optimizer.step()
        with torch.no_grad():
            for p, q in zip(target.parameters(), model.parameters(), strict=True):
                p.lerp_(q, 0.1)
