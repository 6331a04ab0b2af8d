"""SL313 copy-shares-storage. `# SL313` marks the lines at which the finding must point."""

import copy
import io

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, encoder=None):
        super().__init__()
        self.encoder = encoder or nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.relu(self.encoder(x)))


def learn(model, optimizer, steps=4):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def chase(model, target, optimizer, steps=4):
    for _ in range(steps):
        x = torch.randn(16, 4)
        with torch.no_grad():
            goal = target(x) * 0.9
        optimizer.zero_grad()
        (model(x) - goal).pow(2).mean().backward()
        optimizer.step()


def bad_shallow_copy_as_a_target():
    model = Net()
    target = copy.copy(model)  # SL313
    chase(model, target, torch.optim.Adam(model.parameters()))


def bad_shallow_copy_of_the_best():
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    learn(model, optimizer, 2)
    best = copy.copy(model)  # SL313
    learn(model, optimizer, 3)
    return best


def bad_target_filled_by_assignment():
    model = Net()
    target = Net()
    for mine, theirs in zip(target.parameters(), model.parameters(), strict=True):
        mine.data = theirs.data  # SL313
    chase(model, target, torch.optim.Adam(model.parameters()))


def bad_target_assigned_on_load():
    model = Net()
    target = Net()
    target.load_state_dict(model.state_dict(), assign=True)  # SL313
    chase(model, target, torch.optim.Adam(model.parameters()))


def bad_target_filled_while_training():
    def hard_update():
        for mine, theirs in zip(target.parameters(), model.parameters(), strict=True):
            mine.data = theirs.detach()  # SL313

    model, target = Net(), Net()
    optimizer = torch.optim.Adam(model.parameters())
    chase(model, target, optimizer, 3)
    hard_update()
    chase(model, target, optimizer, 6)


def good_deep_copy():
    model = Net()
    target = copy.deepcopy(model)
    chase(model, target, torch.optim.Adam(model.parameters()))


