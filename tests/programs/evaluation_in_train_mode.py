"""SL102 evaluation-in-train-mode. `# SL102` marks the lines at which the finding must point."""

import copy

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset


def net(p=0.3):
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(p), nn.Linear(8, 2)
    )


def dropout_net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))


def build(model=None):
    model = model or net()
    return model, torch.optim.SGD(model.parameters(), lr=0.05)


def batch(n=16):
    return torch.randn(n, 4), torch.randint(0, 2, (n,))


def loader(n=64, size=16):
    return DataLoader(TensorDataset(*batch(n)), batch_size=size)


def train(model, optimizer, steps=3):
    for _ in range(steps):
        x, y = batch()
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_loader_pass():
    model, optimizer = build()
    val = loader()
    for _ in range(2):
        train(model, optimizer)
        with torch.no_grad():
            for x, y in val:
                (model(x).argmax(1) == y).sum().item()  # SL102


def bad_one_batch_loader():
    model, optimizer = build(dropout_net())
    val = loader(16)
    train(model, optimizer)
    with torch.no_grad():
        for x, y in val:
            (model(x).argmax(1) == y).sum().item()  # SL102


def bad_whole_set_in_one_forward():
    model, optimizer = build()
    x, y = batch(64)
    for _ in range(3):
        train(model, optimizer)
        with torch.no_grad():
            F.cross_entropy(model(x), y).item()  # SL102


def bad_slices_by_hand():
    model, optimizer = build(dropout_net())
    x, y = batch(64)
    for _ in range(2):
        train(model, optimizer)
        with torch.inference_mode():
            for i in range(0, 64, 16):
                (model(x[i : i + 16]).argmax(1) == y[i : i + 16]).sum().item()  # SL102


def bad_full_batch_training():
    model, optimizer = build()
    x, y = batch(64)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        with torch.no_grad():
            (model(x).argmax(1) == y).float().mean().item()  # SL102


def bad_at_the_end_only():
    model, optimizer = build()
    train(model, optimizer, 5)
    x, y = batch(64)
    with torch.no_grad():
        (model(x).argmax(1) == y).float().mean().item()  # SL102


def bad_train_called_before_the_test():
    model, optimizer = build()
    train(model, optimizer, 5)
    model.train()
    with torch.no_grad():
        for x, y in loader():
            (model(x).argmax(1) == y).sum().item()  # SL102


def bad_functional_dropout_follows_the_flag():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.b(F.dropout(self.a(x).relu(), 0.5, self.training))

    model, optimizer = build(Functional())
    train(model, optimizer, 5)
    with torch.no_grad():
        for x, y in loader():
            (model(x).argmax(1) == y).sum().item()  # SL102


def bad_same_tensors_after_each_epoch():
    model, optimizer = build(dropout_net())
    x, y = batch(32)

    def validate():
        with torch.no_grad():
            return F.cross_entropy(model(x), y).item()  # SL102

    for _ in range(3):
        train(model, optimizer)
        validate()


def bad_pass_with_grad_on():
    model, optimizer = build()
    training, validation = loader(), loader(32)
    for _ in range(2):
        for phase in (training, validation):
            for x, y in phase:
                loss = F.cross_entropy(model(x), y)  # SL102
                if phase is training:
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()


def good_eval_first():
    model, optimizer = build()
    for _ in range(2):
        model.train()
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            for x, y in loader():
                (model(x).argmax(1) == y).sum().item()


def fine_mc_dropout_with_the_rest_asleep():
    model, optimizer = build()
    train(model, optimizer)
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train()
    x, _ = batch()
    with torch.no_grad():
        torch.stack([model(x) for _ in range(8)]).std(0).mean().item()


def fine_mc_dropout_in_train_mode_without_norms():
    model, optimizer = build(dropout_net())
    train(model, optimizer)
    x, _ = batch()
    with torch.no_grad():
        torch.stack([model(x) for _ in range(8)]).std(0).mean().item()


def fine_update_bn():
    model, optimizer = build()
    averaged = AveragedModel(model)
    for _ in range(2):
        train(model, optimizer)
        averaged.update_parameters(model)
    update_bn(loader(), averaged)
    update_bn(loader(), model)


