"""SL203 step-without-backward. `# SL203` marks the lines at which the finding must point."""

import time
import timeit

import torch
from torch import nn


def build(momentum=0.0):
    model = nn.Linear(4, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum)


def loss_of(model):
    return model(torch.randn(16, 4)).pow(2).mean()


def bad_step_before_backward():
    model, optimizer = build()
    for _ in range(4):
        loss = loss_of(model)
        optimizer.zero_grad()
        optimizer.step()  # SL203
        loss.backward()


def bad_step_twice():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        optimizer.step()  # SL203


def bad_backward_at_some_batches_only():
    model, optimizer = build()
    for batch in range(8):
        optimizer.zero_grad()
        loss = loss_of(model)
        if batch % 4 == 0:
            loss.backward()
        optimizer.step()  # SL203


def bad_backward_at_each_second_batch():
    model, optimizer = build()
    for batch in range(12):
        optimizer.zero_grad()
        loss = loss_of(model)
        if batch % 2 == 0:
            loss.backward()
        optimizer.step()  # SL203


def fine_a_batch_left_out_now_and_then():
    model, optimizer = build()
    for batch in range(40):
        optimizer.zero_grad()
        loss = loss_of(model)
        if batch % 10 != 5:
            loss.backward()
        optimizer.step()


def bad_moved_by_momentum_alone():
    model, optimizer = build(momentum=0.9)
    for batch in range(8):
        optimizer.zero_grad(set_to_none=False)
        loss = loss_of(model)
        if batch % 4 == 0:
            loss.backward()
        optimizer.step()  # SL203


def bad_old_gradients_again_where_the_backward_is_skipped():
    model, optimizer = build()
    for batch in range(4):
        loss = loss_of(model)
        if batch != 1:
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()  # SL203


def bad_gradients_computed_and_not_given():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        torch.autograd.grad(loss_of(model), list(model.parameters()))
        optimizer.step()  # SL203


