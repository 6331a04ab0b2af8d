"""SL304 stale-optimizer-state. `# SL304` marks the lines at which the finding must point."""

import copy

import torch
from torch import nn


def build(kind=torch.optim.Adam, **options):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    return model, kind(model.parameters(), lr=0.01, **options)


def learn(model, optimizer):
    optimizer.zero_grad()
    (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()


def reinitialise(model):
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(0, 0.5)
            module.bias.data.zero_()


def bad_reset_parameters():
    model, optimizer = build()
    for step in range(6):
        if step == 3:
            model[0].reset_parameters()
        learn(model, optimizer)
        optimizer.step()  # SL304


def bad_fresh_weights_old_momentum():
    model, optimizer = build(torch.optim.SGD, momentum=0.9)
    for step in range(6):
        learn(model, optimizer)
        optimizer.step()  # SL304
        if step == 2:
            reinitialise(model)


def bad_init_functions():
    model, optimizer = build(torch.optim.AdamW)
    for step in range(4):
        learn(model, optimizer)
        optimizer.step()  # SL304
        if step == 1:
            nn.init.orthogonal_(model[0].weight)


def bad_reset_before_every_step():
    model, optimizer = build()
    for _ in range(4):
        reinitialise(model)
        learn(model, optimizer)
        optimizer.step()  # SL304


def bad_other_weights_loaded():
    model, optimizer = build()
    for step in range(5):
        if step == 2:
            model.load_state_dict(build()[0].state_dict())
        learn(model, optimizer)
        optimizer.step()  # SL304


def bad_first_weights_loaded_again():
    model, optimizer = build()
    first = copy.deepcopy(model.state_dict())
    for step in range(30):
        if step % 10 == 9:
            model.load_state_dict(first)
        learn(model, optimizer)
        optimizer.step()  # SL304


def tickets(anew, kind=torch.optim.Adam):
    model, _ = build()
    optimizer = kind(model.parameters(), lr=0.01)
    first = {name: p.detach().clone() for name, p in model.named_parameters()}
    for step in range(30):
        if step % 10 == 9:
            for name, p in model.named_parameters():
                if p.dim() > 1:
                    p.data = first[name] * (first[name].abs() > 0.1)
                else:
                    p.data = first[name].clone()
            if anew:
                optimizer = kind(model.parameters(), lr=0.01)
        learn(model, optimizer)
        yield optimizer


def bad_tickets_rewound():
    for optimizer in tickets(anew=False):
        optimizer.step()  # SL304


def bad_tickets_rewound_under_adagrad():  # which has state before it steps
    for optimizer in tickets(anew=False, kind=torch.optim.Adagrad):
        optimizer.step()  # SL304


def good_tickets_rewound_with_new_optimizers():
    for optimizer in tickets(anew=True):
        optimizer.step()


def good_tickets_rewound_with_a_new_adagrad():
    for optimizer in tickets(anew=True, kind=torch.optim.Adagrad):
        optimizer.step()


def fine_first_weights_and_their_state_loaded():
    model, optimizer = build()
    first = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    for step in range(30):
        if step % 10 == 9:
            model.load_state_dict(first[0])
            optimizer.load_state_dict(first[1])
        learn(model, optimizer)
        optimizer.step()


def fine_step_tried_and_taken_back():
    model, optimizer = build()
    for _ in range(10):
        kept = [p.detach().clone() for p in model.parameters()]
        learn(model, optimizer)
        optimizer.step()
        learn(model, optimizer)
        with torch.no_grad():
            for p, values in zip(model.parameters(), kept, strict=True):
                p.copy_(values)
        optimizer.step()


def bad_some_rows_replaced():
    model, optimizer = build()
    for step in range(5):
        learn(model, optimizer)
        optimizer.step()  # SL304
        if step == 2:
            with torch.no_grad():
                model[0].weight[:3] = torch.randn(3, 4)


def good_optimizer_made_anew():
    model, optimizer = build()
    for step in range(6):
        if step == 3:
            reinitialise(model)
            optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        learn(model, optimizer)
        optimizer.step()


def good_rows_of_the_state_cleared():
    model, optimizer = build()
    for step in range(5):
        learn(model, optimizer)
        optimizer.step()
        if step == 2:
            with torch.no_grad():
                model[0].weight[:3] = torch.randn(3, 4)
            for key in ("exp_avg", "exp_avg_sq"):
                optimizer.state[model[0].weight][key][:3] = 0


def good_state_popped():
    model, optimizer = build()
    for step in range(5):
        learn(model, optimizer)
        optimizer.step()
        if step == 2:
            model[2].reset_parameters()
            for parameter in model[2].parameters():
                optimizer.state.pop(parameter)


def fine_both_loaded():
    model, optimizer = build()
    states = None
    for step in range(6):
        if step == 2:
            states = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        if step == 5:
            reinitialise(model)
            model.load_state_dict(states[0])
            optimizer.load_state_dict(states[1])
        learn(model, optimizer)
        optimizer.step()


def fine_initialised_before_the_first_step():
    model, optimizer = build()
    reinitialise(model)
    for _ in range(3):
        learn(model, optimizer)
        optimizer.step()


def fine_without_state():
    model, optimizer = build(torch.optim.SGD)
    for step in range(4):
        if step == 2:
            reinitialise(model)
        learn(model, optimizer)
        optimizer.step()


def fine_clipping_decay_and_normalising():
    model, optimizer = build()
    for _ in range(5):
        learn(model, optimizer)
        optimizer.step()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.clamp_(-1, 1)
                parameter.mul_(0.99)
            weight = model[2].weight
            weight.copy_(weight / weight.norm(dim=1, keepdim=True).clamp_min(0.5))


def fine_pruning_mask():
    model, optimizer = build()
    mask = torch.rand_like(model[0].weight) < 0.5
    for _ in range(5):
        learn(model, optimizer)
        optimizer.step()
        model[0].weight.data[mask] = 0


def masks_of(model):
    masks = {}
    for name, p in model.named_parameters():
        if p.dim() > 1:
            masks[name] = (p.abs() > p.abs().median()).float()
    return masks


def learn_masked(model, optimizer, masks):
    learn(model, optimizer)
    for name, p in model.named_parameters():
        if name in masks:
            p.grad.mul_(masks[name])


def bad_pruned_weights_moved_by_momentum():
    model, optimizer = build(torch.optim.SGD, momentum=0.9)
    masks = {}
    for step in range(12):
        if step == 6:
            masks = masks_of(model)
            for name, p in model.named_parameters():
                if name in masks:
                    p.data[masks[name] == 0] = 0
        learn_masked(model, optimizer, masks)
        optimizer.step()  # SL304


def good_pruned_and_the_momentum_with_them():
    model, optimizer = build(torch.optim.SGD, momentum=0.9)
    masks = {}
    for step in range(12):
        if step == 6:
            masks = masks_of(model)
            for name, p in model.named_parameters():
                if name in masks:
                    p.data[masks[name] == 0] = 0
                    optimizer.state[p]["momentum_buffer"].mul_(masks[name])
        learn_masked(model, optimizer, masks)
        optimizer.step()


def fine_pruned_again_after_each_step():
    model, optimizer = build(torch.optim.SGD, momentum=0.9)
    masks = {}
    for step in range(12):
        if step == 6:
            masks = masks_of(model)
        learn_masked(model, optimizer, masks)
        optimizer.step()
        for name, p in model.named_parameters():
            if name in masks:
                p.data[masks[name] == 0] = 0


def fine_pruned_and_grown_back_by_their_gradients():
    """Iterative hard thresholding: what was zeroed may come back."""
    model, optimizer = build(torch.optim.SGD, momentum=0.9)
    for step in range(12):
        if step == 6:
            for name, mask in masks_of(model).items():
                model.get_parameter(name).data[mask == 0] = 0
        learn(model, optimizer)
        optimizer.step()


def fine_pruned_with_a_new_optimizer():
    model, optimizer = build(torch.optim.SGD, momentum=0.9)
    masks = {}
    for step in range(12):
        if step == 6:
            masks = masks_of(model)
            for name, mask in masks.items():
                model.get_parameter(name).data[mask == 0] = 0
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        learn_masked(model, optimizer, masks)
        optimizer.step()


def fine_padding_row_zeroed():
    table = nn.Embedding(6, 4)
    optimizer = torch.optim.Adam(table.parameters())
    for _ in range(5):
        optimizer.zero_grad()
        (table(torch.randint(0, 6, (20,))) - 1).pow(2).sum().backward()
        optimizer.step()
        table.weight.data[0].zero_()


def fine_constraint_before_every_step():
    model, optimizer = build()
    for _ in range(6):
        learn(model, optimizer)
        optimizer.step()
        with torch.no_grad():
            model[0].weight[0] = torch.tensor([1.0, -1.0, 1.0, -1.0])


def fine_averaged_weights_swapped_in_and_out():
    model, optimizer = build()
    average = copy.deepcopy(model)
    for _ in range(6):
        learn(model, optimizer)
        optimizer.step()
        with torch.no_grad():
            for mean, parameter in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(parameter, 0.1)
        kept = copy.deepcopy(model.state_dict())
        model.load_state_dict(average.state_dict())
        model(torch.randn(2, 4))
        model.load_state_dict(kept)


def fine_back_to_the_best_weights():
    model, optimizer = build()
    best = None
    for step in range(8):
        learn(model, optimizer)
        optimizer.step()
        if step == 2:
            best = copy.deepcopy(model.state_dict())
        if step == 5:
            model.load_state_dict(best)


def fine_quantised_weights():
    model, optimizer = build()
    for _ in range(5):
        learn(model, optimizer)
        optimizer.step()
        for parameter in model.parameters():
            parameter.data.copy_((parameter.data * 64).round() / 64)


def fine_sharpness_aware():
    model, optimizer = build(torch.optim.SGD, momentum=0.9)
    for _ in range(5):
        learn(model, optimizer)
        kept = [parameter.detach().clone() for parameter in model.parameters()]
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * parameter.grad / parameter.grad.norm())
        learn(model, optimizer)
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), kept, strict=True):
                parameter.copy_(value)
        optimizer.step()