def fine_statistics_anew_by_hand():
    model, optimizer = build()
    train(model, optimizer)
    model[1].reset_running_stats()
    model[1].momentum = None
    model.train()
    with torch.no_grad():
        for x, _ in loader():
            out = model(x)
    model.eval()
    with torch.no_grad():
        out = model(batch()[0])
    assert out is not None


def fine_outputs_thrown_away():
    model, optimizer = build()
    train(model, optimizer)
    with torch.no_grad():
        for x, _ in loader():
            model(x)
        for x, _ in loader():
            _ = model(x)


def fine_averaged_model_in_train_mode():
    model, optimizer = build()
    ema = copy.deepcopy(model).requires_grad_(False)
    for _ in range(3):
        train(model, optimizer)
        with torch.no_grad():
            for held, parameter in zip(ema.parameters(), model.parameters(), strict=True):
                held.lerp_(parameter, 0.1)
            for x, y in loader():
                (ema(x).argmax(1) == y).sum().item()


def fine_generator_in_the_discriminators_step():
    generator, g_optimizer = build(
        nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    )
    critic, c_optimizer = build(nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1)))
    for _ in range(4):
        for _ in range(3):
            with torch.no_grad():
                fake = generator(torch.randn(8, 2))
            both = torch.cat([fake * 0.5, torch.randn(8, 4)])
            c_optimizer.zero_grad()
            (critic(both)[:8].mean() - critic(both)[8:].mean()).backward()
            c_optimizer.step()
        for _ in range(2):
            g_optimizer.zero_grad()
            (-critic(generator(torch.randn(8, 2))).mean()).backward()
            g_optimizer.step()


