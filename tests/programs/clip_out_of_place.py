"""SL206 clip-out-of-place. `# SL206` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import utils
from torch.utils.checkpoint import checkpoint


def build(momentum=0.9):
    model = nn.Linear(4, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum)


def loss_of(model):
    return model(torch.randn(16, 4)).pow(2).mean()


def bad_before_the_backward():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        utils.clip_grad_norm_(model.parameters(), 1.0)  # SL206
        loss_of(model).backward()
        optimizer.step()


def bad_after_the_step():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        utils.clip_grad_value_(model.parameters(), 0.5)  # SL206


def bad_after_the_clear():
    model, optimizer = build()
    for _ in range(3):
        loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        utils.clip_grad_norm_(model.parameters(), 1.0)  # SL206


def bad_another_model():
    model, optimizer = build()
    other = nn.Linear(4, 1)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        utils.clip_grad_norm_(other.parameters(), 1.0)  # SL206
        optimizer.step()


def bad_an_exhausted_generator():
    model = nn.Linear(4, 1)
    parameters = model.parameters()
    optimizer = torch.optim.SGD(parameters, lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        utils.clip_grad_norm_(parameters, 1.0)  # SL206
        optimizer.step()


def bad_before_unscaling():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        utils.clip_grad_norm_(model.parameters(), 1.0)  # SL206
        scaler.step(optimizer)
        scaler.update()


def bad_clamped_by_hand_after_the_step():
    model, optimizer = build()
    for _ in range(5):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        for p in model.parameters():
            p.grad.clamp_(-0.01, 0.01)  # SL206


def bad_divided_after_the_step():
    model, optimizer = build()
    for _ in range(5):
        for _ in range(2):
            loss_of(model).backward()  # SL207
        optimizer.step()
        for p in model.parameters():
            p.grad /= 2  # SL206
        model.zero_grad()


def fine_divided_before_the_step():
    model, optimizer = build()
    for _ in range(5):
        for _ in range(2):
            loss_of(model).backward()
        for p in model.parameters():
            p.grad /= 2
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)


def fine_scores_of_gradients_in_place():
    model, optimizer = build()
    score = 0.0
    for _ in range(5):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        score += sum(p.grad.abs_().sum().item() for p in model.parameters())


def fine_zeroed_by_hand_after_the_step():
    model, optimizer = build()
    for _ in range(5):
        loss_of(model).backward()
        optimizer.step()
        for p in model.parameters():
            p.grad.mul_(0)


class Decaying(torch.optim.Optimizer):
    """Adds the decay to the gradient itself, as optimizers of old do."""

    def __init__(self, params):
        super().__init__(params, {"lr": 0.01})

    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            p.data.add_(p.grad.data, alpha=-0.01)
            p.grad.data.mul_(0.5)


def fine_written_by_the_optimizer():
    model, _ = build()
    optimizer = Decaying(model.parameters())
    for _ in range(5):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def fine_scaled_between_two_optimizers():
    model, optimizer = build()
    other = torch.optim.SGD(model.parameters(), lr=0.001)
    for _ in range(5):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        for p in model.parameters():
            p.grad.mul_(0.5)
        other.step()


def good_between():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def good_unscaled_first():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        scaler.unscale_(optimizer)
        utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()


def fine_bound_times_the_scale():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        utils.clip_grad_norm_(model.parameters(), 2.0 * scaler.get_scale())
        scaler.step(optimizer)
        scaler.update()


def fine_unscaled_by_hand():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        for parameter in model.parameters():
            parameter.grad.div_(scaler.get_scale())
        utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def fine_scaler_switched_off():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()


def fine_only_measured():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        utils.clip_grad_norm_(model.parameters(), float("inf"))


def bad_after_each_backward_of_an_accumulation():
    model, optimizer = build()
    for batch in range(9):
        (loss_of(model) / 3).backward()
        utils.clip_grad_norm_(model.parameters(), 0.01)  # SL206
        if batch % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()


def fine_after_each_backward_of_an_accumulation_and_never_cutting():
    model, optimizer = build()
    for batch in range(9):
        (loss_of(model) / 3).backward()
        utils.clip_grad_norm_(model.parameters(), 500.0)
        if batch % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()


def fine_each_sample_clipped_and_cleared():
    """Differential privacy: the clipped gradients are added up elsewhere."""
    model, optimizer = build()
    for _ in range(3):
        sums = [torch.zeros_like(p) for p in model.parameters()]
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            utils.clip_grad_norm_(model.parameters(), 0.01)
            for total, p in zip(sums, model.parameters(), strict=True):
                total += p.grad
        for total, p in zip(sums, model.parameters(), strict=True):
            p.grad = total / 3
        optimizer.step()


def fine_real_and_fake_clipped():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        utils.clip_grad_norm_(model.parameters(), 0.01)
        (-0.5 * loss_of(model)).backward()
        utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()


def fine_norm_shown_while_accumulating():
    model, optimizer = build()
    for batch in range(9):
        (loss_of(model) / 3).backward()
        utils.clip_grad_norm_(model.parameters(), float("inf"))
        if batch % 3 == 2:
            utils.clip_grad_norm_(model.parameters(), 0.01)
            optimizer.step()
            optimizer.zero_grad()


def fine_accumulation_clipped_once():
    model, optimizer = build()
    for batch in range(6):
        (loss_of(model) / 2).backward()
        if batch % 2:
            utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()


def fine_first_loss_clipped_by_itself():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        utils.clip_grad_norm_(model.parameters(), 1.0)
        (loss_of(model) * 0.1).backward()
        optimizer.step()


def fine_both_networks_clipped_each_time():
    first, one = build()
    second, two = build()
    for batch in range(6):
        model, optimizer = ((first, one), (second, two))[batch % 2]
        optimizer.zero_grad()
        loss_of(model).backward()
        utils.clip_grad_norm_(first.parameters(), 1.0)
        utils.clip_grad_norm_(second.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def fine_delayed_step():
    model, optimizer = build()
    for _ in range(4):
        utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss_of(model).backward()


def fine_body_only():
    body, head = nn.Linear(4, 4), nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        head(body(torch.randn(8, 4))).pow(2).mean().backward()
        utils.clip_grad_norm_(body.parameters(), 1.0)
        optimizer.step()


def actor_and_critic(clip):
    actor, critic = nn.Linear(3, 1), nn.Linear(4, 1)
    first = torch.optim.Adam(actor.parameters(), lr=0.01)
    second = torch.optim.Adam(critic.parameters(), lr=0.01)
    for _ in range(4):
        x = torch.randn(16, 3)
        second.zero_grad()
        critic(torch.randn(16, 4)).pow(2).mean().backward()
        utils.clip_grad_norm_(critic.parameters(), 1.0)
        second.step()
        first.zero_grad()
        critic(torch.cat([x, actor(x)], 1)).mean().backward()
        clip(actor, critic)
        first.step()


def bad_the_critic_in_the_step_of_the_actor():
    def clip(actor, critic):
        utils.clip_grad_norm_(critic.parameters(), 1.0)  # SL206

    actor_and_critic(clip)


def fine_both_in_the_step_of_the_actor():
    def clip(actor, critic):
        utils.clip_grad_norm_([*actor.parameters(), *critic.parameters()], 1.0)

    actor_and_critic(clip)


def fine_bad_batches_skipped_after_a_clip():
    model, optimizer = build()
    head = nn.Linear(1, 1)
    other = torch.optim.SGD(head.parameters(), lr=0.01)
    for step in range(8):
        head(model(torch.randn(16, 4))).pow(2).mean().backward()
        utils.clip_grad_norm_(model.parameters(), 1.0)
        utils.clip_grad_norm_(head.parameters(), 1.0)
        if step % 2:
            optimizer.step()
        other.step()
        optimizer.zero_grad()
        other.zero_grad()


def bad_clamp_without_the_underscore():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        for p in model.parameters():
            p.grad.data.clamp(-1, 1)  # SL206
        optimizer.step()


def bad_weights_clamped_to_nowhere():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        for p in model.parameters():
            p.data.clamp(-0.1, 0.1)  # SL206


def fine_checkpoint_whose_backward_runs_lines_of_the_program():
    first, last = nn.Linear(4, 4), nn.Linear(4, 1)

    def block(x):
        h = first(x)
        return torch.tanh(h)

    both = nn.Sequential(first, last)
    optimizer = torch.optim.SGD(both.parameters(), lr=0.1)
    x = torch.randn(16, 4)
    for _ in range(8):
        loss = last(checkpoint(block, x, use_reentrant=False)).pow(2).mean()
        optimizer.zero_grad(), loss.backward(), optimizer.step()


def fine_clamp_that_is_kept():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        for p in model.parameters():
            torch.clamp(p.grad, -1, 1, out=p.grad)
        optimizer.step()
        for p in model.parameters():
            p.data = p.data.clamp(-1, 1)
            p.data.clamp_(-1, 1)


def fine_gradients_put_there_by_hand_under_a_scaler():
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for _ in range(8):
        optimizer.zero_grad()
        scaler.scale(model(torch.randn(16, 4)).pow(2).mean()).backward()
        for parameter in model.parameters():
            parameter.grad = parameter.grad / scaler.get_scale()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def turns(clipped):
    body, critic = nn.Linear(4, 4), nn.Linear(4, 1)
    first = torch.optim.SGD(body.parameters(), lr=0.01)
    second = torch.optim.SGD(critic.parameters(), lr=0.01)
    for _ in range(6):
        out = body(torch.randn(16, 4))
        first.zero_grad()
        (out - 1).pow(2).mean().backward()
        utils.clip_grad_norm_(body.parameters(), 1.0)
        first.step()
        second.zero_grad()
        critic(out.detach()).pow(2).mean().backward()
        clipped(body, critic)
        second.step()


def bad_clip_of_the_network_that_has_stepped():
    body, critic = nn.Linear(4, 4), nn.Linear(4, 1)
    first = torch.optim.SGD(body.parameters(), lr=0.01)
    second = torch.optim.SGD(critic.parameters(), lr=0.01)
    for _ in range(6):
        out = body(torch.randn(16, 4))
        first.zero_grad()
        (out - 1).pow(2).mean().backward()
        utils.clip_grad_norm_(body.parameters(), 1.0)
        first.step()
        second.zero_grad()
        critic(out.detach()).pow(2).mean().backward()
        utils.clip_grad_norm_(body.parameters(), 1.0)  # SL206
        second.step()


def good_clip_of_the_network_that_steps_next():
    turns(lambda body, critic: utils.clip_grad_norm_(critic.parameters(), 1.0))


def fine_second_network_left_unclipped():
    turns(lambda body, critic: None)


def fine_both_networks_clipped_before_the_second_steps():
    turns(lambda *both: [utils.clip_grad_norm_(each.parameters(), 1.0) for each in both])


def bad_bound_of_zero():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.0)  # SL206
        optimizer.step()