def good_backward_then_step():
    model, optimizer = build(momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def fine_schedule_is_drawn():
    _model, optimizer = build()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    rates = []
    for _ in range(6):
        optimizer.step()
        scheduler.step()
        rates.append(scheduler.get_last_lr())


def fine_state_is_warmed_up():
    model, _ = build()
    optimizer = torch.optim.Adam(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    for _ in range(3):
        loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad()


def fine_warm_up_through_zero_gradients():
    model, _ = build()
    optimizer = torch.optim.AdamW(model.parameters())
    loss_of(model).backward()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def fine_last_step_of_an_accumulation():
    model, optimizer = build()
    for _ in range(3):
        for batch in range(4):
            (loss_of(model) / 2).backward()
            if batch % 2:
                optimizer.step()
                optimizer.zero_grad()
        optimizer.step()
        optimizer.zero_grad()


def fine_one_head_for_each_batch():
    body, heads = nn.Linear(4, 4), [nn.Linear(4, 1) for _ in range(2)]
    optimizers = [torch.optim.Adam(part.parameters()) for part in (body, *heads)]
    for batch in range(6):
        for optimizer in optimizers:
            optimizer.zero_grad()
        heads[batch // 3](body(torch.randn(8, 4))).pow(2).mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def fine_gradients_by_hand():
    model, optimizer = build(momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        losses = loss_of(model)
        gradients = torch.autograd.grad(losses, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()


def fine_evolution_strategy():
    model, optimizer = build(momentum=0.9)
    for _ in range(4):
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn_like(parameter)
                parameter.add_(noise)
                score = loss_of(model)
                parameter.sub_(noise)
                parameter.grad = noise * score
        optimizer.step()


def bad_inner_loop_without_its_backward():
    model, optimizer = build(momentum=0.9)
    for _ in range(6):
        optimizer.zero_grad()
        loss_of(model).backward()
        for _ in range(3):
            optimizer.step()  # SL203


def bad_inner_loop_that_goes_on_for_long():
    model, optimizer = build()
    for _ in range(60):
        loss = loss_of(model)
        optimizer.zero_grad()
        loss.backward()
        for _ in range(2):
            optimizer.step()  # SL203


def good_inner_loop_with_its_backward():
    model, optimizer = build(momentum=0.9)
    for _ in range(6):
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()


def fine_timed_twice():
    model, optimizer = build(momentum=0.9)
    for _ in range(2):
        loss_of(model).backward()
        for _ in range(20):
            optimizer.step()
        optimizer.zero_grad()


def fine_timed_steps():
    model, optimizer = build(momentum=0.9)
    loss_of(model).backward()
    for _ in range(20):
        optimizer.step()


def fine_two_optimizers_share_parameters():
    model, optimizer = build()
    other = torch.optim.SGD(model.parameters(), lr=0.001)
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        other.step()


def fine_lookahead():
    class Lookahead(torch.optim.Optimizer):
        def __init__(self, base):
            self.base = base
            super().__init__(base.param_groups[0]["params"], {})
            self.slow = [p.detach().clone() for p in base.param_groups[0]["params"]]

        def step(self, closure=None):
            self.base.step()
            for slow, fast in zip(self.slow, self.param_groups[0]["params"], strict=True):
                slow.add_(fast.detach() - slow, alpha=0.5)
                fast.data.copy_(slow)

    model, optimizer = build()
    wrapper = Lookahead(optimizer)
    for _ in range(4):
        wrapper.zero_grad()
        loss_of(model).backward()
        wrapper.step()


def fine_delayed_step():
    model, optimizer = build()
    for _ in range(4):
        optimizer.step()
        optimizer.zero_grad()
        loss_of(model).backward()


def fine_step_inside_backward():
    model, _ = build()
    optimizers = {p: torch.optim.SGD([p], lr=0.01, momentum=0.9) for p in model.parameters()}

    def step(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    for _ in range(4):
        loss_of(model).backward()


def fine_scaler_skips():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for step in range(5):
        optimizer.zero_grad()
        loss = loss_of(model) * (float("inf") if step in (1, 2) else 1.0)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()


def fine_gradients_computed_and_given():
    model, optimizer = build()
    for _ in range(4):
        gradients = torch.autograd.grad(loss_of(model), list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()


def bad_old_gradients_while_another_model_trains():
    one, two = nn.Linear(4, 1), nn.Linear(4, 1)
    first = torch.optim.Adam(one.parameters(), lr=0.01)
    second = torch.optim.Adam(two.parameters(), lr=0.01)
    for step in range(8):
        x = torch.randn(16, 4)
        if step % 2 == 0:
            first.zero_grad()
            one(x).pow(2).mean().backward()
        first.step()  # SL203
        second.zero_grad()
        two(x).pow(2).mean().backward()
        second.step()


def adversaries():
    generator, critic = nn.Linear(3, 2), nn.Linear(2, 1)
    first = torch.optim.Adam(generator.parameters(), lr=0.01)
    return generator, critic, first, torch.optim.Adam(critic.parameters(), lr=0.01)


def bad_generator_without_its_backward():
    generator, critic, first, second = adversaries()
    for _ in range(6):
        second.zero_grad()
        fake = generator(torch.randn(16, 3))
        (critic(fake.detach()).mean() - critic(torch.randn(16, 2)).mean()).backward()
        second.step()
        first.zero_grad()
        loss = -critic(fake).mean()
        first.step()  # SL203
        print(loss.item())


def good_generator_with_its_backward():
    generator, critic, first, second = adversaries()
    for _ in range(6):
        second.zero_grad()
        fake = generator(torch.randn(16, 3))
        (critic(fake.detach()).mean() - critic(torch.randn(16, 2)).mean()).backward()
        second.step()
        first.zero_grad()
        loss = -critic(fake).mean()
        loss.backward()
        first.step()
        print(loss.item())


def bad_agent_that_steps_whenever_it_acts():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.RMSprop(model.parameters())
    for tick in range(40):
        with torch.no_grad():
            model(torch.randn(4)).argmax()
        if tick % 4 == 0:
            optimizer.zero_grad()
            model(torch.randn(16, 4)).pow(2).mean().backward()
        optimizer.step()  # SL203


def fine_search_along_one_gradient():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        for _ in range(8):
            optimizer.step()
            with torch.no_grad():
                loss_of(model)


def fine_timed_after_a_warm_up_at_another_line():
    for size in (4, 8):
        model = nn.Linear(size, 1)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
        model(torch.randn(16, size)).pow(2).mean().backward()
        optimizer.step()
        for _ in range(20):
            optimizer.step()
        for _ in range(5):
            optimizer.step()
        optimizer.step()


def fine_timed_again_and_again():
    model, optimizer = build(momentum=0.9)
    for _ in range(6):
        optimizer.zero_grad()
        loss_of(model).backward()
        for _ in range(20):
            optimizer.step()


def bad_step_and_then_a_loop_of_steps():
    model, optimizer = build(momentum=0.9)
    for _ in range(6):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
        for _ in range(4):
            optimizer.step()  # SL203


def fine_a_few_steps_timed_for_each_size():
    for size in (4, 8):
        model = nn.Linear(4, size)
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.randn(16, 4)).pow(2).mean().backward()
            for _ in range(3):
                optimizer.step()
            began = time.perf_counter()
            for _ in range(10):
                optimizer.step()
            assert time.perf_counter() > began


def fine_a_few_steps_timed_by_a_function():
    def seconds(call):
        began = time.perf_counter()
        for _ in range(8):
            call()
        return time.perf_counter() - began

    model, optimizer = build(momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        assert seconds(lambda: optimizer.step()) > 0


def bad_a_loop_of_steps_in_an_epoch_that_is_timed():
    model, optimizer = build(momentum=0.9)
    for _ in range(6):
        began = time.perf_counter()
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        for _ in range(4):
            optimizer.step()  # SL203
        shown = float(loss)
        assert shown >= 0
        assert time.perf_counter() > began


class Stopwatch:
    def __enter__(self):
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.took = time.perf_counter() - self.began


def fine_a_few_steps_under_a_stopwatch():
    model, optimizer = build(momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        with Stopwatch() as watch:
            for _ in range(8):
                optimizer.step()
        assert watch.took > 0


def fine_a_few_steps_under_pythons_timer():
    model, optimizer = build(momentum=0.9)
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        assert timeit.timeit(optimizer.step, number=6) > 0


def bad_a_loop_of_steps_under_another_context():
    model, optimizer = build(momentum=0.9)
    for _ in range(6):
        optimizer.zero_grad()
        loss_of(model).backward()
        with torch.no_grad():
            for _ in range(4):
                optimizer.step()  # SL203
