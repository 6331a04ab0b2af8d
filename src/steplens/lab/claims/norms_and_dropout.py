"""Batch norm and dropout, by the numbers."""

import torch
from torch import nn

from steplens.lab.base import claim
from steplens.lab.helpers import raised


@claim(
    "Dropout scales what it keeps, so that the mean stays about the same.",
    number="p=0.75: ones become {values}, their mean {mean}",
    holds=lambda values, mean: values == [0, 4] and abs(mean - 1) < 0.2,
    truth="What is kept is multiplied by 1 / (1 - p) in train mode, so that nothing needs "
    "scaling in eval mode.",
)
def dropout_scales_what_it_keeps():
    y = nn.Dropout(0.75)(torch.ones(10000))
    return {"values": y.unique(), "mean": y.mean()}


@claim(
    "`momentum=0.1` in BatchNorm keeps a tenth of the old running mean.",
    number="running mean 0 -> {after} by a batch with mean 10",
    holds=lambda after: abs(after - 9.0) < 1e-4,
    truth="It is the other way round than in optimizers: the new batch counts a tenth, the "
    "old mean nine tenths.",
)
def norm_momentum_weighs_the_old():
    norm = nn.BatchNorm1d(1, momentum=0.1)
    norm(torch.tensor([[8.0], [12.0]]))
    return {"after": norm.running_mean.item()}


@claim(
    "BatchNorm normalises by the same variance that it keeps.",
    number="a batch of 8 and 12: divided by the root of {used}, kept {kept}",
    holds=lambda used, kept: abs(used - kept) < 1e-3,
    truth="It divides by the biased variance (over N) and keeps the unbiased one (over N - "
    "1). For small batches train and eval mode differ for that reason alone.",
)
def norm_keeps_the_variance_it_uses():
    norm = nn.BatchNorm1d(1, momentum=1.0, eps=1e-9)
    y = norm(torch.tensor([[8.0], [12.0]]))
    return {"used": (2.0 / y[1, 0].item()) ** 2, "kept": norm.running_var.item()}


@claim(
    "BatchNorm accepts a batch of one sample.",
    number="one sample: {train} in train mode, {evaluation} in eval mode",
    only_if="it is in eval mode, or each channel has more than one value",
    holds=lambda evaluation: evaluation == "no error",
    elsewhere=lambda train: train == "no error",
    truth="One value has no variance. A last batch of one sample ends an epoch with this "
    "error: `drop_last=True` in the loader avoids it.",
)
def norm_accepts_one_sample():
    norm, x = nn.BatchNorm1d(2), torch.ones(1, 2)
    train = raised(lambda: norm.train()(x))
    evaluation = raised(lambda: norm.eval()(x))
    return {"train": train, "evaluation": evaluation}


@claim(
    "A norm with `requires_grad=False` keeps its running statistics moving.",
    number="running mean 0 -> {mean} in a frozen norm in train mode",
    holds=lambda mean: mean != [0],
    truth="Running statistics are buffers: they are written by the forward, not by gradients. "
    "To freeze a norm takes `requires_grad_(False)` and `eval()`.",
)
def requires_grad_keeps_statistics_moving():
    norm = nn.BatchNorm1d(1).requires_grad_(False)
    norm(torch.tensor([[8.0], [12.0]]))
    return {"mean": norm.running_mean}


@claim(
    "In train mode BatchNorm lets one sample's output depend on the others.",
    number="output of the same sample: {one} beside 1, {other} beside 9; in eval mode {apart} "
    "apart",
    holds=lambda one, other, apart: one != other and apart == 0,
    truth="The statistics are those of the batch. In eval mode each sample is on its own, as "
    "it is in `LayerNorm` and `GroupNorm` always.",
)
def norm_mixes_the_batch():
    norm, batches = nn.BatchNorm1d(1), ([[3.0], [1.0]], [[3.0], [9.0]])
    one, other = (norm(torch.tensor(batch))[0].item() for batch in batches)
    norm.eval()
    left, right = (norm(torch.tensor(batch))[0].item() for batch in batches)
    return {"one": one, "other": other, "apart": abs(left - right)}


@claim(
    "`LayerNorm` computes the same in train and in eval mode.",
    number="largest difference {difference}",
    holds=lambda difference: difference == 0,
    truth="It keeps no statistics: it normalises each sample by its own. The mode does not "
    "matter to it, so a model with layer norms and no dropout is the same in both.",
)
def layer_norm_ignores_the_mode():
    norm, x = nn.LayerNorm(8), torch.randn(4, 8)
    difference = norm.train()(x) - norm.eval()(x)
    return {"difference": difference.abs().max()}
