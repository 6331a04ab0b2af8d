"""SL310 unregistered-parameter. `# SL310` marks the lines at which the finding must point."""

import copy

import torch
from torch import nn


class Scaled(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.scale = scale

    def forward(self, x):
        return self.scale * self.linear(x)


def learn(model, optimizer, steps=4):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_layers_in_a_list():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.layers = [nn.Linear(4, 4) for _ in range(2)]  # SL310

        def forward(self, x):
            x = self.first(x)
            for layer in self.layers:
                x = torch.tanh(layer(x))
            return x

    model = Listed()
    learn(model, torch.optim.Adam(model.parameters()))


def bad_heads_in_a_dict():
    class Keyed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 4)
            self.heads = {}
            for name in ("left", "right"):
                self.heads[name] = nn.Linear(4, 1)  # SL310

        def forward(self, x):
            h = self.body(x)
            return torch.cat([head(h) for head in self.heads.values()], 1)

    model = Keyed()
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1))


def bad_tensor_attribute():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.scale = torch.ones(4, requires_grad=True)  # SL310

        def forward(self, x):
            return self.scale * self.linear(x)

    model = Scaled()
    optimizer = torch.optim.Adam(model.parameters())
    learn(model, optimizer)


def bad_made_of_a_parameter():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.scale = nn.Parameter(torch.ones(4)).double()  # SL310

        def forward(self, x):
            return self.scale * self.linear(x)

    model = Scaled()
    learn(model, torch.optim.Adam(model.parameters()))


def bad_parameters_in_a_list():
    model = Scaled(torch.ones(4))
    model.shifts = [nn.Parameter(torch.zeros(4)) for _ in range(2)]
    optimizer = torch.optim.Adam(model.parameters())  # SL310
    for _ in range(4):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) + sum(model.shifts) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_free_parameter():
    model = nn.Linear(4, 4)
    weights = nn.Parameter(torch.ones(4))
    optimizer = torch.optim.Adam(model.parameters())  # SL310
    for _ in range(4):
        optimizer.zero_grad()
        ((model(torch.randn(16, 4)) - 1).pow(2) * weights.exp()).mean().backward()
        optimizer.step()


def good_module_list():
    model = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        model[1](model[0](torch.randn(8, 4))).pow(2).mean().backward()
        optimizer.step()


def good_parameter():
    model = Scaled(nn.Parameter(torch.ones(4)))
    learn(model, torch.optim.Adam(model.parameters()))


def fine_list_given_to_the_optimizer():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(4, 4) for _ in range(2)]

        def forward(self, x):
            return self.layers[1](self.layers[0](x))

    model = Listed()
    learn(model, torch.optim.Adam([p for layer in model.layers for p in layer.parameters()]))


def fine_adversarial_training():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        x = torch.randn(8, 4, requires_grad=True)
        model(x).pow(2).mean().backward()
        attacked = (x + 0.1 * x.grad.sign()).detach()
        optimizer.zero_grad()
        model(attacked).pow(2).mean().backward()
        optimizer.step()


def fine_universal_perturbation_by_hand():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters())
    delta = torch.zeros(4, requires_grad=True)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(8, 4) + delta).pow(2).mean().backward()
        optimizer.step()
        delta.data = (delta.data + 0.1 * delta.grad.sign()).clamp(-1, 1)
        delta.grad = None


def fine_fixed_input_that_requires_a_gradient():
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.linspace(0, 1, 10)[:, None].requires_grad_()
    for _ in range(5):
        u = model(x)
        slope = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        optimizer.zero_grad()
        (slope + u).pow(2).mean().backward()
        optimizer.step()


def fine_points_kept_by_the_module():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
            self.x = torch.rand(10, 1, requires_grad=True)
            self.t = torch.rand(10, 1, requires_grad=True)

        def forward(self):
            u = self.net(torch.cat([self.x, self.t], 1))
            slope = torch.autograd.grad(u.sum(), [self.x, self.t], create_graph=True)
            return u + slope[0] + slope[1]

    model = Field()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(5):
        optimizer.zero_grad()
        model().pow(2).mean().backward()
        optimizer.step()


