"""SL401 graph-kept-alive. `# SL401` marks the lines at which the finding must point."""

from collections import deque

import torch
from torch import nn

history = {"loss": []}


def build():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    return model, torch.optim.SGD(model.parameters(), lr=0.01)


def train(model, optimizer, steps=1):
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(torch.randn(16, 4)).pow(2).mean()
        loss.backward()
        optimizer.step()
    return loss


def bad_running_sum():
    model, optimizer = build()
    total = 0.0
    for _ in range(10):
        loss = train(model, optimizer)
        total += loss  # SL401


def bad_running_sum_begun_anew_each_epoch():
    model, optimizer = build()
    for _ in range(3):
        total = 0.0
        for _ in range(8):
            loss = train(model, optimizer)
            total = total + loss / 8  # SL401


def bad_list_beside_another_of_plain_tensors():
    model, optimizer = build()
    outputs, targets = [], []
    for _ in range(24):
        target = torch.randn(16, 1)
        optimizer.zero_grad()
        output = model(torch.randn(16, 4))
        (output - target).pow(2).mean().backward()
        optimizer.step()
        outputs.append(output)  # SL401
        targets.append(target)


def bad_average_on_an_object():
    class Meter:
        def __init__(self):
            self.sum, self.count = 0.0, 0

        def update(self, value):
            self.sum += value  # SL401
            self.count += 1

    meter = Meter()
    model, optimizer = build()
    for _ in range(10):
        meter.update(train(model, optimizer))


def bad_running_average():
    model, optimizer = build()
    smooth = None
    for _ in range(10):
        loss = train(model, optimizer)
        smooth = loss if smooth is None else 0.9 * smooth + 0.1 * loss  # SL401


def bad_list_of_losses():
    model, optimizer = build()
    losses = []
    for _ in range(30):
        loss = train(model, optimizer)
        losses.append(loss)  # SL401


def bad_list_begun_anew_in_each_short_epoch():
    model, optimizer = build()
    for _ in range(3):
        losses = []
        for _ in range(9):
            loss = train(model, optimizer)
            losses.append(loss)  # SL401
        torch.stack(losses).mean().item()


def bad_global_dictionary():
    model, optimizer = build()
    history["loss"].clear()
    for _ in range(30):
        loss = train(model, optimizer)
        history["loss"].append(loss)  # SL401
    history["loss"].clear()


def bad_list_of_outputs():
    model, optimizer = build()
    outputs = []
    for _ in range(30):
        out = model(torch.randn(16, 4))
        optimizer.zero_grad()
        out.pow(2).mean().backward()
        optimizer.step()
        outputs.append(out)  # SL401


def bad_two_lists_beside_those_of_an_episode():
    model, optimizer = build()
    every, sizes = [], []
    for _ in range(20):
        few = []
        for _ in range(3):
            out = model(torch.randn(16, 4))
            few.append(out.mean())
            every.append(out.norm())  # SL401
            sizes.append(out.pow(2).mean())
        optimizer.zero_grad()
        torch.stack(few).mean().backward()
        optimizer.step()


def bad_outputs_kept_by_a_hook():
    kept = {"one": []}

    def save(name):
        def hook(_, __, output):
            kept[name].append(output)  # SL401

        return hook

    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    model[0].register_forward_hook(save("one"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)).mean() + kept["one"][-1].mean()).backward()
        optimizer.step()


def good_item():
    model, optimizer = build()
    total, losses = 0.0, []
    for _ in range(30):
        loss = train(model, optimizer)
        total += loss.item()
        losses.append(loss.detach())


def fine_losses_summed_and_backwarded_later():
    model, optimizer = build()
    for _ in range(12):
        losses = []
        for _ in range(6):
            losses.append(model(torch.randn(16, 4)).pow(2).mean())
        optimizer.zero_grad()
        sum(losses).backward()
        optimizer.step()


def fine_accumulation_window():
    model, optimizer = build()
    for _ in range(8):
        optimizer.zero_grad()
        window = 0.0
        for _ in range(12):
            loss = model(torch.randn(16, 4)).pow(2).mean() / 12
            loss.backward()
            window += loss
        optimizer.step()


def fine_bounded_buffer():
    model, optimizer = build()
    recent = deque(maxlen=10)
    latest = deque(maxlen=40)
    for _ in range(60):
        loss = train(model, optimizer)
        recent.append(loss)
        latest.append(loss)


def fine_short_list_by_hand():
    model, optimizer = build()
    recent = []
    for _ in range(40):
        recent.append(train(model, optimizer))
        if len(recent) > 8:
            recent.pop(0)


def fine_short_windows_of_losses():
    model, optimizer = build()
    for _ in range(8):
        window = [train(model, optimizer) for _ in range(5)]
        torch.stack(window).mean().item()


def fine_last_output_on_the_module():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 1)
            self.last = None

        def forward(self, x):
            self.last = self.layer(x)
            return self.last

    model = Keeps()
    train(model, torch.optim.SGD(model.parameters(), lr=0.01), 20)


