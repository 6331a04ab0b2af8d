"""SL303 parameter-out-of-graph. `# SL303` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.relu(self.encoder(x)))


def learn(model, optimizer, steps=4):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.table, self.block = nn.Embedding(9, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.head = nn.Linear(4, 2)
        self.table.requires_grad_(False)
        self.reentrant = reentrant

    def forward(self, x):
        return self.head(self.through(self.table(x)).mean(1))

    def through(self, h):
        return checkpoint(self.block, h, use_reentrant=self.reentrant)


def learn_checkpointed(model):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for _ in range(4):
        x = torch.randint(0, 9, (8, 3))
        optimizer.zero_grad()
        F.cross_entropy(model(x), x[:, 0] % 2).backward()
        optimizer.step()


def bad_checkpoint_of_inputs_that_require_no_gradient():
    class Kept(Checkpointed):
        def through(self, h):
            return checkpoint(self.block, h, use_reentrant=True)  # SL303

    learn_checkpointed(Kept(reentrant=True))


def good_checkpoint_that_is_not_reentrant():
    learn_checkpointed(Checkpointed(reentrant=False))


def bad_loss_of_numbers():
    model = Chain()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        out = model(torch.randn(8, 4))
        loss = 0.0
        for row in out:
            loss += row.sum().item()  # SL303
        loss = torch.tensor(loss, requires_grad=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_detached_within_the_forward():
    class Cut(Chain):
        def forward(self, x):
            h = torch.relu(self.encoder(x))
            return self.head(h.detach())  # SL303

    model = Cut()
    learn(model, torch.optim.Adam(model.parameters()))


def bad_made_of_a_list_within_the_forward():
    class Cut(Chain):
        def forward(self, x):
            h = torch.relu(self.encoder(x))
            return self.head(torch.tensor(h.tolist()))  # SL303

    model = Cut()
    learn(model, torch.optim.Adam(model.parameters()))


def bad_encoder_detached():
    encoder, head = nn.Linear(4, 8), nn.Linear(8, 2)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()])
    for _ in range(4):
        h = encoder(torch.randn(8, 4)).detach()  # SL303
        optimizer.zero_grad()
        head(h).pow(2).mean().backward()
        optimizer.step()


def bad_losses_rewrapped():
    model = Chain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        losses = [model(torch.randn(8, 4)).pow(2).mean() for _ in range(2)]
        loss = torch.tensor(losses, requires_grad=True).mean()  # SL303
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_all_frozen():
    model = Chain()
    model.requires_grad_(False)
    scale = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())  # SL303
    for _ in range(3):
        optimizer.zero_grad()
        scale(model(torch.randn(8, 4))).pow(2).mean().backward()
        optimizer.step()


def bad_part_detached_beside_the_other():
    left, right = nn.Linear(4, 2), nn.Linear(4, 2)
    optimizer = torch.optim.Adam([*left.parameters(), *right.parameters()])
    for _ in range(4):
        x = torch.randn(8, 4)
        out = left(x) + right(x).detach()  # SL303
        optimizer.zero_grad()
        out.pow(2).mean().backward()
        optimizer.step()


def bad_data_of_the_parameter_itself():
    class Affine(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.shift = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))

        def forward(self, x):
            scale = self.scale.data  # SL303
            return (x - self.shift) * torch.exp(-scale)

    flow = nn.Sequential(Affine(), nn.Linear(4, 4))
    optimizer = torch.optim.Adam(flow.parameters())
    for _ in range(8):
        optimizer.zero_grad()
        flow(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()


def bad_threshold_compared_with():
    class Pruned(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.least = nn.Linear(4, 4), nn.Parameter(torch.tensor(0.05))

        def forward(self, x):
            weight = self.linear.weight
            mask = (weight.abs() > self.least).float()  # SL303
            return nn.functional.linear(x, weight * mask, self.linear.bias)

    model = Pruned()
    learn(model, torch.optim.Adam(model.parameters()), 8)


def bad_data_within_the_forward():
    class Cut(Chain):
        def forward(self, x):
            h = torch.relu(self.encoder(x))
            return self.head(h.data)  # SL303

    model = Cut()
    learn(model, torch.optim.Adam(model.parameters()))


def bad_data_within_a_criterion():
    class Dice(nn.Module):
        def forward(self, prediction, target):
            parts = [(one * two).sum() for one, two in zip(prediction.data, target)]  # SL303
            return torch.stack(parts).mean().requires_grad_()

    model, criterion = Chain(), Dice()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(6):
        optimizer.zero_grad()
        out = model(torch.randn(16, 4))
        criterion(out, torch.ones_like(out)).backward()
        optimizer.step()


def bad_tokens_by_argmax():
    class Spoken(Chain):
        def forward(self, x):
            word = self.encoder(x).argmax(-1)  # SL303
            return self.head(nn.functional.one_hot(word, 8).float())

    model = Spoken()
    learn(model, torch.optim.Adam(model.parameters()))


def bad_gate_by_comparison():
    class Gated(Chain):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(4, 8)

        def forward(self, x):
            open_ = torch.sigmoid(self.gate(x)) > 0.5  # SL303
            return self.head(torch.relu(self.encoder(x)) * open_)

    model = Gated()
    learn(model, torch.optim.Adam(model.parameters()))


def bad_data_between_two_models_of_one_loop():
    encoder, decoder = nn.Linear(4, 2), nn.Linear(2, 4)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
    for _ in range(5):
        x = torch.randn(8, 4)
        code = encoder(x)
        out = decoder(code.data)  # SL303
        loss = (out - x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_frozen_by_no_grad_yet_held():
    class Dark(Chain):
        def forward(self, x):
            with torch.no_grad():
                h = torch.relu(self.encoder(x))  # SL303
            return self.head(h)

    model = Dark()
    learn(model, torch.optim.Adam(model.parameters()))


def bad_fed_to_a_helper_under_a_decorator():
    @torch.no_grad()
    def averaged(weights, values):
        total = weights.sum(1, keepdim=True)
        return weights @ values / total  # SL303

    class Neighbours(nn.Module):
        def __init__(self, given, made):
            super().__init__()
            self.own, self.others = nn.Linear(given, made), nn.Linear(given, made, bias=False)

        def forward(self, weights, x):
            return self.own(x) + averaged(weights, self.others(x))

    weights, layers = torch.rand(16, 16), nn.ModuleList([Neighbours(4, 8), Neighbours(8, 2)])
    optimizer = torch.optim.Adam(layers.parameters())
    for _ in range(6):
        optimizer.zero_grad()
        layers[1](weights, layers[0](weights, torch.randn(16, 4)).relu()).pow(2).mean().backward()
        optimizer.step()


def bad_graph_dropped_by_a_block():
    class Dropped(Chain):
        def forward(self, x):
            h = torch.relu(self.encoder(x))
            with torch.no_grad():
                scaled = h / h.norm(dim=1, keepdim=True)  # SL303
            return self.head(scaled)

    model = Dropped()
    learn(model, torch.optim.Adam(model.parameters()), 6)


def fine_part_judged_without_recording_before_its_phase():
    class Judged(Chain):
        def __init__(self):
            super().__init__()
            self.other, self.gap, self.both = nn.Linear(4, 2), None, False

        def forward(self, x):
            out, other = self.head(torch.relu(self.encoder(x))), self.other(x)
            with torch.no_grad():
                self.gap = (out - other).norm()
            return out + other if self.both else out

    model = Judged()
    optimizer = torch.optim.Adam(model.parameters())
    learn(model, optimizer, 6)
    model.both = True
    learn(model, optimizer, 6)


class Tapped(nn.Module):
    """Gives what a layer inside computes; that of the last one is used by nobody."""

    def __init__(self):
        super().__init__()
        self.net, self.kept = Chain(), None
        self.net.encoder.register_forward_hook(self.keep)

    def keep(self, module, given, out):
        self.kept = out

    def forward(self, x):
        self.net(x)
        return self.kept


def bad_spare_layer_judged_without_recording():  # a note, and no `no_grad` in it
    model = Tapped()
    optimizer = torch.optim.Adam(model.parameters())  # SL303
    for step in range(12):
        optimizer.zero_grad()
        model(torch.randn(16, 4)).pow(2).mean().backward()
        optimizer.step()
        if step in (0, 3, 8):
            with torch.no_grad():
                print(model(torch.randn(16, 4)).mean(), end="\r")


def bad_fast_weights_made_of_numbers():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(5):
        optimizer.zero_grad()
        parameters = list(model.parameters())
        loss = (model(torch.randn(8, 4)) - 1).pow(2).mean()
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        weight, bias = (
            (p.data - 0.1 * g.data).requires_grad_()
            for p, g in zip(parameters, gradients, strict=True)
        )
        (torch.randn(8, 4) @ weight.t() + bias - 1).pow(2).mean().backward()
        optimizer.step()  # SL303


class Scaled(torch.autograd.Function):
    """A product whose backward is complete or not."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x * weight

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        return gradient * weight, (gradient * x).sum(0)