def fine_free_tensor_in_the_loss():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters())
    probe = torch.ones(2, requires_grad=True)
    for _ in range(4):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) * probe).pow(2).mean().backward()
        print(probe.grad.norm().item(), end="\r")
        probe.grad = None
        optimizer.step()


def fine_learned_tensor_in_the_optimizer():
    model = Scaled(torch.ones(4, requires_grad=True))
    learn(model, torch.optim.Adam([*model.parameters(), model.scale]))


def fine_loaded_judge_hidden_in_a_list():
    class Judged(nn.Module):
        def __init__(self, judge):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.judge = [judge]

        def forward(self, x):
            return self.judge[0](self.linear(x))

    judge = nn.Linear(4, 4)
    judge.load_state_dict(copy.deepcopy(judge.state_dict()))
    model = Judged(judge)
    learn(model, torch.optim.Adam(model.parameters()))


def fine_frozen_teacher_hidden_in_a_list():
    model = Scaled(torch.ones(4))
    model.teacher = [nn.Linear(4, 4).requires_grad_(False)]
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        x = torch.randn(8, 4)
        optimizer.zero_grad()
        (model(x) - model.teacher[0](x)).pow(2).mean().backward()
        optimizer.step()


def bad_layer_made_in_the_forward():
    class Widened(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 8)

        def forward(self, x):
            h = torch.tanh(self.first(x))
            return nn.Linear(8, 1)(h)  # SL310

    model = Widened()
    learn(model, torch.optim.Adam(model.parameters()))


def good_layer_made_once():
    class Widened(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 1)

        def forward(self, x):
            return self.last(torch.tanh(self.first(x)))

    model = Widened()
    learn(model, torch.optim.Adam(model.parameters()))


def fine_layer_made_at_the_first_forward():
    class Grown(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 8), None

        def forward(self, x):
            h = torch.tanh(self.first(x))
            if self.last is None:
                self.last = nn.Linear(h.shape[1], 1)
            return self.last(h)

    model = Grown()
    model(torch.randn(2, 4))
    learn(model, torch.optim.Adam(model.parameters()))


def fine_copy_adapted_in_the_forward():
    class Learner(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.scale = nn.Linear(4, 1), nn.Parameter(torch.ones(1))

        def forward(self, x):
            self.fast = copy.deepcopy(self.net)
            first = self.fast(x).pow(2).mean()
            grads = torch.autograd.grad(first, list(self.fast.parameters()))
            with torch.no_grad():
                for p, g in zip(self.fast.parameters(), grads, strict=True):
                    p -= 0.1 * g
            return self.scale * self.fast(x)

    model = Learner()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(6):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        for p, q in zip(model.net.parameters(), model.fast.parameters(), strict=True):
            p.grad = q.grad.clone()
        optimizer.step()


def bad_free_tensor_whose_gradient_is_never_cleared():  # a note
    model = nn.Linear(4, 4)
    weights = torch.ones(4, requires_grad=True)
    optimizer = torch.optim.Adam(model.parameters())  # SL310
    for _ in range(12):
        optimizer.zero_grad()
        ((model(torch.randn(16, 4)) - 1).pow(2) * weights.exp()).mean().backward()
        optimizer.step()


def fine_free_tensor_cleared_now_and_then():
    model = nn.Linear(4, 4)
    gates = torch.ones(4, requires_grad=True)
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(24):
        optimizer.zero_grad()
        ((model(torch.randn(16, 4)) * gates - 1).pow(2)).mean().backward()
        optimizer.step()
        if step % 6 == 5:
            gates.grad.zero_()


def fine_points_turned_into_another_type():
    """As the data of a physics-informed network often is: the leaf is of 64 bits."""
    points = torch.linspace(0, 1, 8, dtype=torch.float64, requires_grad=True).float()[:, None]
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(4):
        u = model(points)
        slope = torch.autograd.grad(u, points, torch.ones_like(u), create_graph=True)[0]
        optimizer.zero_grad()
        (slope + u).square().mean().backward(retain_graph=True)
        optimizer.step()
