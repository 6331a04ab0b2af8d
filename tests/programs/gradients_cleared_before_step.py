"""SL202 gradients-cleared-before-step. `# SL202` marks where the finding must point."""

import torch
from torch import nn


def build(momentum=0.0):
    model = nn.Linear(4, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum)


def loss_of(model):
    return model(torch.randn(16, 4)).pow(2).mean()


def bad_clear_between():
    model, optimizer = build()
    for _ in range(4):
        loss_of(model).backward()
        optimizer.zero_grad()  # SL202
        optimizer.step()


def bad_module_clear_between():
    model, optimizer = build(momentum=0.9)
    for _ in range(3):
        loss_of(model).backward()
        model.zero_grad(set_to_none=False)  # SL202
        optimizer.step()


def bad_cleared_by_hand():
    model, optimizer = build()
    for _ in range(3):
        loss_of(model).backward()
        for parameter in model.parameters():
            parameter.grad = None  # SL202
        optimizer.step()


def bad_clear_and_step_at_the_top():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()  # SL202
        optimizer.step()
        loss_of(model).backward()


def bad_one_of_two_optimizers():
    first, one = build()
    second, two = build()
    for _ in range(3):
        two.zero_grad()
        (loss_of(first) + loss_of(second)).backward()
        one.zero_grad()  # SL202
        one.step()
        two.step()


def bad_cleared_within_the_window():
    model, optimizer = build()
    for batch in range(12):
        optimizer.zero_grad()  # SL202
        (loss_of(model) / 4).backward()
        if batch % 4 == 3:
            optimizer.step()


def bad_step_out_of_the_loop():
    model, optimizer = build()
    for _ in range(3):
        for _ in range(5):
            optimizer.zero_grad()  # SL202
            loss_of(model).backward()
        optimizer.step()


def good_clear_first():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def good_clear_last():
    model, optimizer = build()
    for _ in range(4):
        loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad()


def fine_clear_at_the_start():
    model, optimizer = build()
    loss_of(model).backward()
    optimizer.zero_grad()
    optimizer.step()
    for _ in range(3):
        loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad()


def fine_probe_backward_before_training_each_epoch():
    model, optimizer = build()
    for _ in range(3):
        loss_of(model).backward()
        optimizer.zero_grad()
        for _ in range(2):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()


def fine_gan_other_network():
    critic, critic_optimizer = build()
    maker = nn.Linear(3, 4)
    maker_optimizer = torch.optim.SGD(maker.parameters(), lr=0.01)
    for _ in range(4):
        critic_optimizer.zero_grad()
        (critic(maker(torch.randn(8, 3)).detach()) - loss_of(critic)).mean().backward()
        critic_optimizer.step()
        maker_optimizer.zero_grad()
        critic(maker(torch.randn(8, 3))).mean().backward()
        maker_optimizer.step()


def fine_bad_batch_is_skipped():
    model, optimizer = build()
    for step in range(6):
        optimizer.zero_grad()
        x = torch.randn(16, 4) * (float("inf") if step in (2, 3, 4) else 1.0)
        loss = model(x).pow(2).mean()  # SL601
        loss.backward()
        if not all(p.grad.isfinite().all() for p in model.parameters()):
            optimizer.zero_grad()
        optimizer.step()


def fine_gradients_written_by_hand():
    model, optimizer = build()
    for _ in range(4):
        loss_of(model).backward()
        kept = [parameter.grad.clone() for parameter in model.parameters()]
        optimizer.zero_grad()
        for parameter, gradient in zip(model.parameters(), kept, strict=True):
            parameter.grad = gradient / gradient.norm()
        optimizer.step()


def fine_sharpness_aware():
    model, optimizer = build()
    for _ in range(4):
        loss_of(model).backward()
        with torch.no_grad():
            shifts = [p.grad / (p.grad.norm() + 1e-12) * 0.05 for p in model.parameters()]
            for parameter, shift in zip(model.parameters(), shifts, strict=True):
                parameter.add_(shift)
        optimizer.zero_grad()
        loss_of(model).backward()
        with torch.no_grad():
            for parameter, shift in zip(model.parameters(), shifts, strict=True):
                parameter.sub_(shift)
        optimizer.step()
        optimizer.zero_grad()


def fine_a_partial_accumulation_is_dropped():
    model, optimizer = build()
    for _ in range(3):
        for batch in range(5):
            (loss_of(model) / 2).backward()
            if batch % 2:
                optimizer.step()
                optimizer.zero_grad()
        optimizer.zero_grad()