class Gate(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.scale, self.function = nn.Parameter(torch.ones(8)), function

    def forward(self, x):
        return self.function.apply(x, self.scale)


def gated(function, given=lambda gate: None):
    model = nn.Sequential(nn.Linear(4, 8), Gate(function), nn.Linear(8, 2))
    given(model[1])
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()


def bad_function_gives_no_gradient():
    class Half(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(weight)
            return x * weight

        @staticmethod
        def backward(ctx, gradient):
            (weight,) = ctx.saved_tensors
            return gradient * weight, None  # SL303

    gated(Half)


def good_function_gives_each_gradient():
    gated(Scaled)


def fine_hook_steps_and_clears():
    """An update within the backward, which takes the gradient away."""

    def given(gate):
        def update(parameter):
            with torch.no_grad():
                parameter -= 0.01 * parameter.grad
            parameter.grad = None

        gate.scale.register_post_accumulate_grad_hook(update)

    gated(Scaled, given)


def fine_function_gives_none_to_what_is_written_by_hand():
    class Looked(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, codes):
            return x + 0 * codes

        @staticmethod
        def backward(ctx, gradient):
            return gradient, None

    model = nn.Sequential(nn.Linear(4, 8), Gate(Looked), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()
        with torch.no_grad():
            model[1].scale.mul_(0.9).add_(0.1 * torch.rand(8))


def good_all_in_the_graph():
    model = Chain()
    learn(model, torch.optim.Adam(model.parameters()))


def fine_numbers_for_the_log():
    model = Chain()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        out = model(torch.randn(8, 4))
        loss = out.pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item(), out.detach().mean().item(), end="\r")


def fine_detached_branch_trained_by_another_loss():
    encoder, head = nn.Linear(4, 8), nn.Linear(8, 2)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()])
    for _ in range(4):
        h = encoder(torch.randn(8, 4))
        optimizer.zero_grad()
        (h.pow(2).mean() + head(h.detach()).pow(2).mean()).backward()
        optimizer.step()


