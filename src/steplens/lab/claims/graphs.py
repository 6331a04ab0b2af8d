"""Graphs that live longer than their step."""

import weakref

import torch
from torch import nn

from steplens.lab.base import claim
from steplens.lab.helpers import nodes, raised


@claim(
    "`total += loss` keeps the graph of every step.",
    number="graph nodes behind the total after 1, 2, 3 steps: {kept}; with `loss.item()` {item}",
    holds=lambda kept, item: kept[0] < kept[1] < kept[2] and item == [0, 0, 0],
    truth="The total is computed from the losses, so it holds all that made them: memory "
    "grows by a graph for each step. Add `loss.item()` or `loss.detach()`.",
)
def a_running_total_keeps_every_graph():
    model, kept, item = nn.Linear(2, 1), [], []
    total = plain = torch.zeros(())
    for _ in range(3):
        loss = model(torch.ones(1, 2)).sum()
        total, plain = total + loss, plain + loss.item()
        kept.append(nodes(total))
        item.append(nodes(plain))
    return {"kept": kept, "item": item}


@claim(
    "A hidden state carried from step to step takes its graph along.",
    number="graph nodes behind the state after 1, 2, 3 steps: {carried}; detached {detached}",
    holds=lambda carried, detached: (
        carried[0] < carried[1] < carried[2] and len(set(detached)) == 1
    ),
    truth="Each step then goes back through all the steps before it. `state = state.detach()` "
    "ends the graph at the window that is trained.",
)
def a_hidden_state_takes_its_graph_along():
    cell, carried, detached = nn.RNNCell(1, 1), [], []
    state = cut = torch.zeros(1, 1)
    for _ in range(3):
        state = cell(torch.ones(1, 1), state)
        cut = cell(torch.ones(1, 1), cut.detach())
        carried.append(nodes(state))
        detached.append(nodes(cut))
    return {"carried": carried, "detached": detached}


@claim(
    "A hidden state carried over a backward pass works without `detach()`.",
    number="second step's `backward()`: {carried} carried, {detached} detached",
    only_if="it is detached in between",
    holds=lambda detached: detached == "no error",
    elsewhere=lambda carried: carried == "no error",
    truth="The second pass runs into the first step's graph, which is freed already. The "
    "answer is `detach()`, hardly ever `retain_graph=True`.",
)
def a_carried_state_needs_no_detach():
    found = {}
    for name in ("carried", "detached"):
        cell = nn.RNNCell(1, 1)
        state = cell(torch.ones(1, 1))
        state.sum().backward()
        state = state.detach() if name == "detached" else state
        found[name] = raised(cell(torch.ones(1, 1), state).sum().backward)
    return found


@claim(
    "The graph is freed when the last result that holds it goes.",
    number="graph alive: {held} while the loss is held, {gone} after `del loss`",
    holds=lambda held, gone: held and not gone,
    truth="A graph lives as long as its results. `loss`, `outputs` and whatever a list or a "
    "logger keeps hold it until they are overwritten: in the next step at the earliest.",
)
def a_graph_goes_with_its_loss():
    class Mark:
        pass

    loss = nn.Linear(2, 1)(torch.ones(1, 2)).sum()
    loss.grad_fn.metadata["mark"] = mark = Mark()
    alive, mark = weakref.ref(mark), None
    held = alive() is not None
    del loss
    return {"held": held, "gone": alive() is not None}


@claim(
    "A Python branch taken in the forward is part of the graph.",
    number="gradient of w: {positive} for w = 2, {negative} for w = -2, of `w*w if w > 0 else w`",
    holds=lambda positive, negative: positive == [4] and negative == [1],
    truth="The graph is made anew by each forward, of what really ran. A branch may depend on "
    "values; the comparison itself gets no gradient.",
)
def a_branch_is_followed():
    gradients = []
    for value in (2.0, -2.0):
        w = torch.tensor([value], requires_grad=True)
        y = w * w if w > 0 else w
        y.sum().backward()
        gradients.append(w.grad.tolist())
    return {"positive": gradients[0], "negative": gradients[1]}