def fine_lookahead():
    model, optimizer = build()
    slow = [parameter.detach().clone() for parameter in model.parameters()]
    for step in range(12):
        learn(model, optimizer)
        optimizer.step()
        if step % 3 == 2:
            with torch.no_grad():
                for parameter, value in zip(model.parameters(), slow, strict=True):
                    value.add_(0.5 * (parameter - value))
                    parameter.copy_(value)


def bad_data_assigned():
    model, optimizer = build()
    for step in range(80):
        if step == 60:  # while rounds are counted
            for p in model.parameters():
                p.data = torch.randn(p.shape)
        learn(model, optimizer)
        optimizer.step()  # SL304


def bad_data_of_one_layer_assigned():
    model, optimizer = build()
    for step in range(8):
        if step == 5:
            model[0].weight.data = torch.randn(8, 4)
        learn(model, optimizer)
        optimizer.step()  # SL304


def fine_data_assigned_and_the_optimizer_made_anew():
    model, optimizer = build()
    for step in range(8):
        if step == 5:
            for p in model.parameters():
                p.data = torch.randn(p.shape)
            optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        learn(model, optimizer)
        optimizer.step()


def fine_data_assigned_near_by():
    model, optimizer = build()
    mask = torch.rand(8, 4) < 0.5
    for step in range(40):
        learn(model, optimizer)
        optimizer.step()
        for p in model.parameters():
            p.data = p.data * 0.99
        if step == 20:
            model[0].weight.data = model[0].weight.data * mask