def fine_heads_take_turns():
    body, heads = nn.Linear(4, 8), nn.ModuleList([nn.Linear(8, 2), nn.Linear(8, 3)])
    optimizer = torch.optim.Adam([*body.parameters(), *heads.parameters()])
    for step in range(8):
        optimizer.zero_grad()
        heads[step // 4](body(torch.randn(8, 4))).pow(2).mean().backward()
        optimizer.step()


class Pooled(nn.Module):
    """The pooler runs, and nothing uses what it makes."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.pooler = nn.Linear(8, 8)

    def forward(self, x):
        h = self.body(x)
        return h, torch.tanh(self.pooler(h))


def fine_pooler_without_a_use():
    model = Pooled()
    optimizer = torch.optim.Adam(model.parameters())  # SL303
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randn(8, 4))[0].pow(2).mean().backward()
        optimizer.step()


def fine_frozen_body_in_the_optimizer():
    model = Chain()
    model.encoder.requires_grad_(False)
    learn(model, torch.optim.Adam(model.parameters()))


def fine_body_without_recording():
    body, head = nn.Linear(4, 8), nn.Linear(8, 2)
    optimizer = torch.optim.Adam(head.parameters())
    for _ in range(4):
        with torch.no_grad():
            h = body(torch.randn(8, 4))
        optimizer.zero_grad()
        head(h).pow(2).mean().backward()
        optimizer.step()


def fine_straight_through():
    encoder, decoder = nn.Linear(4, 8), nn.Linear(8, 4)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
    for _ in range(4):
        h = encoder(torch.randn(8, 4))
        q = h + (h.round() - h).detach()
        optimizer.zero_grad()
        decoder(q).pow(2).mean().backward()
        optimizer.step()


def fine_policy_with_detached_advantage():
    actor, critic = nn.Linear(4, 3), nn.Linear(4, 1)
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()])
    for _ in range(4):
        x = torch.randn(16, 4)
        value = critic(x).squeeze(1)
        choice = torch.distributions.Categorical(logits=actor(x))
        action = choice.sample()
        advantage = torch.randn(16) - value.detach()
        loss = -(choice.log_prob(action) * advantage).mean() + (value - 1).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_truncated_backpropagation():
    cell, head = nn.GRUCell(3, 5), nn.Linear(5, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()])
    h = torch.zeros(4, 5)
    for _ in range(5):
        h = cell(torch.randn(4, 3), h.detach())
        optimizer.zero_grad()
        head(h).pow(2).mean().backward()
        optimizer.step()


def fine_codebook_kept_by_averages():
    book, encoder = nn.Embedding(6, 4), nn.Linear(4, 4)
    optimizer = torch.optim.Adam([*encoder.parameters(), *book.parameters()])
    for _ in range(4):
        z = encoder(torch.randn(8, 4))
        index = torch.cdist(z, book.weight).argmin(1)
        q = book(index).detach()
        optimizer.zero_grad()
        (z - q).pow(2).mean().backward()
        optimizer.step()
        for row in index.unique():
            book.weight.data[row] = 0.9 * book.weight.data[row] + 0.1 * z.detach()[
                index == row
            ].mean(0)


def fine_first_generator_steps_come_late():
    generator, critic = nn.Linear(3, 4), nn.Linear(4, 1)
    first = torch.optim.Adam(generator.parameters())
    second = torch.optim.Adam(critic.parameters())
    for step in range(10):
        second.zero_grad()
        critic(generator(torch.randn(8, 3)).detach()).mean().backward()
        second.step()
        if step % 5 == 4:
            first.zero_grad()
            (-critic(generator(torch.randn(8, 3))).mean()).backward()
            first.step()


class TwoBranches(nn.Module):
    """The second branch can be switched off; the scale of the sum is kept for a plot."""

    def __init__(self):
        super().__init__()
        self.plain, self.symbolic = nn.Linear(4, 4), nn.Linear(4, 4)
        self.head, self.both, self.scales = nn.Linear(4, 1), True, []

    def forward(self, x):
        h = self.plain(x)
        if self.both:
            h = h + self.symbolic(x)
        self.scales.append(h.std().detach())
        return self.head(h)


def fine_branch_tried_once_before_the_training():
    model = TwoBranches()
    optimizer = torch.optim.Adam(model.parameters())  # a note, and no cut: SL303
    print(model(torch.randn(2, 4)).shape)
    model.both = False
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()


def bad_several_steps_on_one_rollout():
    actor, critic = nn.Linear(4, 3), nn.Linear(4, 1)
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()])
    for _ in range(3):
        x = torch.randn(16, 4)
        choice = torch.distributions.Categorical(logits=actor(x))
        value = critic(x).squeeze(1)
        kept = choice.log_prob(choice.sample()).detach()  # SL303
        for _ in range(3):
            loss = (value - 1).pow(2).mean() - kept.mean()
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
            optimizer.step()


def fine_rounding_passed_straight_through():
    class Coder(Chain):
        def forward(self, x):
            h = torch.sigmoid(self.encoder(x))
            bits = (h > 0.5).float()
            return self.head(bits + h - h.detach())

    model = Coder()
    learn(model, torch.optim.Adam(model.parameters()))


def fine_fast_weights_in_the_graph():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(5):
        optimizer.zero_grad()
        parameters = list(model.parameters())
        loss = (model(torch.randn(8, 4)) - 1).pow(2).mean()
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        weight, bias = (p - 0.1 * g for p, g in zip(parameters, gradients, strict=True))
        (torch.randn(8, 4) @ weight.t() + bias - 1).pow(2).mean().backward()
        optimizer.step()


def bad_unfrozen_by_an_attribute_of_the_module():
    model = Chain()
    model.encoder.requires_grad_(False)
    learn(model, torch.optim.Adam(model.parameters()))
    model.encoder.requires_grad = True  # SL303
    learn(model, torch.optim.Adam(model.parameters()))


def bad_loss_made_under_a_decorator():
    class Judge(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2).requires_grad_(False)

        @torch.no_grad()
        def forward(self, x):
            return self.layer(x)  # SL303

    model, judge = Chain(), Judge()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(5):
        optimizer.zero_grad()
        loss = judge(model(torch.randn(16, 4))).pow(2).mean()
        loss.requires_grad_().backward()
        optimizer.step()


def bad_tensor_of_nested_lists():
    class Boxes(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 8)
            self.box, self.score = nn.Linear(8, 2), nn.Linear(8, 1)

        def forward(self, x):
            x = torch.relu(self.body(x))
            return self.box(x), self.score(x)

    model = Boxes()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(5):
        box, score = model(torch.randn(8, 4))
        corners = torch.tensor([[a - b, a + b] for a, b in box])  # SL303
        optimizer.zero_grad()
        (score.pow(2).mean() + (corners - 1).abs().mean()).backward()
        optimizer.step()


def fine_flag_of_the_modules_own():
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.requires_grad = False
            self.layer = nn.Linear(8, 2).requires_grad_(False)

        def forward(self, x):
            return self.layer(x)

    model = nn.Sequential(nn.Linear(4, 8), Frozen())
    learn(model, torch.optim.Adam(model[0].parameters()))


def bad_last_bias_of_an_energy():  # a note: the slope of an energy does not depend on it
    class Slope(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 1)

        def energy(self, x):
            energy = self.last(torch.tanh(self.first(x)))
            return torch.maximum(energy, energy.new_full((), -1e9)) + torch.zeros_like(energy)

        def forward(self, x):
            x = x.clone().requires_grad_()
            return torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)[0]

    model = Slope()
    learn(model, torch.optim.Adam(model.parameters()), 8)  # SL303


def critic_and_generator():
    generator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4))
    critic = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizers = [torch.optim.Adam(part.parameters(), lr=0.01) for part in (generator, critic)]
    return generator, critic, *optimizers


def round_of_both(generator, critic, first, second):
    second.zero_grad()
    (critic(generator(torch.randn(8, 3))).mean() - critic(torch.randn(8, 4)).mean()).backward()
    second.step()
    for parameter in critic.parameters():
        parameter.requires_grad = False
    first.zero_grad()
    (-critic(generator(torch.randn(8, 3))).mean()).backward()
    first.step()


def bad_critic_frozen_and_never_unfrozen():
    generator, critic, first, second = critic_and_generator()
    for _ in range(14):
        second.zero_grad()
        (critic(generator(torch.randn(8, 3))).mean() - critic(torch.randn(8, 4)).mean()).backward()
        second.step()
        for parameter in critic.parameters():
            parameter.requires_grad = False  # SL303
        first.zero_grad()
        (-critic(generator(torch.randn(8, 3))).mean()).backward()
        first.step()


def good_critic_frozen_and_unfrozen():
    generator, critic, first, second = critic_and_generator()
    for _ in range(14):
        round_of_both(generator, critic, first, second)
        critic.requires_grad_(True)


def fine_part_held_still_after_it_has_trained():
    generator, critic, first, second = critic_and_generator()
    for _ in range(5):
        round_of_both(generator, critic, first, second)
        critic.requires_grad_(True)
    for _ in range(14):
        round_of_both(generator, critic, first, second)


def fine_part_frozen_for_a_warm_up():
    generator, critic, first, second = critic_and_generator()
    for turn in range(16):
        round_of_both(generator, critic, first, second)
        critic.requires_grad_(turn >= 12)


class Boxes(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.kind, self.box = nn.Linear(4, 8), nn.Linear(8, 1), nn.Linear(8, 2)

    def forward(self, x):
        hidden = self.body(x).tanh()
        return self.kind(hidden), self.box(hidden)


def bad_boxes_in_whole_pixels():
    model = Boxes()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        kind, box = model(torch.randn(8, 4))
        pixels = (16 * box).long().float()  # SL303
        loss = kind.pow(2).mean() + pixels.sub(torch.ones(8, 2)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_whole_numbers_of_a_trained_output():
    model = Boxes()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        kind, box = model(torch.randn(8, 4))
        hits = box.argmax(1).eq(0).sum() + kind.long().sum()
        loss = kind.pow(2).mean() + box.sub(torch.ones(8, 2)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(int(hits))


def bad_generators_loss_of_detached_samples():
    """The discriminator's own loss is given detached samples as well, and rightly."""
    maker, judge = nn.Linear(3, 4), nn.Linear(4, 1)
    first = torch.optim.Adam(judge.parameters(), lr=1e-3)
    second = torch.optim.Adam(maker.parameters(), lr=1e-3)
    for _ in range(6):
        fake = maker(torch.randn(8, 3))
        first.zero_grad()
        (judge(fake.detach()).mean() - judge(torch.randn(8, 4)).mean()).backward()
        first.step()
        second.zero_grad()
        answer = judge(fake.detach())  # SL303
        (-answer.mean()).backward()
        second.step()
