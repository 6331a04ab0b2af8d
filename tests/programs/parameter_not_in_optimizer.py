"""SL301 parameter-not-in-optimizer. `# SL301` marks the lines at which the finding must point."""

import copy

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


def learn(model, optimizer, steps=4, scale=1.0):
    for _ in range(steps):
        optimizer.zero_grad()
        (scale * model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_head_left_out():
    model = Pair()
    optimizer = torch.optim.Adam(model.body.parameters())  # SL301
    learn(model, optimizer)


def bad_decoder_left_out():
    encoder, decoder = nn.Linear(4, 3), nn.Linear(3, 4)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.1)  # SL301
    for _ in range(3):
        x = torch.randn(8, 4)
        optimizer.zero_grad()
        (decoder(torch.relu(encoder(x))) - x).pow(2).mean().backward()
        optimizer.step()


def bad_group_forgotten():
    model = Pair()
    groups = []
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            groups.append({"params": [parameter], "weight_decay": 0.01})
    optimizer = torch.optim.AdamW(groups)  # SL301
    learn(model, optimizer)


def bad_parameter_added_later():
    model = Pair()
    optimizer = torch.optim.Adam(model.parameters())  # SL301
    model.scale = nn.Parameter(torch.ones(2))
    for _ in range(4):
        optimizer.zero_grad()
        (model.scale * model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_unfrozen_after_the_optimizer_was_made():
    model = Pair()
    learn(model, torch.optim.Adam(model.parameters()))
    model.body.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])  # SL301
    learn(model, optimizer)
    model.body.requires_grad_(True)
    learn(model, optimizer, steps=6)


def bad_loaded_and_unfrozen_too_late():
    model = Pair()
    model.load_state_dict(copy.deepcopy(model.state_dict()))
    model.body.requires_grad_(False)
    free = filter(lambda p: p.requires_grad, model.parameters())
    optimizer = torch.optim.SGD(free, lr=0.1)  # SL301
    learn(model, optimizer)
    for parameter in model.body.parameters():
        parameter.requires_grad = True
    learn(model, optimizer)


def good_unfrozen_and_added():
    model = Pair()
    learn(model, torch.optim.Adam(model.parameters()))
    model.body.requires_grad_(False)
    optimizer = torch.optim.Adam(model.head.parameters())
    learn(model, optimizer)
    model.body.requires_grad_(True)
    optimizer.add_param_group({"params": list(model.body.parameters())})
    learn(model, optimizer, steps=6)


def good_all_parameters():
    model = Pair()
    learn(model, torch.optim.Adam(model.parameters()))


def good_two_optimizers():
    model = Pair()
    first = torch.optim.Adam(model.body.parameters())
    second = torch.optim.SGD(model.head.parameters(), lr=0.1)
    for _ in range(4):
        first.zero_grad()
        second.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        first.step()
        second.step()


def fine_frozen_body():
    model = Pair()
    model.body.requires_grad_(False)
    learn(model, torch.optim.Adam(model.head.parameters()))


