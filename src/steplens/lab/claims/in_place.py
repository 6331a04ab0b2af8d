"""In-place writes: which of them a backward pass forgives."""

import torch
import torch.nn.functional as F
from torch import nn, optim

from steplens.lab.base import claim
from steplens.lab.helpers import raised


@claim(
    "An in-place write into a result breaks the backward pass.",
    number="after `y += 1`: y = exp(w) {saved}; y = w + 2 {unsaved}",
    only_if="that value was saved for backward",
    holds=lambda saved: saved.startswith("RuntimeError"),
    elsewhere=lambda unsaved: unsaved.startswith("RuntimeError"),
    truth="`exp` keeps its result for backward, an addition keeps nothing. torch counts the "
    "writes and says `modified by an inplace operation`. Write `y = y + 1`.",
)
def inplace_write_breaks_backward():
    w = torch.ones(1, requires_grad=True)
    saved, unsaved = torch.exp(w), w + 2
    saved += 1
    unsaved += 1
    after_exp, after_sum = raised(saved.sum().backward), raised(unsaved.sum().backward)
    return {"saved": after_exp, "unsaved": after_sum}


@claim(
    "A parameter can be changed in place.",
    number="`w += 1`: {plain}; under `no_grad`: {no_grad}",
    only_if="it is done under `torch.no_grad()`",
    holds=lambda no_grad: no_grad == "no error",
    elsewhere=lambda plain: plain == "no error",
    truth="A leaf that requires grad has no history to write the change into. Under `no_grad` "
    "the write is not part of the graph; this is how optimizers do it.",
)
def a_parameter_changes_in_place():
    w = torch.ones(1, requires_grad=True)
    plain = raised(lambda: w.add_(1))
    with torch.no_grad():
        return {"plain": plain, "no_grad": raised(lambda: w.add_(1))}


@claim(
    "`F.relu(x, inplace=True)` is safe.",
    number="after a linear layer {linear}, after a tanh {tanh}",
    only_if="the layer before does not keep its output for backward",
    holds=lambda linear: linear == "no error",
    elsewhere=lambda tanh: tanh == "no error",
    truth="Linear and convolution layers keep their input; `tanh`, `sigmoid`, `exp` and "
    "`softmax` keep their output, and an in-place ReLU overwrites that.",
)
def an_inplace_relu_is_safe():
    x = torch.ones(1, 2, requires_grad=True)
    linear = F.relu(nn.Linear(2, 2)(x), inplace=True)
    tanh = F.relu(torch.tanh(x), inplace=True)
    return {"linear": raised(linear.sum().backward), "tanh": raised(tanh.sum().backward)}


@claim(
    "Two losses of one forward may be run backward with a step between.",
    number="second `backward()`: {step_between} with a step between, {steps_after} without",
    only_if="the step comes after both",
    holds=lambda steps_after: steps_after == "no error",
    elsewhere=lambda step_between: step_between == "no error",
    truth="The step writes into weights that the second backward needs. Run both losses "
    "backward, then step; or compute the forward again.",
)
def a_step_may_come_between_two_losses():
    def second_backward(step_between):
        model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        optimizer, y = optim.SGD(model.parameters(), lr=0.1), model(torch.ones(1, 1))
        y.sum().backward(retain_graph=True)
        if step_between:
            optimizer.step()
        return raised((y**2).sum().backward)

    return {"step_between": second_backward(True), "steps_after": second_backward(False)}


@claim(
    "Writing into a slice of a result keeps its gradient right.",
    number="gradient of w for y = 3 w, with y[0] = 0 written: {gradient}",
    holds=lambda gradient: gradient == [0, 3],
    truth="A slice written in place is part of the graph: what was overwritten gets gradient "
    "0. It works as long as nobody saved the old values.",
)
def a_slice_write_keeps_the_gradient_right():
    w = torch.ones(2, requires_grad=True)
    y = w * 3
    y[0] = 0.0
    y.sum().backward()
    return {"gradient": w.grad}