def good_values_copied():
    model, target = Net(), Net()
    target.load_state_dict(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        chase(model, target, optimizer, 2)
        with torch.no_grad():
            for mine, theirs in zip(target.parameters(), model.parameters(), strict=True):
                mine.copy_(theirs)


def fine_values_assigned():
    model, target = Net(), Net()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        chase(model, target, optimizer, 2)
        for mine, theirs in zip(target.parameters(), model.parameters(), strict=True):
            mine.data = theirs.data.clone()


def fine_shared_encoder():
    encoder = nn.Linear(4, 8)
    actor, critic = Net(encoder), Net(encoder)
    optimizer = torch.optim.Adam({*actor.parameters(), *critic.parameters()})
    for _ in range(4):
        x = torch.randn(16, 4)
        optimizer.zero_grad()
        (actor(x) + critic(x)).pow(2).mean().backward()
        optimizer.step()


def fine_twins_that_share_everything_and_train():
    left, right = Net(), Net()
    right.encoder, right.head = left.encoder, left.head
    optimizer = torch.optim.Adam(left.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        (left(torch.randn(8, 4)) - right(torch.randn(8, 4))).pow(2).mean().backward()
        optimizer.step()


def fine_wrapper():
    model = Net()
    wrapped = nn.Sequential(model.encoder, nn.ReLU(), model.head)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        learn(model, optimizer, 1)
        with torch.no_grad():
            wrapped(torch.randn(2, 4))


def fine_same_object_under_two_names():
    model = Net()
    teacher = model
    chase(model, teacher, torch.optim.Adam(model.parameters()))


def fine_tied_inside_one_model():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    learn(model, torch.optim.Adam(model.parameters()))


def fine_average():
    model = Net()
    average = torch.optim.swa_utils.AveragedModel(model)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        learn(model, optimizer, 1)
        average.update_parameters(model)


def anchored(anchor):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = {name: anchor(p) for name, p in model.named_parameters()}
    for _ in range(6):
        loss = (model(torch.randn(8, 4)) - 1).pow(2).mean()
        for name, p in model.named_parameters():
            loss = loss + 0.5 * ((p - kept[name]) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_anchor_that_is_the_parameter():  # a note
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = {name: p.detach() for name, p in model.named_parameters()}
    for _ in range(6):
        loss = (model(torch.randn(8, 4)) - 1).pow(2).mean()
        for name, p in model.named_parameters():
            loss = loss + 0.5 * ((p - kept[name]) ** 2).sum()  # SL313
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good_anchor_that_is_a_copy():
    anchored(lambda p: p.detach().clone())


def fine_anchor_at_nothing():
    anchored(torch.zeros_like)


def bad_anchor_that_is_a_list_of_the_parameters():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    received = list(model.parameters())
    for _ in range(6):
        far = 0.0
        for w, start in zip(model.parameters(), received):
            far += (w - start).norm(2) ** 2  # SL313
        loss = (model(torch.randn(8, 4)) - 1).pow(2).mean() + 0.1 * far
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_difference_of_a_parameter_and_its_double():
    scale = nn.Parameter(torch.ones(4))
    optimizer = torch.optim.SGD([scale], lr=0.1)
    for _ in range(6):
        loss = (torch.randn(8, 4) * torch.sub(scale, scale, alpha=2)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class Stack(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return x


def bad_one_layer_repeated():
    model = Stack(nn.ModuleList([nn.Linear(4, 4)] * 3))  # SL313
    learn(model, torch.optim.Adam(model.parameters()))


def bad_one_block_repeated_in_a_row():
    model = Stack(
        nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU())] * 3),  # SL313
    )
    learn(model, torch.optim.Adam(model.parameters()))


def good_layers_of_their_own():
    model = Stack(nn.ModuleList([nn.Linear(4, 4) for _ in range(3)]))
    learn(model, torch.optim.Adam(model.parameters()))


def fine_a_layer_with_a_name_repeated():
    shared = nn.Linear(4, 4)
    model = Stack(nn.ModuleList([shared] * 3))
    learn(model, torch.optim.Adam(model.parameters()))


def fine_a_layer_without_parameters_repeated():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(*[nn.Tanh()] * 2))
    learn(model, torch.optim.Adam(model.parameters()))


def judged(model):
    with torch.no_grad():
        return float((model(torch.randn(8, 4)) - 1).pow(2).mean())


def rounds(model, optimizer):
    for _ in range(3):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_best_model_that_is_the_model():
    model, best, best_model = nn.Linear(4, 2), 1e9, None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        rounds(model, optimizer)
        value = judged(model)
        if value < best:
            best, best_model = value, model  # SL313
    return judged(best_model)


class Keeper:
    def __init__(self):
        self.model, self.best_model, self.best = nn.Linear(4, 2), None, 1e9
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def fit(self):
        for _ in range(3):
            rounds(self.model, self.optimizer)
            if (value := judged(self.model)) < self.best:
                self.best = value
                self.best_model = self.model  # SL313


def bad_best_model_in_a_keeper_that_the_loop_calls():
    class Stopper:
        def __init__(self):
            self.best, self.bad, self.kept = 1e9, 0, None

        def __call__(self, value, network):
            if value < self.best:
                self.best, self.bad = value, 0
                self.kept = network  # SL313
            else:
                self.bad += 1
            return self.bad > 9

    model = nn.Linear(4, 2)
    stopper = Stopper()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        rounds(model, optimizer)
        if stopper(judged(model), model):
            break
    judged(stopper.kept)


def fine_best_model_copied_in_a_keeper():
    class Stopper:
        def __init__(self):
            self.best, self.kept = 1e9, None

        def look(self, value, network):
            if value < self.best:
                self.best = value
                self.kept = copy.deepcopy(network)

    model = nn.Linear(4, 2)
    stopper = Stopper()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        rounds(model, optimizer)
        stopper.look(judged(model), model)
    judged(stopper.kept)


def fine_best_model_that_a_keeper_saves():
    class Saver:
        def __init__(self):
            self.best, self.newest = 1e9, None

        def look(self, value, network):
            if value < self.best:
                self.best = value
                self.newest = network
                torch.save(network.state_dict(), io.BytesIO())

    model = nn.Linear(4, 2)
    saver = Saver()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        rounds(model, optimizer)
        saver.look(judged(model), model)
    judged(saver.newest)


def bad_best_model_that_is_an_attribute_of_ones_own():
    keeper = Keeper()
    keeper.fit()
    judged(keeper.best_model)


def bad_best_model_that_is_a_shallow_copy():
    model, best, best_model = nn.Linear(4, 2), 1e9, None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        rounds(model, optimizer)
        value = judged(model)
        if value < best:
            best, best_model = value, copy.copy(model)  # SL313
    return judged(best_model)


def fine_best_model_that_is_a_deep_copy():
    model, best, best_model = nn.Linear(4, 2), 1e9, None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        rounds(model, optimizer)
        value = judged(model)
        if value < best:
            best, best_model = value, copy.deepcopy(model)
    return judged(best_model)


def fine_best_of_several_models():
    best, best_model = 1e9, None
    for _ in range(3):
        model = nn.Linear(4, 2)
        rounds(model, torch.optim.SGD(model.parameters(), lr=0.1))
        if (value := judged(model)) < best:
            best, best_model = value, model
    judged(best_model)


def fine_best_model_that_is_saved_at_once():
    model, best = nn.Linear(4, 2), 1e9
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        rounds(model, optimizer)
        if (value := judged(model)) < best:
            best, kept = value, model
            state = copy.deepcopy(kept.state_dict())
    model.load_state_dict(state)


def fine_best_model_with_which_the_loop_ends():
    model, best, found = nn.Linear(4, 2), 1e9, None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        rounds(model, optimizer)
        if (value := judged(model)) < best:
            best, found = value, model
            break
    judged(found)


def fine_best_model_put_back_to_its_state():
    model, best, best_model = nn.Linear(4, 2), 1e9, None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        rounds(model, optimizer)
        if (value := judged(model)) < best:
            state = copy.deepcopy(model.state_dict())
            best, best_model = value, model
    best_model.load_state_dict(state)
    judged(best_model)


def handed_over(load, goes_on=True):
    ones = [nn.Linear(4, 3) for _ in range(2)]
    optimizers = [torch.optim.Adam(one.parameters(), lr=0.01) for one in ones]

    def train(place):
        optimizers[place].zero_grad()
        (ones[place](torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizers[place].step()

    for _ in range(4):
        train(0)
    load(optimizers[1], optimizers[0])
    for _ in range(4):
        train(1)
        if goes_on:
            train(0)


def bad_state_of_another_optimizer():
    def load(one, other):
        one.load_state_dict(other.state_dict())  # SL313

    handed_over(load)


def good_copy_of_the_state_of_another_optimizer():
    handed_over(lambda one, other: one.load_state_dict(copy.deepcopy(other.state_dict())))


def fine_state_handed_over():
    handed_over(lambda one, other: one.load_state_dict(other.state_dict()), goes_on=False)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for rate in (0.01, 0.005, 0.002):
        anew = torch.optim.Adam(model.parameters(), lr=rate)
        anew.load_state_dict(optimizer.state_dict())
        optimizer = anew
        for _ in range(3):
            optimizer.zero_grad()
            (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
            optimizer.step()