def fine_updated_by_hand():
    model = Pair()
    optimizer = torch.optim.Adam(model.body.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        model.head.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()
        with torch.no_grad():
            for parameter in model.head.parameters():
                parameter -= 0.1 * parameter.grad


def fine_updated_by_hand_through_data():
    model = Pair()
    optimizer = torch.optim.Adam(model.body.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        model.head.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()
        for parameter in model.head.parameters():
            parameter.data -= 0.1 * parameter.grad


def fine_optimizer_made_later():
    model = Pair()
    learn(model, torch.optim.Adam(model.body.parameters()))
    learn(model, torch.optim.Adam(model.parameters()))


def fine_group_added_later():
    model = Pair()
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
    learn(model, optimizer)
    optimizer.add_param_group({"params": list(model.body.parameters())})
    learn(model, optimizer)


def fine_second_phase():
    model = Pair()
    learn(model, torch.optim.Adam(model.parameters()))
    learn(model, torch.optim.Adam(model.head.parameters()))


def fine_generator_against_a_discriminator():
    generator, critic = nn.Linear(3, 4), nn.Linear(4, 1)
    first = torch.optim.Adam(generator.parameters())
    second = torch.optim.Adam(critic.parameters())
    for _ in range(4):
        second.zero_grad()
        fake = generator(torch.randn(8, 3)).detach()
        (critic(fake).mean() - critic(torch.randn(8, 4)).mean()).backward()
        second.step()
        first.zero_grad()
        (-critic(generator(torch.randn(8, 3))).mean()).backward()
        first.step()


def fine_style_transfer():
    features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    optimizer = torch.optim.Adam([image], lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        features(image).pow(2).mean().backward()
        optimizer.step()


def fine_loaded_network_as_a_loss():
    judge = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    judge.load_state_dict(copy.deepcopy(judge.state_dict()))
    judge.eval()
    model = Pair()
    optimizer = torch.optim.Adam(model.parameters())  # SL301
    for _ in range(4):
        optimizer.zero_grad()
        judge(torch.cat([model(torch.randn(16, 4))] * 2, 1)).pow(2).mean().backward()
        optimizer.step()


def fine_pieces_of_a_loaded_network_as_a_loss():
    whole = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 2))
    whole.load_state_dict(copy.deepcopy(whole.state_dict()))
    judge = nn.Sequential(*[whole[0][i] for i in range(2)])
    model = nn.Linear(2, 4)
    optimizer = torch.optim.Adam(model.parameters())  # SL301
    for _ in range(4):
        optimizer.zero_grad()
        judge(model(torch.randn(16, 2))).pow(2).mean().backward()
        optimizer.step()


class Edges(nn.Module):
    """Sobel filters, written down and never frozen."""

    def __init__(self):
        super().__init__()
        kernel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        self.across = nn.Conv2d(1, 1, 3, padding=1)
        self.across.weight.data = kernel.view(1, 1, 3, 3)
        self.down = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.down.weight.data.copy_(kernel.t().reshape(1, 1, 3, 3))

    def forward(self, image):
        return self.across(image).pow(2) + self.down(image).pow(2)


def sharpen(judge, model, optimizer):
    for _ in range(4):
        image = torch.rand(4, 1, 8, 8)
        optimizer.zero_grad()
        (judge(model(image)) - judge(image)).pow(2).mean().backward()
        optimizer.step()


def fine_kernels_written_down():
    model = nn.Conv2d(1, 1, 3, padding=1)
    optimizer = torch.optim.Adam(model.parameters())  # SL301
    sharpen(Edges(), model, optimizer)


def fine_box_blur():
    blur = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.constant_(blur.weight, 1 / 9)
    model = nn.Conv2d(1, 1, 3, padding=1)
    optimizer = torch.optim.Adam(model.parameters())  # SL301
    sharpen(blur, model, optimizer)


def bad_scale_of_ones():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1, 1, 8, 8))

        def forward(self, image):
            return image * self.scale

    model = nn.Conv2d(1, 1, 3, padding=1)
    optimizer = torch.optim.Adam(model.parameters())  # SL301
    sharpen(Scale(), model, optimizer)


def bad_kernels_drawn():
    model = nn.Conv2d(1, 1, 3, padding=1)
    optimizer = torch.optim.Adam(model.parameters())  # SL301
    sharpen(nn.Conv2d(1, 2, 3), model, optimizer)


def bad_identity_left_out():
    mixing = nn.Linear(2, 2, bias=False)
    nn.init.eye_(mixing.weight)
    model = nn.Sequential(Pair(), mixing)
    optimizer = torch.optim.Adam(model[0].parameters())  # SL301
    learn(model, optimizer)


def fine_functional_training():
    model = Pair()
    parameters = {key: value.detach() for key, value in model.named_parameters()}

    def loss(parameters, x):
        return (functional_call(model, parameters, x) - 1).pow(2).mean()

    for _ in range(4):
        gradients = grad(loss)(parameters, torch.randn(8, 4))
        parameters = {key: value - 0.1 * gradients[key] for key, value in parameters.items()}