def fine_part_used_at_every_step():
    """A penalty whose graph is made once and gone through at every step."""
    model, optimizer = build()
    scale = torch.ones(1, requires_grad=True)
    shared = (scale * 2).sum()
    for _ in range(12):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)).pow(2).mean() * shared).backward(retain_graph=True)
        scale.grad = None
        optimizer.step()


def bad_keys_of_a_second_forward_in_a_queue():
    model, optimizer = build()
    queue = []
    for _ in range(40):
        x = torch.randn(16, 4)
        query, key = model(x), model(x + 0.1)
        queue.append(key)  # SL401
        optimizer.zero_grad()
        (query - key).pow(2).mean().backward()
        optimizer.step()


def good_keys_taken_out_of_the_graph():
    model, optimizer = build()
    queue = []
    for _ in range(40):
        x = torch.randn(16, 4)
        query, key = model(x), model(x + 0.1)
        queue.append(key.detach())
        optimizer.zero_grad()
        (query - key).pow(2).mean().backward()
        optimizer.step()


def bad_one_of_two_heads_in_a_log():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.policy, self.value = nn.Linear(4, 2), nn.Linear(4, 1)

        def forward(self, x):
            return self.policy(x), self.value(x)

    model = Heads()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    log = []
    for _ in range(40):
        policy, value = model(torch.randn(16, 4))
        optimizer.zero_grad()
        (policy.pow(2).mean() + value.pow(2).mean()).backward()
        optimizer.step()
        log.append({"value": value.mean()})  # SL401


def bad_tuples_in_a_list_of_an_object():
    class Run:
        def __init__(self):
            self.history = []

        def fit(self, model, optimizer):
            for _ in range(20):
                values = []
                for _ in range(3):
                    out = model(torch.randn(16, 4))
                    values.append(out.mean())
                    self.history.append((0.5, out.mean()))  # SL401
                optimizer.zero_grad()
                torch.stack(values).pow(2).mean().backward()
                optimizer.step()

    Run().fit(*build())


def agent():
    actor, critic = nn.Linear(3, 1), nn.Linear(4, 1)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.01) for each in (actor, critic)]
    return actor, critic, optimizers, []


def learn_from(replay, actor, critic, optimizers):
    s, a = (torch.stack([pair[k] for pair in replay[-8:]]).detach() for k in range(2))
    for optimizer in optimizers:
        optimizer.zero_grad()
    critic(torch.cat([s, a], 1)).pow(2).mean().backward()
    optimizers[1].step()
    (-critic(torch.cat([s, actor(s)], 1)).mean()).backward()
    optimizers[0].step()


def bad_actions_kept_with_their_graphs():
    actor, critic, optimizers, replay = agent()
    for step in range(80):
        state = torch.randn(3)
        replay.append((state, actor(state).tanh()))  # SL401
        if step > 8:
            learn_from(replay, actor, critic, optimizers)


def fine_actions_kept_without_them():
    actor, critic, optimizers, replay = agent()
    for step in range(80):
        state = torch.randn(3)
        replay.append((state, actor(state).tanh().detach()))
        if step > 8:
            learn_from(replay, actor, critic, optimizers)


def bad_two_means_of_losses():
    one, two = nn.Linear(4, 1), nn.Linear(4, 1)
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.01) for model in (one, two)]
    first = second = None
    for _ in range(40):
        losses = []
        for model, optimizer in zip((one, two), optimizers, strict=True):
            loss = model(torch.randn(8, 4)).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss if model is one else loss.detach())
        first = losses[0] if first is None else 0.9 * first + 0.1 * losses[0]  # SL401
        second = losses[1] if second is None else 0.9 * second + 0.1 * losses[1]


def good_mean_of_detached_losses():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    mean = None
    for _ in range(40):
        loss = model(torch.randn(8, 4)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.detach() if mean is None else 0.9 * mean + 0.1 * loss.detach()


def bad_state_handed_on_with_its_graph():
    """Rollouts hand their state on; training begins with a copy of it that has no graph."""
    network, head = nn.LSTM(4, 8), nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()])
    for _ in range(4):
        state, worth = (torch.zeros(1, 1, 8), torch.zeros(1, 1, 8)), 0.0
        for _ in range(10):
            first, seen = tuple(part.detach() for part in state), []
            for _ in range(5):
                seen.append(torch.randn(1, 1, 4))
                _, state = network(seen[-1], state)  # SL401
            loss = head(network(torch.cat(seen), first)[0]).pow(2).mean()
            worth = 0.9 * worth + len(seen)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def fine_state_detached():
    network, head = nn.LSTM(4, 8), nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()])
    state = torch.zeros(1, 1, 8), torch.zeros(1, 1, 8)
    for _ in range(40):
        state = tuple(part.detach() for part in state)
        out, state = network(torch.randn(5, 1, 4), state)
        optimizer.zero_grad()
        head(out).pow(2).mean().backward()
        optimizer.step()
