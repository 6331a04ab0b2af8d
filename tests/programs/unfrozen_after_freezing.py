"""SL316 unfrozen-after-freezing. `# SL316` marks the lines at which the finding must point."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.relu(self.body(x)))


def learn(model, optimizer, steps=4, to_none=True):
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=to_none)
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_misspelt_on_parameters():
    model = Net()
    for parameter in model.body.parameters():
        parameter.require_grad = False  # SL316
    learn(model, torch.optim.Adam(model.parameters()))


def bad_compared_where_it_was_to_be_set():
    model = Net()
    for parameter in model.body.parameters():
        parameter.requires_grad == False  # noqa: E712  # SL316
    learn(model, torch.optim.Adam(model.parameters()))


def bad_map_that_nobody_goes_through():
    model = Net()
    map(lambda p: p.requires_grad_(False), model.body.parameters())  # noqa: C417  # SL316
    learn(model, torch.optim.Adam(model.parameters()))


def bad_set_on_what_state_dict_makes():
    model = Net()
    for name, value in model.body.state_dict().items():
        if "weight" in name or "bias" in name:
            value.requires_grad = False  # SL316
    learn(model, torch.optim.Adam(model.parameters()))


def fine_state_dict_gone_through_and_frozen_as_well():
    model = Net()
    for value in model.body.state_dict().values():
        value.requires_grad_(False)
    model.body.requires_grad_(False)
    learn(model, torch.optim.Adam(model.parameters()))


def fine_state_dict_that_keeps_its_parameters():
    model = Net()
    for value in model.body.state_dict(keep_vars=True).values():
        value.requires_grad = False
    learn(model, torch.optim.Adam(model.parameters()))


def good_map_gone_through():
    model = Net()
    list(map(lambda p: p.requires_grad_(False), model.body.parameters()))  # noqa: C417
    learn(model, torch.optim.Adam(model.head.parameters()))


def fine_map_that_nobody_goes_through_of_frozen_ones():
    model = Net()
    map(lambda p: p.requires_grad_(False), model.body.parameters())  # noqa: C417
    model.body.requires_grad_(False)
    learn(model, torch.optim.Adam(model.head.parameters()))


def fine_compared_in_an_assertion():
    model = Net()
    for parameter in model.body.parameters():
        assert not parameter.requires_grad == False  # noqa: E712
    learn(model, torch.optim.Adam(model.parameters()))


def fine_compared_and_frozen_as_well():
    model = Net()
    for parameter in model.body.parameters():
        parameter.requires_grad == False  # noqa: E712
    model.body.requires_grad_(False)
    learn(model, torch.optim.Adam(model.parameters()))


def bad_set_on_the_module():
    model = Net()
    model.body.requires_grad = False  # SL316
    learn(model, torch.optim.Adam(model.parameters()))


def bad_frozen_and_decayed():
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    learn(model, optimizer, 2, to_none=False)
    model.body.requires_grad_(False)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=False)
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()  # SL316


def bad_frozen_with_momentum():
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    learn(model, optimizer, 2, to_none=False)
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    for _ in range(3):
        optimizer.zero_grad(set_to_none=False)
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()  # SL316


def bad_all_made_trainable_after_a_part_was_frozen():
    model = Net()
    for name, parameter in model.named_parameters():
        if name.startswith("body"):
            parameter.requires_grad = False  # SL316
    groups = []
    for parameter in model.parameters():
        parameter.requires_grad = True
        groups.append({"params": [parameter]})
    learn(model, torch.optim.SGD(groups, lr=0.1))


def pretrained():
    model = Net()
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1), 24)
    return model


def freeze(model, prefixes=("body",)):
    for name, parameter in model.named_parameters():
        if name.startswith(prefixes):
            parameter.requires_grad = False


def bad_all_made_trainable_after_pretraining_and_freezing():
    model = pretrained()
    for name, parameter in model.named_parameters():
        if name.startswith("body"):
            parameter.requires_grad = False  # SL316
    groups = []
    for parameter in model.parameters():
        parameter.requires_grad = True
        groups.append({"params": [parameter]})
    learn(model, torch.optim.SGD(groups, lr=0.1), 12)


def bad_module_frozen_after_pretraining_and_all_made_trainable():
    model = pretrained()
    model.body.requires_grad_(False)  # SL316
    model.requires_grad_(True)
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1), 12)


def good_frozen_after_pretraining_and_after_all_were_made_trainable():
    model = pretrained()
    model.requires_grad_(True)
    freeze(model)
    learn(model, torch.optim.SGD(model.head.parameters(), lr=0.1), 12)


def fine_unfrozen_step_by_step_after_pretraining():
    model = pretrained()
    freeze(model)
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1), 24)
    for parameter in model.parameters():
        parameter.requires_grad = True
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1), 24)
    model.body.requires_grad_(False)
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1), 24)
    model.body.requires_grad_(True)
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1), 24)


def fine_all_frozen_after_pretraining_and_every_part_unfrozen():
    model = pretrained()
    for parameter in model.parameters():
        parameter.requires_grad = False
    for part in (model.head, model.body):
        for parameter in part.parameters():
            parameter.requires_grad = True
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1), 12)


def fine_frozen_for_a_look_after_pretraining():
    model = pretrained()
    for _ in range(3):
        freeze(model)
        model(torch.randn(2, 4))
        model.body.requires_grad_(True)
        learn(model, torch.optim.SGD(model.parameters(), lr=0.1), 12)


def fine_networks_frozen_in_turn_for_long():
    generator, critic = Net(), nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))
    first = torch.optim.Adam(generator.parameters())
    second = torch.optim.Adam(critic.parameters())
    for _ in range(40):
        for parameter in critic.parameters():
            parameter.requires_grad = True
        second.zero_grad()
        critic(generator(torch.randn(8, 4)).detach()).mean().backward()
        second.step()
        for parameter in critic.parameters():
            parameter.requires_grad = False
        first.zero_grad()
        (-critic(generator(torch.randn(8, 4))).mean()).backward()
        first.step()


def bad_frozen_parameter_replaced():
    class Tagger(nn.Module):
        def __init__(self, vectors):
            super().__init__()
            self.embed = nn.Embedding(6, 4)
            self.embed.weight.requires_grad = False
            self.embed.weight = nn.Parameter(vectors)  # SL316
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.embed(x))

    model = Tagger(torch.randn(6, 4))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randint(0, 6, (8,))).pow(2).mean().backward()
        optimizer.step()


def good_frozen_parameter_filled():
    model = Net()
    model.body.weight.requires_grad = False
    model.body.weight.data.copy_(torch.randn(8, 4))
    learn(model, torch.optim.Adam([model.body.bias, *model.head.parameters()]))


def good_frozen_after_all_were_made_trainable():
    model = Net()
    for parameter in model.parameters():
        parameter.requires_grad = True
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    learn(model, torch.optim.SGD(model.head.parameters(), lr=0.1))


def fine_all_frozen_and_a_part_unfrozen():
    model = Net()
    for parameter in model.parameters():
        parameter.requires_grad = False
    for parameter in model.head.parameters():
        parameter.requires_grad = True
    learn(model, torch.optim.SGD(model.head.parameters(), lr=0.1))


def fine_all_frozen_and_every_part_unfrozen():
    model = Net()
    for parameter in model.parameters():
        parameter.requires_grad = False
    for part in (model.head, model.body):  # as many of the last layers as the settings say
        for parameter in part.parameters():
            parameter.requires_grad = True
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1))


def fine_body_frozen_and_a_part_of_it_unfrozen():
    model = Net()
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    model.body.bias.requires_grad = True
    learn(model, torch.optim.SGD([model.body.bias, *model.head.parameters()], lr=0.1))


def fine_frozen_for_a_look_and_unfrozen():
    model = Net()
    model.body.requires_grad_(False)
    model(torch.randn(2, 4))
    model.body.requires_grad_(True)
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1))


def fine_frozen_by_a_switch_and_unfrozen_by_it():
    def switch(module, flag):
        for parameter in module.parameters():
            parameter.requires_grad = flag

    model = Net()
    switch(model.body, False)
    switch(model.body, True)
    learn(model, torch.optim.SGD(model.parameters(), lr=0.1))


def fine_frozen_weight_tied_to_a_trained_one():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(6, 4)
            self.decoder = nn.Linear(4, 6, bias=False)
            self.decoder.weight.requires_grad = False
            self.decoder.weight = self.embed.weight

        def forward(self, x):
            return self.decoder(torch.tanh(self.embed(x)))

    model = Model()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randint(0, 6, (8,))).pow(2).mean().backward()
        optimizer.step()


def good_frozen():
    model = Net()
    for parameter in model.body.parameters():
        parameter.requires_grad = False
    learn(model, torch.optim.Adam(model.parameters()))


def good_frozen_later_and_cleared():
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    learn(model, optimizer, 2)
    model.body.requires_grad_(False)
    learn(model, optimizer, 2)


def fine_other_attributes():
    model = Net()
    for parameter in model.parameters():
        parameter.no_decay = False
        parameter.sequence_parallel = False
    model.trainable = False
    learn(model, torch.optim.Adam(model.parameters()))


def fine_misspelt_and_frozen_as_well():
    model = Net()
    for parameter in model.body.parameters():
        parameter.require_grad = False
        parameter.requires_grad = False
    learn(model, torch.optim.Adam(model.parameters()))


def fine_gradients_written_by_hand():
    model = Net().requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(4):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()


def fine_unfrozen_step_by_step():
    model = Net()
    model.body.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters())
    learn(model, optimizer, 3, to_none=False)
    model.body.requires_grad_(True)
    learn(model, optimizer, 3, to_none=False)


def fine_discriminator_frozen_in_the_generator_step():
    generator, critic = nn.Linear(3, 4), nn.Linear(4, 1)
    first = torch.optim.Adam(generator.parameters())
    second = torch.optim.Adam(critic.parameters())
    for _ in range(4):
        critic.requires_grad_(True)
        second.zero_grad()
        critic(generator(torch.randn(8, 3)).detach()).mean().backward()
        second.step()
        critic.requires_grad_(False)
        first.zero_grad()
        (-critic(generator(torch.randn(8, 3))).mean()).backward()
        first.step()


class Words(nn.Module):
    """The first 12 of 16 rows are pretrained, and to be kept."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(16, 6)
        self.head = nn.Linear(6, 2)
        mask = torch.ones(16, 1)
        mask[:12] = 0
        self.register_buffer("mask", mask)

    def forward(self, words):
        return self.head(self.embed(words).mean(1))