def fine_fast_weights():
    model = Pair()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        weights = {key: value.clone() for key, value in model.named_parameters()}
        loss = functional_call(model, weights, torch.randn(8, 4)).pow(2).mean()
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        fast = {k: w - 0.1 * g for (k, w), g in zip(weights.items(), gradients, strict=True)}
        functional_call(model, fast, torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()


def fine_averaged_copy():
    model = Pair()
    average = copy.deepcopy(model)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()
        with torch.no_grad():
            for mean, parameter in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(parameter, 0.1)


def fine_optimizer_for_each_parameter():
    model = Pair()
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

    def step(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    for _ in range(4):
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()


def fine_unfrozen_with_an_optimizer_that_holds_all():
    model = Pair()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.body.requires_grad_(False)
    learn(model, optimizer)
    model.body.requires_grad_(True)
    learn(model, optimizer)


def fine_unfrozen_for_a_second_optimizer():
    model = Pair()
    model.body.requires_grad_(False)
    learn(model, torch.optim.Adam(model.head.parameters()))
    model.body.requires_grad_(True)
    learn(model, torch.optim.Adam(model.parameters()))


def fine_critic_whose_turn_comes_late():
    generator, critic = nn.Linear(3, 4), nn.Linear(4, 1)
    first = torch.optim.Adam(generator.parameters())
    second = torch.optim.Adam(critic.parameters())
    for turn in range(12):
        critic.requires_grad_(turn >= 4)
        for _ in range(5):
            first.zero_grad()
            (-critic(generator(torch.randn(8, 3))).mean()).backward()
            first.step()
        if turn >= 4:
            second.zero_grad()
            for _ in range(3):
                fake = generator(torch.randn(8, 3)).detach()
                (critic(fake).mean() - critic(torch.randn(8, 4)).mean()).backward()
            second.step()


def fine_parts_in_turn():
    model = Pair()
    body = torch.optim.Adam(model.body.parameters())
    head = torch.optim.Adam(model.head.parameters())
    for _ in range(3):
        for part, other, optimizer in (
            (model.body, model.head, body),
            (model.head, model.body, head),
        ):
            part.requires_grad_(True)
            other.requires_grad_(False)
            learn(model, optimizer, steps=3)


def fine_probed_frozen_and_measured_unfrozen():
    model = Pair()
    learn(model, torch.optim.Adam(model.parameters()))
    model.body.requires_grad_(False)
    learn(model, torch.optim.Adam(model.head.parameters()))
    model.body.requires_grad_(True)
    for _ in range(4):  # the gradients of the whole model, for an importance of each weight
        model.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()


def taught(student, teacher, optimizer):
    for _ in range(8):
        x = torch.randn(16, 4)
        optimizer.zero_grad()
        with torch.no_grad():
            target = teacher(x)
        (student(x) - target).pow(2).mean().backward()
        optimizer.step()


def bad_optimizer_of_the_teacher():
    teacher, student = Pair(), nn.Linear(4, 2)
    optimizer = torch.optim.Adam(teacher.parameters())  # SL301
    learn(teacher, optimizer)
    taught(student, teacher, optimizer)


def good_optimizer_of_the_student():
    teacher, student = Pair(), nn.Linear(4, 2)
    learn(teacher, torch.optim.Adam(teacher.parameters()))
    taught(student, teacher, torch.optim.Adam(student.parameters()))


def fine_gradients_of_another_model_looked_at_between_idle_steps():
    judge, model = nn.Linear(3, 2), nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(12):
        optimizer.zero_grad()
        judge.zero_grad()
        judge(torch.randn(8, 3)).pow(2).mean().backward()
        if step % 3 == 0:
            model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()


class Reader(nn.Module):
    """Reads words whose vectors come from elsewhere."""

    def __init__(self):
        super().__init__()
        self.words, self.rest = nn.Embedding(20, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.rest(self.words(x).mean(1))


def read(model, optimizer):
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.randint(0, 20, (8, 5))).pow(2).mean().backward()
        optimizer.step()


def fine_word_vectors_copied_and_left_out():  # a note
    vectors = torch.randn(20, 4)
    model = Reader()
    model.words.weight.data.copy_(vectors)
    read(model, torch.optim.Adam(model.rest.parameters()))  # SL301


def fine_word_vectors_written_row_by_row():  # a note
    known = {word: torch.randn(4) for word in range(15)}
    model = Reader()
    with torch.no_grad():
        for word, vector in known.items():
            model.words.weight[word] = vector
    read(model, torch.optim.Adam(model.rest.parameters()))  # SL301


def fine_word_vectors_in_an_arrays_memory():  # a note
    model = Reader()
    model.words.weight = nn.Parameter(torch.from_numpy(np.ones((20, 4), dtype="float32")))
    read(model, torch.optim.Adam(model.rest.parameters()))  # SL301


def bad_drawn_by_hand_and_left_out():
    model = Reader()
    model.words.weight.data.copy_(torch.randn(20, 4) * 0.1)
    read(model, torch.optim.Adam(model.rest.parameters()))  # SL301


def bad_drawn_by_torch_and_left_out():
    model = Reader()
    nn.init.orthogonal_(model.words.weight)
    read(model, torch.optim.Adam(model.rest.parameters()))  # SL301


def bad_left_out_by_two_optimizers():
    """Told once."""
    body, head, rest = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)
    of_body = torch.optim.SGD(body.parameters(), lr=0.1)  # SL301
    of_head = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(4):
        of_body.zero_grad()
        of_head.zero_grad()
        rest(head(body(torch.randn(8, 4)))).pow(2).mean().backward()
        of_body.step()
        of_head.step()
