"""SL312 load-of-itself. `# SL312` marks the lines at which the finding must point."""

import copy
import io

import torch
from torch import nn


def build():
    model = nn.Linear(4, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def learn(model, optimizer, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_best_without_a_copy():
    model, optimizer = build()
    for epoch in range(4):
        learn(model, optimizer)
        if epoch == 1:
            best = model.state_dict()  # SL312
    model.load_state_dict(best)


def bad_shallow_copy_of_the_dict():
    model, optimizer = build()
    learn(model, optimizer)
    best = dict(model.state_dict())  # SL312
    learn(model, optimizer)
    model.load_state_dict(best)


def bad_detached_is_no_copy():
    model, optimizer = build()
    learn(model, optimizer)
    best = {key: value.detach() for key, value in model.state_dict().items()}
    learn(model, optimizer)
    model.load_state_dict(best)  # SL312


def bad_best_is_the_model_itself():
    model, optimizer = build()
    best = model
    learn(model, optimizer)
    model.load_state_dict(best.state_dict())  # SL312


def good_deep_copy():
    model, optimizer = build()
    learn(model, optimizer)
    best = copy.deepcopy(model.state_dict())
    learn(model, optimizer)
    model.load_state_dict(best)


def good_cloned():
    model, optimizer = build()
    learn(model, optimizer)
    best = {key: value.clone() for key, value in model.state_dict().items()}
    learn(model, optimizer)
    model.load_state_dict(best)


def fine_partly_from_elsewhere():
    model, optimizer = build()
    learn(model, optimizer)
    state = model.state_dict()
    state.update(weight=torch.zeros(2, 4))
    model.load_state_dict(state)


def fine_before_the_first_step():
    model, optimizer = build()
    state = model.state_dict()
    state.update({})
    model.load_state_dict(state)
    learn(model, optimizer)


def fine_target_network():
    model, optimizer = build()
    target = copy.deepcopy(model)
    for _ in range(3):
        learn(model, optimizer)
        target.load_state_dict(model.state_dict())


def fine_average_swapped_in():
    model, optimizer = build()
    average = copy.deepcopy(model)
    learn(model, optimizer)
    kept = copy.deepcopy(model.state_dict())
    model.load_state_dict(average.state_dict())
    model.load_state_dict(kept)


def bad_average_that_is_the_model():
    model, optimizer = build()
    shadow = {}
    for name, parameter in model.named_parameters():
        shadow[name] = parameter.data  # SL312
    for _ in range(3):
        learn(model, optimizer)
        for name, parameter in model.named_parameters():
            shadow[name].mul_(0.9).add_(parameter.data, alpha=0.1)
    for name, parameter in model.named_parameters():
        parameter.data.copy_(shadow[name])


def bad_best_weights_in_a_list():
    model, optimizer = build()
    learn(model, optimizer)
    best = [parameter.detach() for parameter in model.parameters()]  # SL312
    learn(model, optimizer)
    with torch.no_grad():
        for parameter, kept in zip(model.parameters(), best, strict=True):
            parameter.copy_(kept)


def good_average_with_its_own_memory():
    model, optimizer = build()
    shadow = {name: p.data.clone() for name, p in model.named_parameters()}
    for _ in range(3):
        learn(model, optimizer)
        for name, parameter in model.named_parameters():
            shadow[name].mul_(0.9).add_(parameter.data, alpha=0.1)
    for name, parameter in model.named_parameters():
        parameter.data.copy_(shadow[name])


def fine_copied_from_the_parameter_itself():
    model, optimizer = build()
    learn(model, optimizer)
    master = list(model.parameters())
    for parameter, kept in zip(model.parameters(), master, strict=True):
        parameter.data.copy_(kept)
        parameter.data.copy_(parameter.data.to("cpu"))
        parameter.data.copy_(parameter.data.clamp_(-1, 1))


def fine_two_models_that_share_a_part():
    part = nn.Linear(4, 4)
    one = nn.Sequential(part, nn.Linear(4, 2))
    two = nn.Sequential(part, nn.Linear(4, 2))
    optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        one(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()
        kept = [parameter.data for parameter in one.parameters()]
        for parameter, source in zip(two.parameters(), kept, strict=True):
            parameter.data.copy_(source)


def bad_average_kept_without_a_copy():
    model, optimizer = build()
    average = {key: value.detach() for key, value in model.state_dict().items()}  # SL312
    for _ in range(3):
        learn(model, optimizer)
        with torch.no_grad():
            for key, value in model.state_dict().items():
                average[key].mul_(0.9).add_(value, alpha=0.1)


def bad_best_loaded_into_another_model():
    model, optimizer = build()
    for epoch in range(4):
        learn(model, optimizer)
        if epoch < 2:
            best = dict(model.state_dict())  # SL312
    build()[0].load_state_dict(best)


def bad_best_saved_at_the_end():
    model, optimizer = build()
    for epoch in range(4):
        learn(model, optimizer)
        if epoch < 2:
            best = {"epoch": epoch, "model": model.state_dict()}  # SL312
    torch.save(best, io.BytesIO())


def bad_best_that_came_once_is_saved():
    model, optimizer = build()
    best = 1e9
    for epoch in range(4):
        learn(model, optimizer)
        if epoch + 1 < best:
            best = epoch + 1
            kept = {key: value.cpu() for key, value in model.state_dict().items()}  # SL312
    torch.save({"model": kept, "epoch": best}, io.BytesIO())


def fine_state_taken_once_and_saved_as_it_goes():
    model, optimizer = build()
    for epoch in range(4):
        learn(model, optimizer)
        if epoch == 1:
            view = model.state_dict()
        if epoch > 1:
            torch.save({"model": view, "epoch": epoch}, io.BytesIO())


def fine_average_in_a_copy():
    model, optimizer = build()
    average = {key: value.clone() for key, value in model.state_dict().items()}
    for _ in range(3):
        learn(model, optimizer)
        with torch.no_grad():
            for key, value in model.state_dict().items():
                average[key].lerp_(value, 0.1)


def fine_present_state_saved_and_given_on():
    model, optimizer = build()
    other = build()[0]
    view = model.state_dict()
    for _ in range(4):
        learn(model, optimizer)
        torch.save({"model": model.state_dict()}, io.BytesIO())
        other.load_state_dict(view)


def fine_weights_decayed_by_hand():
    model, optimizer = build()
    kept = [parameter.data for parameter in model.parameters()]
    for _ in range(3):
        learn(model, optimizer)
        for parameter in kept:
            parameter.add_(parameter, alpha=-0.01)


def bad_way_from_where_it_began():
    model, optimizer = build()
    for _ in range(5):
        before = model.state_dict()  # SL312
        learn(model, optimizer)
        learn(model, optimizer)
        after = model.state_dict()
        model.load_state_dict({k: before[k] + 0.1 * (after[k] - before[k]) for k in before})


def good_way_from_a_copy_of_where_it_began():
    model, optimizer = build()
    for _ in range(5):
        before = copy.deepcopy(model.state_dict())
        learn(model, optimizer)
        after = model.state_dict()
        model.load_state_dict({k: before[k] + 0.1 * (after[k] - before[k]) for k in before})


def fine_latest_file_loaded_each_epoch():
    model, optimizer = build()
    first = model.state_dict()
    for _ in range(5):
        learn(model, optimizer)
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        model.load_state_dict(torch.load(file))
    print(len(first))


def bad_kept_beside_another_list_of_an_outer_loop():
    model, optimizer = build()
    shards = []
    for _ in range(2):
        shards.append(torch.randn(8, 4))
    for _ in range(3):
        start = [p.data for p in model.parameters()]  # SL312
        for shard in shards:
            with torch.no_grad():
                for p, s in zip(model.parameters(), start, strict=True):
                    p.copy_(s)
            optimizer.zero_grad()
            (model(shard) - 1).pow(2).mean().backward()
            optimizer.step()


def bad_average_of_two_names_for_one_model():
    model, optimizer = build()
    nets = {"student": model}
    nets["teacher"] = nets["student"]
    for _ in range(4):
        learn(model, optimizer, 1)
        with torch.no_grad():
            for t, s in zip(
                nets["teacher"].parameters(), nets["student"].parameters(), strict=True
            ):
                t.mul_(0.9).add_(s, alpha=0.1)  # SL312


class Pair(nn.Module):
    """A query encoder and its average, in ways of writing that no method of torch hears."""

    def __init__(self, encoder, key, how=0):
        super().__init__()
        self.query = encoder
        self.key = key
        self.share, self.how = 0.9, how

    @torch.no_grad()
    def update(self):
        if self.key is self.query and self.how < 0:
            return
        for q, k in zip(self.query.parameters(), self.key.parameters(), strict=True):
            k.data = k.data * self.share + q.data * (1 - self.share)

    @torch.no_grad()
    def update_in_place(self):
        for q, k in zip(self.query.parameters(), self.key.parameters(), strict=True):
            k.data.mul_(self.share).add_((1 - self.share) * q.data)

    def forward(self, x):
        with torch.no_grad():
            key = self.key(x)
        return self.query(x) - key


def learn_pair(model, update):
    optimizer = torch.optim.SGD(model.query.parameters(), lr=0.1)
    for _ in range(4):
        update()
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_average_assigned_to_the_model_itself():
    class Alike(nn.Module):
        def __init__(self, encoder):
            super().__init__()
            self.online = encoder
            self.target = encoder

        @torch.no_grad()
        def update(self, m=0.9):
            for p, t in zip(self.online.parameters(), self.target.parameters(), strict=True):
                t.data = m * t.data + (1 - m) * p.data  # SL312

        def forward(self, x):
            with torch.no_grad():
                self.update()
                target = self.target(x)
            return self.online(x) - target

    model = Alike(nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.online.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_average_in_place_of_the_model_itself():
    class Alike(nn.Module):
        def __init__(self, encoder):
            super().__init__()
            self.online = encoder
            self.target = self.online

        def forward(self, x):
            return self.online(x) - self.target(x).detach()

    model = Alike(nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.online.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()
        for p, t in zip(model.online.parameters(), model.target.parameters(), strict=True):
            t.data.mul_(0.9).add_(p.data, alpha=0.1)  # SL312


def good_average_assigned_to_a_copy():
    encoder = nn.Linear(4, 2)
    model = Pair(encoder, copy.deepcopy(encoder).requires_grad_(False))
    learn_pair(model, model.update)


def good_average_in_place_of_a_copy():
    encoder = nn.Linear(4, 2)
    model = Pair(encoder, copy.deepcopy(encoder).requires_grad_(False))
    learn_pair(model, model.update_in_place)


def fine_one_encoder_and_no_average():
    encoder = nn.Linear(4, 2)
    model = Pair(encoder, encoder, how=-1)
    learn_pair(model, model.update)


def fine_one_encoder_in_one_model_and_a_copy_in_another():
    encoder = nn.Linear(4, 2)
    shared = Pair(encoder, encoder)
    learn_pair(shared, shared.query.zero_grad)
    model = Pair(encoder, copy.deepcopy(encoder).requires_grad_(False))
    learn_pair(model, model.update)


def fine_one_encoder_after_a_model_with_a_copy():
    encoder = nn.Linear(4, 2)
    model = Pair(encoder, copy.deepcopy(encoder).requires_grad_(False))
    model.update()
    model = Pair(encoder, encoder)
    learn_pair(model, model.query.zero_grad)


def fine_average_of_a_copy_and_decay_by_hand():
    model, optimizer = build()
    nets = {"student": model, "teacher": copy.deepcopy(model)}
    for _ in range(4):
        learn(model, optimizer, 1)
        with torch.no_grad():
            for t, s in zip(
                nets["teacher"].parameters(), nets["student"].parameters(), strict=True
            ):
                t.mul_(0.9).add_(s, alpha=0.1)
            for p in model.parameters():
                p.data.add_(p, alpha=-0.01)


def bad_states_of_all_epochs_in_a_list():
    model, optimizer = build()
    states = []
    for _ in range(4):
        learn(model, optimizer)
        states.append(model.state_dict())  # SL312
    mean = {key: sum(state[key] for state in states) / 4 for key in states[0]}
    model.load_state_dict(mean)


def bad_states_of_all_epochs_in_new_dictionaries():
    model, optimizer = build()
    states = {}
    for epoch in range(4):
        learn(model, optimizer)
        states[epoch] = dict(model.state_dict())  # SL312


def fine_copies_of_all_epochs_in_a_list():
    model, optimizer = build()
    states = []
    for _ in range(4):
        learn(model, optimizer)
        states.append({key: value.clone() for key, value in model.state_dict().items()})
    mean = {key: sum(state[key] for state in states) / 4 for key in states[0]}
    model.load_state_dict(mean)


def fine_latest_state_bound_anew():
    model, optimizer = build()
    for _ in range(5):
        learn(model, optimizer)
        state = model.state_dict()
    assert state


def fine_states_of_several_models():
    states = []
    for _ in range(4):
        model, optimizer = build()
        learn(model, optimizer)
        states.append(model.state_dict())
    assert len(states) == 4
