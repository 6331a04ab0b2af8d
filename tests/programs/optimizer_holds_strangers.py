"""SL302 optimizer-holds-strangers. `# SL302` marks the lines at which the finding must point."""

import copy

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


def learn(model, optimizer, steps=4):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_head_replaced():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())  # SL302
    model.head = nn.Linear(8, 5)
    learn(model, optimizer)


def bad_parameter_replaced():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())  # SL302
    model.body.weight = nn.Parameter(torch.randn(8, 4))
    learn(model, optimizer)


def bad_model_copied():
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # SL302
    model = copy.deepcopy(model)
    learn(model, optimizer)


def bad_model_and_optimizer_copied_apart():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    learn(model, optimizer)
    own = copy.deepcopy(model)
    learn(own, copy.deepcopy(optimizer))  # SL302


def bad_copied_later_with_a_gradient_left():
    """The clear goes to the copy, so that the old model keeps its last gradient."""
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # SL302
    learn(model, optimizer)
    model = copy.deepcopy(model)
    for _ in range(6):
        model.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()  # SL203


def fine_gradients_of_a_copy_given_over():
    """First-order meta-learning: a copy is trained by hand, and its gradient moves the model."""
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    learn(model, optimizer)
    for turn in range(8):
        fast = copy.deepcopy(model)
        for _ in range(2):
            fast.zero_grad()
            (fast(torch.randn(16, 4)) - 1).pow(2).mean().backward()
            with torch.no_grad():
                for p in fast.parameters():
                    p -= 0.1 * p.grad
        for p, q in zip(model.parameters(), fast.parameters(), strict=True):
            if turn % 2:
                p.grad = q.grad.clone()
            else:
                p.grad.copy_(q.grad)
        optimizer.step()


def fine_gradients_shared_with_a_copy():
    """A3C: a worker's own model computes the gradients, which are those of the shared one."""
    shared = Net()
    optimizer = torch.optim.SGD(shared.parameters(), lr=0.05)
    learn(shared, optimizer)
    local = copy.deepcopy(shared)
    local.zero_grad(set_to_none=True)
    for _ in range(8):
        local.load_state_dict(shared.state_dict())
        for q in local.parameters():
            if q.grad is not None:
                q.grad.zero_()
        (local(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        for p, q in zip(shared.parameters(), local.parameters(), strict=True):
            p.grad = q.grad
        optimizer.step()


def fine_copy_updated_by_hand_beside():
    """A copy goes on by hand, while the model rests with its last gradient and does not step."""
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    learn(model, optimizer)
    for _ in range(4):
        other = copy.deepcopy(model)
        for _ in range(3):
            other.zero_grad()
            (other(torch.randn(16, 4)) - 1).pow(2).mean().backward()
            with torch.no_grad():
                for p in other.parameters():
                    p -= 0.1 * p.grad
        learn(model, optimizer, 2)


def good_model_and_optimizer_copied_together():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    learn(model, optimizer)
    learn(*copy.deepcopy((model, optimizer)))


def bad_model_made_anew():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())  # SL302
    model = Net()
    learn(model, optimizer)


def bad_assigned_on_load():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())  # SL302
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    learn(model, optimizer)


def bad_model_made_anew_for_the_next_fold():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())  # SL302
    learn(model, optimizer, steps=8)
    model = Net()
    learn(model, optimizer)


def bad_parameter_grown_while_training():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())  # SL302
    learn(model, optimizer, steps=8)
    model.head.weight = nn.Parameter(torch.cat([model.head.weight.detach(), torch.randn(2, 8)]))
    model.head.bias = nn.Parameter(torch.zeros(5))
    learn(model, optimizer)


def good_optimizer_after_the_head():
    model = Net()
    model.head = nn.Linear(8, 5)
    learn(model, torch.optim.Adam(model.parameters()))


def good_group_added_for_the_head():
    model = Net()
    optimizer = torch.optim.Adam(model.body.parameters())
    model.head = nn.Linear(8, 5)
    optimizer.add_param_group({"params": model.head.parameters()})
    learn(model, optimizer)


def fine_frozen_group():
    model = Net()
    optimizer = torch.optim.Adam(
        [{"params": model.body.parameters()}, {"params": model.head.parameters()}]
    )
    model.body.requires_grad_(False)
    learn(model, optimizer)


def fine_second_phase_with_a_new_head():
    model = Net()
    learn(model, torch.optim.Adam(model.parameters()))
    model.head = nn.Linear(8, 5)
    learn(model, torch.optim.Adam(model.parameters()))


def fine_folds():
    for _ in range(4):
        model = Net()
        learn(model, torch.optim.Adam(model.parameters()), 3)


def fine_values_loaded_in_place():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    model.load_state_dict(Net().state_dict())
    learn(model, optimizer)


def fine_converted_norms():
    model = nn.Sequential(nn.Conv1d(2, 4, 1), nn.BatchNorm1d(4), nn.Flatten(), nn.LazyLinear(2))
    model(torch.randn(2, 2, 3))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 2, 3)).pow(2).mean().backward()
        optimizer.step()


def fine_twins_that_take_turns():
    models = [Net(), Net()]
    optimizers = [torch.optim.Adam(model.parameters()) for model in models]
    for step in range(8):
        learn(models[step % 2], optimizers[step % 2], 1)


def fine_optimizer_made_anew_with_the_model():
    for _ in range(3):
        model = Net()
        learn(model, torch.optim.Adam(model.parameters()), steps=6)


class Masked(nn.Module):
    def __init__(self, anew):
        super().__init__()
        self.linear, self.out, self.anew = nn.Linear(4, 8), nn.Linear(8, 2), anew
        self.register_buffer("mask", (torch.arange(32) % 3 > 0).float().view(8, 4))

    def forward(self, x):
        weight = self.linear.weight * self.mask
        if self.anew:
            self.linear.weight = nn.Parameter(weight)
            return self.out(torch.relu(self.linear(x)))
        return self.out(torch.relu(nn.functional.linear(x, weight, self.linear.bias)))


def masked(anew):
    torch.manual_seed(0)
    return Masked(anew)


def bad_parameter_made_anew_in_each_forward():
    model = masked(anew=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # SL302
    for _ in range(8):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def good_parameter_masked_in_each_forward():
    model = masked(anew=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def fine_parameter_made_anew_at_each_update_by_hand():
    model = masked(anew=False)
    for _ in range(8):
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        for layer in (model.linear, model.out):
            layer.weight = nn.Parameter(layer.weight.detach() - 0.1 * layer.weight.grad)
            layer.bias = nn.Parameter(layer.bias.detach() - 0.1 * layer.bias.grad)


def bad_head_made_anew_at_each_step():
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # SL302
    for _ in range(6):
        model.head = nn.Linear(8, 3)
        learn(model, optimizer, steps=1)


def bad_model_made_anew_at_each_step():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())  # SL302
    for _ in range(6):
        model = Net()
        learn(model, optimizer, steps=1)


def fine_workers_made_anew_at_each_step():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(12):
        worker = Net()
        worker.load_state_dict(model.state_dict())
        worker(torch.randn(4, 4)).sum().backward()
        optimizer.zero_grad()
        for held, given in zip(model.parameters(), worker.parameters(), strict=True):
            held.grad = given.grad if step % 2 else given.grad.clone()
        optimizer.step()


def fine_gradients_of_new_models_measured_beside():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(8):
        probe = Net()
        probe(torch.randn(4, 4)).sum().backward()
        learn(model, optimizer, steps=1)