def fine_data_swapped_for_an_evaluation():
    model, optimizer = build()
    for step in range(20):
        learn(model, optimizer)
        optimizer.step()
        if step % 5 == 4:
            kept = [p.data for p in model.parameters()]
            for p in model.parameters():
                p.data = torch.randn(p.shape)
            for p, data in zip(model.parameters(), kept, strict=True):
                p.data = data


def bad_optimizer_made_for_each_step():  # a note
    model, _ = build()
    for _ in range(12):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)  # SL304
        learn(model, optimizer)
        optimizer.step()


def fine_optimizer_without_state_made_for_each_step():
    model, _ = build()
    for _ in range(12):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        learn(model, optimizer)
        optimizer.step()


def fine_optimizer_made_for_each_epoch():
    model, _ = build()
    for _ in range(12):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(2):
            learn(model, optimizer)
            optimizer.step()


def fine_data_assigned_and_the_moments_cleared_while_steps_are_counted():
    model, optimizer = build()
    for step in range(400):
        if step % 40 == 39:
            for p in model.parameters() if step % 80 == 39 else [model[2].weight]:
                p.data = torch.randn(p.shape)
                for value in optimizer.state[p].values():
                    value.zero_()
        learn(model, optimizer)
        optimizer.step()


def revived(unused):
    """Codes that no sample has chosen for so long are put where samples are."""
    torch.manual_seed(0)
    codes = nn.Embedding(16, 4)
    optimizer = torch.optim.Adam(codes.parameters(), lr=0.01)
    since = torch.zeros(16)
    for step in range(unused + 30):
        x = torch.randn(8, 4) if step >= 5 else torch.randn(64, 4)
        near = torch.cdist(x, codes.weight[:8] if step >= 5 else codes.weight).argmin(1)
        optimizer.zero_grad()
        (codes(near) - x).pow(2).mean().backward()
        since += 1
        since[near] = 0
        dead = since > unused
        if dead[8:].all() and dead[8:].any():
            with torch.no_grad():
                codes.weight[8:] = torch.randn(8, 4)
            since[8:] = 0
        yield optimizer


def fine_codes_revived_after_their_moments_have_faded():
    for optimizer in revived(60):
        optimizer.step()


def bad_codes_revived_soon():
    for optimizer in revived(2):
        optimizer.step()  # SL304


def bad_head_drawn_anew_for_each_task():
    model, optimizer = build()
    for _ in range(3):
        model[2].reset_parameters()
        for _ in range(10):
            learn(model, optimizer)
            optimizer.step()  # SL304
