"""SL402 graph-grows. `# SL402` marks the lines at which the finding must point."""

import torch
from torch import nn


def build():
    cell = nn.Linear(4, 4)
    return cell, torch.optim.SGD(cell.parameters(), lr=1e-3)


def bad_state_never_detached():
    cell, optimizer = build()
    state = torch.zeros(1, 4)
    for _ in range(10):
        state = 0.5 * state + cell(torch.randn(1, 4))
        optimizer.zero_grad()
        state.pow(2).mean().backward(retain_graph=True)  # SL402
        optimizer.step()


def bad_smoothed_loss():
    cell, optimizer = build()
    smooth = torch.zeros(())
    for _ in range(10):
        smooth = 0.9 * smooth + 0.1 * cell(torch.randn(2, 4)).pow(2).mean()
        optimizer.zero_grad()
        smooth.backward(retain_graph=True)  # SL402
        optimizer.step()


def bad_state_through_all_parts_of_an_epoch():
    cell, optimizer = build()
    for _ in range(2):
        state = torch.zeros(1, 4)
        optimizer.zero_grad()
        for _ in range(8):
            state = torch.tanh(cell(state + torch.randn(1, 4)))
            (state.pow(2).mean() / 8).backward(retain_graph=True)  # SL402
        optimizer.step()


def bad_state_of_a_program_that_steps_by_hand():
    cell, _ = build()
    state = torch.zeros(1, 4)
    for _ in range(8):
        state = torch.tanh(cell(state + torch.randn(1, 4)))
        state.pow(2).mean().backward(retain_graph=True)  # SL402
        for parameter in cell.parameters():
            parameter.data = parameter.data - 0.1 * parameter.grad
            parameter.grad = None


def good_detached_state():
    cell, optimizer = build()
    state = torch.zeros(1, 4)
    for _ in range(10):
        state = 0.5 * state.detach() + cell(torch.randn(1, 4))
        optimizer.zero_grad()
        state.pow(2).mean().backward()
        optimizer.step()


def fine_sequences_of_growing_length():
    rnn = nn.GRU(4, 4, batch_first=True)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=1e-3)
    for length in range(2, 14):
        optimizer.zero_grad()
        rnn(torch.randn(2, length, 4))[0].pow(2).mean().backward()
        optimizer.step()


def fine_old_part_that_does_not_grow():
    cell, optimizer = build()
    gain = torch.ones(4, requires_grad=True)
    optimizer.add_param_group({"params": [gain]})
    table = (gain * torch.randn(8, 4)).cumsum(0)
    for _ in range(10):
        optimizer.zero_grad()
        (cell(torch.randn(8, 4)) * table).mean().backward(retain_graph=True)
        optimizer.step()


def fine_truncated_window():
    cell, optimizer = build()
    state = torch.zeros(1, 4)
    for step in range(24):
        if step % 4 == 0:
            state = state.detach()
        state = 0.5 * state + cell(torch.randn(1, 4))
        optimizer.zero_grad()
        state.pow(2).mean().backward(retain_graph=True)
        optimizer.step()


def fine_discriminator_and_generator():
    make, judge = nn.Linear(4, 4), nn.Linear(4, 1)
    one = torch.optim.SGD(make.parameters(), lr=1e-3)
    two = torch.optim.SGD(judge.parameters(), lr=1e-3)
    for _ in range(10):
        fake = make(torch.randn(8, 4))
        two.zero_grad()
        judge(fake.detach()).mean().backward()
        two.step()
        one.zero_grad()
        (-judge(fake).mean()).backward()
        one.step()


def fine_losses_at_several_depths():
    layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(8))
    optimizer = torch.optim.SGD(layers.parameters(), lr=1e-3)
    for _ in range(6):
        optimizer.zero_grad()
        value, losses = torch.randn(8, 4), []
        for layer in layers:
            value = torch.tanh(layer(value))
            losses.append(value.pow(2).mean() / 8)
        for loss in losses:
            loss.backward(retain_graph=True)
        optimizer.step()


def fine_losses_of_a_sequence_backwarded_at_its_end():
    cell, optimizer = build()
    for _ in range(6):
        optimizer.zero_grad()
        state, losses = torch.zeros(1, 4), []
        for _ in range(8):
            state = torch.tanh(cell(state + torch.randn(1, 4)))
            losses.append(state.pow(2).mean() / 8)
        for loss in losses:
            loss.backward(retain_graph=True)
        optimizer.step()