def read(model, optimizer, between=None, after=None, steps=12):
    for _ in range(steps):
        words, topic = torch.randint(0, 16, (24, 5)), torch.randint(0, 2, (24,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(words), topic).backward()
        if between is not None:
            between(model)
        optimizer.step()
        if after is not None:
            after(model)


def bad_rows_masked_by_a_hook_and_decayed():
    model = Words()
    model.embed.weight.register_hook(lambda grad: grad * model.mask)
    read(model, torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1))  # SL316


def bad_rows_masked_by_a_hook_and_decayed_by_sgd():
    model = Words()
    model.embed.weight.register_hook(lambda grad: grad * model.mask)
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}
    optimizer = torch.optim.SGD(model.parameters(), **options)  # SL316
    read(model, optimizer)


def bad_rows_of_the_gradient_set_to_zero_and_decayed():
    model = Words()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)  # SL316

    def zero(model):
        model.embed.weight.grad[:12] = 0

    read(model, optimizer, zero)


def bad_gradient_masked_through_data_and_decayed():
    model = Words()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1)  # SL316

    def mask(model):
        model.embed.weight.grad.data.mul_(model.mask)

    read(model, optimizer, mask)


def bad_old_classes_masked_after_accumulation_and_decayed():
    model = Net()

    def mask(weight):
        weight.grad[0] = 0

    model.head.weight.register_post_accumulate_grad_hook(mask)
    learn(model, torch.optim.AdamW(model.parameters(), weight_decay=0.1), 12)  # SL316


