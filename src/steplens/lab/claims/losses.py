"""Losses: what they expect, and what they compute when they get something else."""

import warnings

import torch
import torch.nn.functional as F

from steplens.lab.base import claim
from steplens.lab.helpers import raised


@claim(
    "`F.mse_loss` refuses a prediction and a target of different shapes.",
    number="shapes [3, 1] and [3], equal values: loss {loss}, {warned} warning",
    holds=lambda refused: refused,
    truth="They are broadcast to [3, 3] and every prediction is compared with every target; "
    "torch only warns. Written by hand, `((p - y) ** 2).mean()`, it says nothing. Use "
    "`squeeze(1)`.",
)
def mse_refuses_other_shapes():
    target = torch.tensor([1.0, 2.0, 3.0])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        refused = raised(lambda: F.mse_loss(target[:, None], target)) != "no error"
    loss = ((target[:, None] - target) ** 2).mean()
    return {"refused": refused, "loss": loss, "warned": len(said)}


@claim(
    "A regression broadcast to [N, N] still fits its targets.",
    number="targets 0 and 10: predictions go to {predictions}",
    holds=lambda predictions: abs(predictions[0][0]) < 0.1 and abs(predictions[1][0] - 10) < 0.1,
    truth="Each prediction is pulled to every target, that is to their mean. The loss falls, "
    "and stays high.",
)
def a_broadcast_loss_still_fits():
    prediction = torch.tensor([[1.0], [9.0]], requires_grad=True)
    target = torch.tensor([0.0, 10.0])
    optimizer = torch.optim.SGD([prediction], lr=0.4)
    for _ in range(40):
        optimizer.zero_grad()
        ((prediction - target) ** 2).mean().backward()
        optimizer.step()
    return {"predictions": prediction}


@claim(
    "A softmax before `F.cross_entropy` does no harm.",
    number="loss of a sure and right prediction: {logits} from logits, {twice} after a softmax",
    holds=lambda logits, twice: abs(twice - logits) < 0.1,
    truth="`cross_entropy` takes logits and applies the softmax itself. Twice, the best loss "
    "for 2 classes is 0.3133 and the gradient fades: it trains, slowly, to something worse.",
)
def softmax_before_cross_entropy_is_fine():
    logits, target = torch.tensor([[20.0, 0.0]]), torch.tensor([0])
    twice = F.cross_entropy(logits.softmax(1), target)
    return {"logits": F.cross_entropy(logits, target), "twice": twice}


@claim(
    "`F.nll_loss` takes probabilities.",
    number="loss of a sure and right prediction: {probabilities} from them, {logs} from their logs",
    only_if="they are log-probabilities",
    holds=lambda logs: abs(logs) < 1e-3,
    elsewhere=lambda probabilities: abs(probabilities) < 1e-3,
    truth="It picks the target's number and turns its sign: for probabilities the loss is "
    "between -1 and 0. Give it `log_softmax`, or use `cross_entropy` on logits.",
)
def nll_takes_probabilities():
    logits, target = torch.tensor([[20.0, 0.0]]), torch.tensor([0])
    probabilities = F.nll_loss(logits.softmax(1), target)
    logs = F.nll_loss(logits.log_softmax(1), target)
    return {"probabilities": probabilities, "logs": logs}


@claim(
    "`binary_cross_entropy_with_logits` can be given the output of a sigmoid.",
    number="loss for target 0 and logit -20: {logits}, after a sigmoid {twice}",
    holds=lambda logits, twice: abs(twice - logits) < 0.1,
    truth="It applies the sigmoid itself. After another one no value is below 0, which stands "
    "for a half: a negative can never be predicted better than by chance.",
)
def bce_with_logits_takes_a_sigmoid():
    logit, target = torch.tensor([-20.0]), torch.tensor([0.0])
    logits = F.binary_cross_entropy_with_logits(logit, target)
    twice = F.binary_cross_entropy_with_logits(logit.sigmoid(), target)
    return {"logits": logits, "twice": twice}


@claim(
    '`reduction="sum"` and `"mean"` differ by a factor, in the gradient too.',
    number="8 samples: gradient {mean} by the mean, {summed} by the sum",
    holds=lambda mean, summed: abs(summed - 8 * mean) < 1e-4,
    truth="With a sum the step grows with the batch: a rate that was right for 32 samples is "
    "twice too large for 64.",
)
def a_sum_scales_the_gradient():
    w = torch.ones(1, requires_grad=True)
    prediction, target = w * torch.ones(8), torch.zeros(8)
    (mean,) = torch.autograd.grad(F.mse_loss(prediction, target), w, retain_graph=True)
    (summed,) = torch.autograd.grad(F.mse_loss(prediction, target, reduction="sum"), w)
    return {"mean": mean.item(), "summed": summed.item()}


@claim(
    "A batch whose targets are all ignored has a loss of 0.",
    number="loss {loss} when all are -100, {part} when half are",
    holds=lambda loss: loss == 0,
    truth="The mean is over the targets that count; over none of them it is NaN, and one such "
    "batch spoils every weight. Skip it, or sum and divide by at least 1.",
)
def an_ignored_batch_costs_nothing():
    logits = torch.zeros(2, 3)
    loss = F.cross_entropy(logits, torch.tensor([-100, -100]))
    part = F.cross_entropy(logits, torch.tensor([0, -100]))
    return {"loss": loss, "part": part}


@claim(
    "`F.cross_entropy` on an output with one class trains it.",
    number="loss {loss}, gradient {gradient}",
    holds=lambda gradient: gradient != [[0]],
    truth="The softmax over one number is 1 whatever the number. For one output use "
    "`binary_cross_entropy_with_logits`.",
)
def cross_entropy_trains_one_class():
    logits = torch.tensor([[0.3]], requires_grad=True)
    loss = F.cross_entropy(logits, torch.tensor([0]))
    loss.backward()
    return {"loss": loss.item(), "gradient": logits.grad}


@claim(
    "The gradient of `sqrt` at 0 is finite.",
    number="gradient of sqrt(x) at 0: {root}; of `norm()` at 0: {norm}",
    only_if="it is inside `norm()`, which takes 0 there",
    holds=lambda norm: norm == [0],
    elsewhere=lambda root: root != [float("inf")],
    truth="It is infinite, and times a 0 it is NaN: `torch.where` does not help, as the "
    "branch not taken is multiplied by 0. Add a small number under the root.",
)
def the_gradient_of_a_root_is_finite():
    x, y = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    x.sqrt().sum().backward()
    y.norm().backward()
    return {"root": x.grad, "norm": y.grad}