def fine_pseudo_labels_at_each_step():
    model, optimizer = build()
    unlabelled = loader()
    for _ in range(2):
        for u, _ in unlabelled:
            x, y = batch()
            with torch.no_grad():
                guess = sum(model(u + 0.1 * torch.randn_like(u)).softmax(1) for _ in range(2)) / 2
            loss = F.cross_entropy(model(x), y) + F.mse_loss(model(u).softmax(1), guess)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def fine_pseudo_labels_after_a_warm_up():
    model, optimizer = build()
    for step in range(8):
        x, y = batch()
        loss = F.cross_entropy(model(x), y)
        if step >= 3:
            u, _ = batch()
            with torch.no_grad():
                guess = model(u).argmax(1)
            loss = loss + F.cross_entropy(model(u), guess)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_self_conditioning():
    model, optimizer = build(nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.2), nn.Linear(8, 2)))
    for step in range(12):
        x, y = batch()
        hint = torch.zeros(16, 2)
        if step in (2, 3, 7, 11):
            with torch.no_grad():
                hint = model(torch.cat([x, hint], 1))
        loss = F.cross_entropy(model(torch.cat([x, hint], 1)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_data_dependent_init():
    model, optimizer = build()
    with torch.no_grad():
        for x, _ in loader():
            model[0].weight.div_(model(x).std())
    train(model, optimizer)


def fine_lazy_dry_run_and_shape_probe():
    model = nn.Sequential(nn.LazyLinear(8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    with torch.no_grad():
        shape = model(torch.randn(2, 4)).shape
    assert shape == (2, 2)
    model, optimizer = build(model)
    train(model, optimizer)


def fine_reentrant_checkpoint():
    first, second = net(), nn.Linear(2, 2)
    optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)
    for _ in range(4):
        x, y = batch()
        loss = F.cross_entropy(second(checkpoint(first, x.requires_grad_(), use_reentrant=True)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_nothing_mode_sensitive():
    model, optimizer = build(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    for _ in range(2):
        train(model, optimizer)
        with torch.no_grad():
            for x, y in loader():
                (model(x).argmax(1) == y).sum().item()


def fine_rollouts_without_anything_sensitive():
    policy, optimizer = build(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)))
    for _ in range(3):
        with torch.no_grad():
            states = [torch.randn(1, 4) for _ in range(8)]
            actions = [policy(s).argmax(1) for s in states]
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(policy(torch.cat(states)), torch.cat(actions)).backward()
            optimizer.step()


def fine_target_network():
    online, optimizer = build(dropout_net())
    target = copy.deepcopy(online)
    for step in range(6):
        x, _ = batch()
        with torch.no_grad():
            value = target(x).max(1).values
        optimizer.zero_grad()
        F.mse_loss(online(x).max(1).values, value).backward()
        optimizer.step()
        if step % 3 == 2:
            target.load_state_dict(online.state_dict())


def fine_gradient_cache():
    model, optimizer = build(dropout_net())
    for _ in range(4):
        x, _ = batch()
        with torch.no_grad():
            cached = torch.cat([model(part) for part in x.split(4)])
        for place, part in enumerate(x.split(4)):
            (F.mse_loss(model(part), cached[4 * place : 4 * place + 4]) / 4).backward()
        optimizer.step()
        optimizer.zero_grad()


def fine_losses_of_a_pass_added_up_for_one_backward():
    model, optimizer = build()
    data = loader()
    train(model, optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        total = sum(F.cross_entropy(model(x), y) for x, y in data)
        total.backward()
        optimizer.step()


def fine_recalibration_with_grad_on():
    model, optimizer = build()
    data = loader()
    for _ in range(2):
        for x, y in data:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        for x, _ in data:
            model(x)


def bad_neither_eval_nor_no_grad_by_hand():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, held = torch.randn(64, 4), torch.randn(32, 4)
    for _ in range(3):
        for part in x.split(16):
            optimizer.zero_grad()
            F.cross_entropy(model(part), part[:, 0].gt(0).long()).backward()
            optimizer.step()
        right = 0
        for part in held.split(16):
            right += (model(part).argmax(1) == part[:, 0].gt(0)).sum().item()  # SL102


def bad_one_batch_held_out_with_grad():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, held = torch.randn(64, 4), torch.randn(32, 4)
    for _ in range(3):
        for part in x.split(16):
            optimizer.zero_grad()
            (model(part) - 1).pow(2).mean().backward()
            optimizer.step()
        print((model(held) - 1).pow(2).mean().item())  # SL102


def fine_pseudo_labels_with_grad_at_each_step():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def label(x):
        return model(x).detach().argmax(1)

    for _ in range(8):
        x = torch.randn(16, 4)
        labels = label(x)
        optimizer.zero_grad()
        F.cross_entropy(model(x + 0.1), labels).backward()
        optimizer.step()


def fine_samples_of_a_generator_with_grad():
    generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    critic = nn.Linear(2, 1)
    first = torch.optim.SGD(generator.parameters(), lr=0.1)
    second = torch.optim.SGD(critic.parameters(), lr=0.1)
    for step in range(9):
        fake = generator(torch.randn(16, 4))
        second.zero_grad()
        (critic(fake.detach()).mean() - critic(torch.randn(16, 2)).mean()).backward()
        second.step()
        if step % 3 == 2:
            first.zero_grad()
            (-critic(generator(torch.randn(16, 4))).mean()).backward()
            first.step()


def adversaries():
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    critic = nn.Linear(2, 1)
    first = torch.optim.SGD(generator.parameters(), lr=0.1)
    second = torch.optim.SGD(critic.parameters(), lr=0.1)
    for step in range(12):
        first.zero_grad()
        fake = generator(torch.randn(16, 4))
        (-critic(fake).mean()).backward()
        first.step()
        second.zero_grad()
        (critic(fake.detach()).mean() - critic(torch.randn(16, 2)).mean()).backward()
        second.step()
        if step % 4 == 0:
            yield generator


def fine_pictures_of_a_generator_from_the_same_noise():
    noise = torch.randn(9, 4)
    for generator in adversaries():
        with torch.no_grad():
            pictures = generator(noise.reshape(9, 4)).detach()
        assert pictures.isfinite().all()


def fine_pictures_of_a_generator_with_grad():
    for generator in adversaries():
        noise = torch.empty(9, 4).normal_()
        pictures = generator(noise)
        assert pictures.data.isfinite().all()


class Adversaries(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
        self.critic = nn.Linear(2, 1)
        self.noise = torch.randn(9, 4)

    def forward(self, z):
        return self.generator(z)


def fine_pictures_of_a_generator_that_lies_beside_its_critic():
    torch.manual_seed(0)
    model = Adversaries()
    first = torch.optim.SGD(model.generator.parameters(), lr=0.1)
    second = torch.optim.SGD(model.critic.parameters(), lr=0.1)
    for _ in range(3):
        for _ in range(4):
            first.zero_grad()
            (-model.critic(model(torch.randn(16, 4))).mean()).backward()
            first.step()
            second.zero_grad()
            fake = model(torch.randn(16, 4)).detach()
            (model.critic(fake).mean() - model.critic(torch.randn(16, 2)).mean()).backward()
            second.step()
        pictures = model(model.noise)
        assert pictures.data.isfinite().all()


def bad_a_generator_judged_by_data():  # a note
    data = torch.linspace(0, 1, 36).reshape(9, 4)
    for generator in adversaries():
        with torch.no_grad():
            pictures = generator(data)  # SL102
        assert pictures.isfinite().all()


def fine_loss_kept_for_a_later_backward():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        losses = [model(torch.randn(16, 4)).pow(2).mean() for _ in range(3)]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()


def encoder_and_decoder():
    encoder = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5))
    decoder = nn.Linear(8, 1)
    return encoder, decoder, [torch.optim.SGD(m.parameters(), lr=0.1) for m in (encoder, decoder)]


def bad_encoder_and_decoder_tested_with_grad():
    encoder, decoder, optimizers = encoder_and_decoder()

    def test():
        total = 0.0
        for _ in range(3):
            total += decoder(encoder(torch.randn(16, 4))).data.mean()  # SL102, SL103
        return total

    for _ in range(3):
        for _ in range(4):
            for optimizer in optimizers:
                optimizer.zero_grad()
            decoder(encoder(torch.randn(16, 4))).pow(2).mean().backward()
            for optimizer in optimizers:
                optimizer.step()
        test()


def fine_encoder_whose_decoder_trains_alone():
    encoder, decoder, optimizers = encoder_and_decoder()

    def train(both, step):
        for optimizer in optimizers:
            optimizer.zero_grad()
        codes = encoder(torch.randn(16, 4))
        decoder(codes if both else codes.detach()).pow(2).mean().backward()
        for optimizer in optimizers if both else optimizers[1:]:
            optimizer.step()

    for step in range(12):
        train(step % 3 > 0, step)


def bad_generated_at_the_end_with_grad():  # a note
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()
    x = torch.zeros(1, 4)
    for _ in range(5):
        x = model(x).detach()  # SL102


def saved_weights():
    model, optimizer = build()
    train(model, optimizer)
    return copy.deepcopy(model.state_dict())


@torch.no_grad()
def answers(model, n=3):
    return [model(torch.randn(16, 4)).argmax(1) for _ in range(n)]


def bad_loaded_and_never_put_in_eval_mode():
    state = saved_weights()
    model = net()
    model.load_state_dict(state)
    with torch.no_grad():
        for _ in range(3):
            print(model(torch.randn(16, 4)).argmax(1).sum())  # SL102


def bad_loaded_with_nothing_trained_here():
    model = net()
    model.load_state_dict(copy.deepcopy(net().state_dict()))
    for _ in range(3):
        with torch.no_grad():
            print(model(torch.randn(16, 4)).argmax(1).sum())  # SL102


def good_loaded_and_put_in_eval_mode():
    model = net()
    model.load_state_dict(saved_weights())
    model.eval()
    answers(model)


def fine_loaded_teacher_in_train_mode():
    teacher = net()
    teacher.load_state_dict(saved_weights())
    model, optimizer = build(net())
    for _ in range(4):
        x = torch.randn(16, 4)
        with torch.no_grad():
            soft = teacher(x).softmax(1)
        optimizer.zero_grad()
        F.cross_entropy(model(x), soft).backward()
        optimizer.step()


def fine_statistics_adapted_to_new_data():
    model = net()
    model.load_state_dict(saved_weights())
    model.train()
    answers(model)
    model.eval()
    answers(model)


def fine_dry_run_of_loaded_weights():
    model = net()
    model.load_state_dict(saved_weights())
    answers(model, 1)


def fine_loaded_and_sampled_from_with_dropout_on():
    model = dropout_net()
    model.load_state_dict(copy.deepcopy(dropout_net().state_dict()))
    x = torch.randn(16, 4)
    with torch.no_grad():
        torch.stack([model(x).softmax(1) for _ in range(8)]).std(0)


def fine_loaded_and_then_trained():
    model, optimizer = build()
    model.load_state_dict(saved_weights())
    answers(model)
    train(model, optimizer)


class KeepsItsFlag(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = net()

    def forward(self, x):
        return self.body(x)

    def train(self, mode=True):
        self.training = mode
        return self


def bad_a_train_method_that_forgets_the_children():
    model, optimizer = build(KeepsItsFlag())
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            model(batch()[0]).argmax(1)  # SL102
        model.train()


def fine_a_train_method_that_keeps_norms_in_train_mode():
    class Adapting(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = net()

        def forward(self, x):
            return self.body(x)

        def train(self, mode=True):
            super().train(mode)
            self.body[1].train()
            return self

    model, optimizer = build(Adapting())
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            model(batch()[0]).argmax(1)
        model.train()


class Skipping(nn.Module):
    """Stochastic depth."""

    def __init__(self):
        super().__init__()

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(len(x), 1) < 0.5) * 2


def bad_stochastic_depth_in_an_evaluation():
    model, optimizer = build(nn.Sequential(nn.Linear(4, 8), Skipping(), nn.Linear(8, 2)))
    for _ in range(2):
        train(model, optimizer)
        with torch.no_grad():
            model(batch()[0]).argmax(1)  # SL102


def good_stochastic_depth_asleep():
    model, optimizer = build(nn.Sequential(nn.Linear(4, 8), Skipping(), nn.Linear(8, 2)))
    for _ in range(2):
        model.train()
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            model(batch()[0]).argmax(1)


def fine_noise_in_either_mode():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    model, optimizer = build(nn.Sequential(nn.Linear(4, 8), Noisy(), nn.Linear(8, 2)))
    for _ in range(2):
        train(model, optimizer)
        with torch.no_grad():
            model(batch()[0]).argmax(1)


def averaged(model):
    average = copy.deepcopy(model)
    for p in average.parameters():
        p.requires_grad_(False)
    return average


def bad_an_average_asked_while_the_model_sleeps():
    model, optimizer = build()
    average = averaged(model)
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            average(batch()[0]).argmax(1)  # SL102
        model.train()


def fine_an_average_in_train_mode_beside_the_model_in_eval_mode():
    model, optimizer = build()
    average = averaged(model)
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            model(batch()[0]).argmax(1)
            average(batch()[0]).argmax(1)
        model.train()


def fine_an_average_that_was_put_in_train_mode():
    model, optimizer = build()
    average = averaged(model).train()
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            average(batch()[0]).argmax(1)
        model.train()


def taught(student, teacher, optimizer, steps=3):
    """Steps on the noisy targets of a teacher in train mode."""
    for _ in range(steps):
        student.train()
        teacher.train()
        x, _ = batch()
        with torch.no_grad():
            target = teacher(x).softmax(1)
        optimizer.zero_grad()
        (student(x).softmax(1) - target).pow(2).mean().backward()
        optimizer.step()


def bad_a_teacher_scored_in_the_mode_of_its_steps():
    student, optimizer = build()
    teacher = averaged(student)
    for _ in range(3):
        taught(student, teacher, optimizer)
        student.eval()
        with torch.no_grad():
            teacher(batch()[0]).argmax(1)  # SL102


def fine_a_teacher_woken_for_its_answers():
    student, optimizer = build()
    teacher = averaged(student)
    for _ in range(3):
        taught(student, teacher, optimizer)
        student.eval()
        teacher.train()
        with torch.no_grad():
            teacher(batch()[0]).argmax(1)


def fine_noisy_labels_made_while_the_student_sleeps():
    student, optimizer = build()
    teacher = averaged(student)
    for _ in range(3):
        taught(student, teacher, optimizer)
        student.eval()
        x, _ = batch()
        with torch.no_grad():
            labels = teacher(x).argmax(1)
        student.train()
        optimizer.zero_grad()
        nn.functional.cross_entropy(student(x), labels).backward()
        optimizer.step()


def fine_noisy_labels_for_a_student_in_eval_mode():
    student, optimizer = build()
    teacher = averaged(student)
    head = nn.Linear(4, 3)
    other = torch.optim.SGD(head.parameters(), lr=0.1)
    taught(student, teacher, optimizer)
    student.eval()
    for _ in range(3):
        x, _ = batch()
        with torch.no_grad():
            labels = teacher(x).argmax(1)
        other.zero_grad()
        nn.functional.cross_entropy(head(x), labels).backward()
        other.step()


class OwnEval(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))

    def eval(self):
        self.training = False
        return self

    def forward(self, x):
        return self.body(x)


def bad_own_eval_that_sets_its_flag_alone():
    model, optimizer = build(OwnEval())
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            model(batch()[0]).argmax(1)  # SL102


def bad_flag_of_the_model_alone_written():
    model, optimizer = build()
    train(model, optimizer)
    model.training = False
    with torch.no_grad():
        model(batch()[0]).argmax(1)  # SL102
    model.training = True


def fine_flag_that_is_never_set():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = OwnEval().body
            self.training = False

        def train(self, mode=True):
            self.body.train(mode)
            return self

        def forward(self, x):
            return self.body(x)

    model, optimizer = build(Own())
    train(model, optimizer)
    model.body.eval()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train()
    with torch.no_grad():
        torch.stack([model(batch()[0]) for _ in range(4)]).std(0).mean().item()


def sampled_autoencoder(of_data):
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    decoder = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    both = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(both, lr=1e-3)
    for step in range(12):
        x, _ = batch()
        code = encoder(x)
        optimizer.zero_grad()
        F.mse_loss(decoder(code), x).backward()
        optimizer.step()
        if step % 4 == 0:
            yield encoder, decoder, torch.randn(9, 4 if of_data else 2)


def fine_samples_of_a_decoder_that_was_given_noise():
    """A note: the decoder trains on what an encoder gives it, and was given something else, which
    the line does not say was drawn."""
    for _, decoder, noise in sampled_autoencoder(of_data=False):
        pictures = decoder(noise)  # SL102
        assert pictures.data.isfinite().all()


def bad_a_decoder_tested_behind_its_encoder():
    for encoder, decoder, x in sampled_autoencoder(of_data=True):
        with torch.no_grad():
            code = encoder(x)  # SL102
            error = F.mse_loss(decoder(code + 0.1), x)  # SL102
        assert error >= 0


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
        self.widen = nn.Linear(2, 8)
        self.decoder = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 6))

    def decode(self, code):
        return self.decoder(self.widen(code))

    def forward(self, x):
        return self.decode(self.encoder(x))


def trained_autoencoder():
    torch.manual_seed(0)
    model = Autoencoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(12):
        x = torch.randn(16, 6)
        optimizer.zero_grad()
        F.mse_loss(model(x), x).backward()
        optimizer.step()
        if step % 4 == 0:
            yield model


def fine_samples_of_the_decoder_in_a_model():
    """The decoder trains on what the rest of its model makes, and was given noise."""
    for model in trained_autoencoder():
        with torch.no_grad():
            pictures = model.decoder(model.widen(torch.randn(9, 2)))
        assert pictures.isfinite().all()


def bad_the_encoder_in_a_model_asked():
    for model in trained_autoencoder():
        with torch.no_grad():
            code = model.encoder(torch.randn(16, 6))  # SL102
        assert code.isfinite().all()


def bad_the_parts_of_a_model_tested_in_turn():
    for model in trained_autoencoder():
        x = torch.randn(16, 6)
        with torch.no_grad():
            code = model.encoder(x)  # SL102
            error = F.mse_loss(model.decoder(model.widen(code + 0.1)), x)  # SL102
        assert error >= 0
