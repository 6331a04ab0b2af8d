"""SL204 backward-never-stepped. `# SL204` marks the lines at which the finding must point."""

import torch
from torch import nn


def build(momentum=0.0):
    model = nn.Linear(4, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum)


def loss_of(model):
    return model(torch.randn(16, 4)).pow(2).mean()


def bad_schedule_instead_of_step():
    model, optimizer = build()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        if scheduler is not None:
            scheduler.step()
        else:
            optimizer.step()  # SL204


def bad_step_is_not_called():
    model, optimizer = build()
    for _ in range(5):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step  # SL204


def bad_no_step_anywhere():
    model, optimizer = build()
    for _ in range(5):
        optimizer.zero_grad()
        loss_of(model).backward()  # SL204


def bad_neither_clear_nor_step():
    model, _optimizer = build()
    for _ in range(12):
        loss_of(model).backward()  # SL204


def bad_one_of_two_never_steps():
    body, one = build()
    head = nn.Linear(1, 1)
    two = torch.optim.SGD(head.parameters(), lr=0.01)
    for _ in range(12):
        one.zero_grad()
        two.zero_grad()
        head(body(torch.randn(16, 4))).pow(2).mean().backward()  # SL204
        one.step()


def bad_critic_that_never_steps_beside_its_actor():
    actor, critic = nn.Linear(4, 1), nn.Linear(5, 1)
    first = torch.optim.SGD(actor.parameters(), lr=0.01)
    second = torch.optim.SGD(critic.parameters(), lr=0.01)
    for _ in range(12):
        x = torch.randn(16, 4)
        loss = critic(torch.cat([x, torch.randn(16, 1)], 1)).pow(2).mean()
        second.zero_grad()
        loss.backward()  # SL204
        first.zero_grad()
        (-critic(torch.cat([x, actor(x)], 1)).mean()).backward()
        first.step()


def bad_sparse_optimizer_beside_another():
    table, head = nn.Embedding(6, 4, sparse=True), nn.Linear(4, 1)
    sparse = torch.optim.SparseAdam(list(table.parameters()))
    dense = torch.optim.Adam(head.parameters())
    for _ in range(12):
        sparse.zero_grad()
        dense.zero_grad()
        head(table(torch.randint(0, 6, (8,)))).pow(2).mean().backward()  # SL204
        dense.step()


def bad_each_step_held_back():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for _ in range(12):
        optimizer.zero_grad()
        scaler.scale(loss_of(model) + (model.weight - model.weight).log().mean()).backward()
        scaler.step(optimizer)  # SL204
        scaler.update()


def fine_first_steps_held_back():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, backoff_factor=0.5)
    for _ in range(24):
        optimizer.zero_grad()
        scaler.scale(8 * loss_of(model)).backward()
        scaler.step(optimizer)
        scaler.update()


def good_step_and_schedule():
    model, optimizer = build()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        scheduler.step()


def fine_long_accumulation():
    model, optimizer = build()
    for batch in range(12):
        (loss_of(model) / 12).backward()
        if batch == 11:
            optimizer.step()
            optimizer.zero_grad()


def fine_written_by_hand_through_data():
    model, optimizer = build()
    for _ in range(20):
        optimizer.zero_grad()
        loss_of(model).backward()
        for parameter in model.parameters():
            parameter.data -= 0.01 * parameter.grad


def fine_written_by_hand_without_optimizer():
    model = nn.Linear(4, 1)
    for _ in range(20):
        model.zero_grad()
        loss_of(model).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(0.01 * parameter.grad)


def fine_foreach_by_hand():
    model, optimizer = build()
    parameters = list(model.parameters())
    for _ in range(20):
        optimizer.zero_grad()
        loss_of(model).backward()
        with torch.no_grad():
            torch._foreach_add_(parameters, [p.grad for p in parameters], alpha=-0.01)


def fine_gradient_statistics_before_training():
    model, optimizer = build()
    fisher = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for _ in range(10):
        model.zero_grad()
        loss_of(model).backward()
        for total, parameter in zip(fisher, model.parameters(), strict=True):
            total += parameter.grad.pow(2)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def fine_statistics_after_training():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
    for _ in range(20):
        model.zero_grad()
        loss_of(model).backward()


def fine_attack_on_an_input():
    model, optimizer = build()
    x = torch.randn(8, 4, requires_grad=True)
    for _ in range(20):
        optimizer.zero_grad()
        model(x).sum().backward()
        x.data += 0.01 * x.grad.sign()
        x.grad = None


def fine_saliency_of_a_model_without_optimizer():
    model = nn.Linear(4, 1)
    for _ in range(20):
        model.zero_grad()
        loss_of(model).backward()


def fine_lbfgs():
    model, _ = build()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    for _ in range(8):
        optimizer.step(closure)


def fine_two_optimizers_for_one_model_one_is_chosen():
    model, optimizer = build()
    _other = torch.optim.Adam(model.parameters())
    for _ in range(12):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def fine_autograd_grad():
    model, optimizer = build()
    for _ in range(20):
        optimizer.zero_grad()
        torch.autograd.grad(loss_of(model), list(model.parameters()))


def fine_few_backward_passes():
    model, _ = build()
    for _ in range(3):
        loss_of(model).backward()


def bad_update_by_hand_of_the_loop_variable():
    model = nn.Linear(4, 1)
    for _ in range(12):
        model.zero_grad()
        loss_of(model).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter = parameter - 0.01 * parameter.grad  # SL204


def bad_update_by_hand_that_does_not_write():
    def update(parameters):
        for parameter in parameters:
            parameter.data.sub(0.01 * parameter.grad)  # SL204

    model = nn.Linear(4, 1)
    for _ in range(12):
        model.zero_grad()
        loss_of(model).backward()
        update(model.parameters())


def fine_new_values_by_hand_that_are_kept():
    model = nn.Linear(4, 1)
    for _ in range(12):
        model.zero_grad()
        loss_of(model).backward()
        moved = []
        for parameter in model.parameters():
            parameter = parameter - 0.01 * parameter.grad
            moved.append(parameter)
        print(len(moved))


def bad_in_each_fold():  # told once
    for _ in range(3):
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(10):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).pow(2).mean().backward()  # SL204
        assert optimizer


def bad_the_other_optimizer_stepped_twice():
    gen, critic = nn.Linear(3, 4), nn.Linear(4, 1)
    opt_g = torch.optim.SGD(gen.parameters(), lr=0.01)
    opt_c = torch.optim.SGD(critic.parameters(), lr=0.01)
    for _ in range(10):
        opt_c.zero_grad()
        (
            critic(gen(torch.randn(8, 3)).detach()).mean() - critic(torch.randn(8, 4)).mean()
        ).backward()
        opt_c.step()
        opt_g.zero_grad()
        (-critic(gen(torch.randn(8, 3))).mean()).backward()  # SL204
        opt_c.step()


def bad_the_newest_of_many_optimizers():
    """Only some that have not stepped are looked at at a time."""
    others = [torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1) for _ in range(80)]
    actor, critic = nn.Linear(4, 1), nn.Linear(4, 1)
    first = torch.optim.SGD(actor.parameters(), lr=0.01)
    second = torch.optim.SGD(critic.parameters(), lr=0.01)
    for _ in range(12):
        first.zero_grad()
        actor(torch.randn(8, 4)).pow(2).mean().backward()  # SL204
        second.zero_grad()
        critic(torch.randn(8, 4)).pow(2).mean().backward()
        second.step()
    assert others