def fine_one_helper_for_both_networks_of_a_gan():
    generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    one = torch.optim.Adam(generator.parameters())
    two = torch.optim.Adam(critic.parameters())

    def update(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(6):
        update(one, -critic(generator(torch.randn(8, 2))).mean())
        made = generator(torch.randn(8, 2)).detach()
        update(two, critic(made).mean() - critic(torch.randn(8, 4)).mean())


def fine_sharpness_aware_in_a_loop():
    model, optimizer = build()
    for _ in range(6):
        for turn in range(2):
            optimizer.zero_grad()
            loss_of(model).backward()
            with torch.no_grad():
                if turn == 0:
                    moved = [0.05 * p.grad / p.grad.norm() for p in model.parameters()]
                for parameter, by in zip(model.parameters(), moved, strict=True):
                    parameter.add_(by if turn == 0 else -by)
        optimizer.step()


def fine_gradients_of_each_task_combined_by_hand():
    model, optimizer = build()
    for _ in range(6):
        parts = []
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            parts.append([p.grad.clone() for p in model.parameters()])
        for parameter, *gradients in zip(model.parameters(), *parts, strict=True):
            parameter.grad = torch.stack(gradients).mean(0)
        optimizer.step()


def fine_each_sample_clipped_and_gathered_by_the_optimizer():
    class Private(torch.optim.SGD):
        """Adds up clipped gradients of samples, and steps along the noisy sum."""

        def __init__(self, parameters):
            super().__init__(parameters, lr=0.1)
            self.held = self.param_groups[0]["params"]
            self.sums = [torch.zeros_like(p) for p in self.held]

        def gather(self):
            norm = sum(p.grad.data.norm() ** 2 for p in self.held) ** 0.5
            for p, total in zip(self.held, self.sums, strict=True):
                total.add_(p.grad.data.mul(min(1.0, 0.1 / float(norm))))

        def step(self, closure=None):
            for p, total in zip(self.held, self.sums, strict=True):
                p.grad.data = total + 0.01 * torch.randn_like(total)
                total.zero_()
            super().step(closure)

    model = nn.Linear(4, 1)
    optimizer = Private(model.parameters())
    for _ in range(8):
        for _ in range(5):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.gather()
        optimizer.step()


def fine_the_optimizer_steps_along_its_own_sums():
    class Gathering(torch.optim.Optimizer):
        def __init__(self, parameters):
            super().__init__(parameters, {})
            self.held = self.param_groups[0]["params"]
            self.sums = [torch.zeros_like(p) for p in self.held]

        @torch.no_grad()
        def gather(self):
            for p, total in zip(self.held, self.sums, strict=True):
                total += p.grad.clamp(-0.1, 0.1)

        @torch.no_grad()
        def step(self, closure=None):
            for p, total in zip(self.held, self.sums, strict=True):
                p.sub_(total, alpha=0.1)
                total.zero_()

    model = nn.Linear(4, 1)
    optimizer = Gathering(model.parameters())
    for _ in range(8):
        for _ in range(5):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.gather()
        optimizer.step()


def bad_cleared_within_the_window_of_an_optimizer_of_ones_own():
    class Decaying(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad.data.add_(p.data, alpha=0.01)
            super().step(closure)

    model = nn.Linear(4, 1)
    optimizer = Decaying(model.parameters(), lr=0.1)
    for batch in range(12):
        optimizer.zero_grad()  # SL202
        (loss_of(model) / 4).backward()
        if batch % 4 == 3:
            optimizer.step()


def fine_a_batch_thrown_away_now_and_then():
    model, optimizer = build()
    for batch in range(16):
        optimizer.zero_grad()
        loss_of(model).backward()
        if batch % 5 != 4:
            optimizer.step()


def two_losses():
    body, one, two = nn.Linear(4, 8), nn.Linear(8, 1), nn.Linear(8, 1)
    model = nn.ModuleList([body, one, two])
    return body, one, two, torch.optim.SGD(model.parameters(), lr=0.01)


def bad_cleared_between_two_losses():
    body, one, two, optimizer = two_losses()
    for _ in range(6):
        h = torch.tanh(body(torch.randn(16, 4)))
        one(h).pow(2).mean().backward(retain_graph=True)
        optimizer.zero_grad()  # SL202
        (two(h) - 1).pow(2).mean().backward()
        optimizer.step()


def good_cleared_before_two_losses():
    body, one, two, optimizer = two_losses()
    for _ in range(6):
        h = torch.tanh(body(torch.randn(16, 4)))
        optimizer.zero_grad()
        one(h).pow(2).mean().backward(retain_graph=True)
        (two(h) - 1).pow(2).mean().backward()
        optimizer.step()


def fine_gradient_of_each_loss_looked_at():
    body, one, two, optimizer = two_losses()
    for _ in range(6):
        h = torch.tanh(body(torch.randn(16, 4)))
        first, second = one(h).pow(2).mean(), (two(h) - 1).pow(2).mean()
        first.backward(retain_graph=True)
        print(body.weight.grad.norm().item())
        optimizer.zero_grad()
        second.backward(retain_graph=True)
        print(body.weight.grad.norm().item())
        optimizer.zero_grad()
        (first + second).backward()
        optimizer.step()


def bad_clear_between_the_two_halves_of_a_loss():
    critic = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.01)
    for _ in range(6):
        optimizer.zero_grad()
        (1 - critic(torch.randn(8, 4))).relu().mean().backward()
        optimizer.zero_grad()  # SL202
        (1 + critic(torch.randn(8, 4) - 1)).relu().mean().backward()
        optimizer.step()


def fine_a_norm_is_asked_for_before_the_clear():
    critic = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.01)
    norms = []
    for _ in range(6):
        optimizer.zero_grad()
        (1 - critic(torch.randn(8, 4))).relu().mean().backward()
        norms.append(nn.utils.clip_grad_norm_(critic.parameters(), float("inf")))
        optimizer.zero_grad()
        (1 + critic(torch.randn(8, 4) - 1)).relu().mean().backward()
        optimizer.step()


def fine_loss_of_a_critic_reaches_a_generator_that_is_cleared():
    generator, critic = nn.Linear(4, 4), nn.Linear(4, 1)
    critic.requires_grad_(False)
    first, second = (torch.optim.SGD(each.parameters(), lr=0.01) for each in (generator, critic))
    for step in range(12):
        if step == 8:
            critic.requires_grad_(True)
        second.zero_grad()
        (critic(generator(torch.randn(8, 4))).mean() - critic(torch.randn(8, 4)).mean()).backward()
        second.step()
        first.zero_grad()
        (-critic(generator(torch.randn(8, 4))).mean()).backward()
        first.step()