def good_rows_masked_and_not_decayed():
    model = Words()
    model.embed.weight.register_hook(lambda grad: grad * model.mask)
    groups = [
        {"params": model.embed.parameters(), "weight_decay": 0.0},
        {"params": model.head.parameters()},
    ]
    read(model, torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1))


def fine_rows_masked_and_put_back():
    """As textual inversion does it."""
    model = Words()
    kept = model.embed.weight.detach().clone()
    model.embed.weight.register_hook(lambda grad: grad * model.mask)

    def put_back(model):
        with torch.no_grad():
            model.embed.weight[:12] = kept[:12]

    read(model, torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1), after=put_back)


def fine_pruned_rows_masked():
    model = Words()
    with torch.no_grad():
        model.embed.weight.mul_(model.mask)
    model.embed.weight.register_hook(lambda grad: grad * model.mask)
    read(model, torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1))


def fine_rows_that_no_batch_holds_and_a_hook_that_clamps():
    model = Words()
    model.embed.weight.register_hook(lambda grad: grad.clamp(-0.01, 0.01))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        model(torch.randint(6, 9, (8, 5))).pow(2).mean().backward()
        optimizer.step()


def fine_first_pass_of_two_reaches_other_rows_and_a_hook():
    """Sharpness-aware: the first pass shows where to go, the second one is stepped."""
    model = Words()
    model.embed.weight.register_hook(lambda grad: grad * 0.5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        model(torch.randint(0, 8, (8, 5))).pow(2).mean().backward()
        away = [0.01 * p.grad for p in model.parameters()]
        with torch.no_grad():
            for p, step in zip(model.parameters(), away):
                p.add_(step)
        optimizer.zero_grad()
        model(torch.randint(8, 16, (8, 5))).pow(2).mean().backward()
        with torch.no_grad():
            for p, step in zip(model.parameters(), away):
                p.sub_(step)
        optimizer.step()


def fine_gradients_dropped_at_random():
    model = Words()
    model.embed.weight.register_hook(lambda grad: grad * (torch.rand(16, 1) > 0.5))
    read(model, torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1))


def fine_clipped_gradients_and_decay():
    model = Words()

    def clip(model):
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        nn.utils.clip_grad_value_(model.parameters(), 0.01)

    read(model, torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1), clip)
