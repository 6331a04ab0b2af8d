"""Mixed precision and narrow numbers: what is rounded, skipped, or lost."""

import torch
import torch.nn.functional as F
from torch import nn, optim

from steplens.lab.base import claim


@claim(
    "`torch.autocast` converts the model's parameters.",
    number="output {output}, weight {weight}, its gradient {gradient}",
    holds=lambda weight: weight == "torch.bfloat16",
    truth="Operations convert their inputs for the moment. Parameters, gradients and "
    "optimizer state stay in float32; that is why small updates are not lost.",
)
def autocast_converts_the_parameters():
    layer = nn.Linear(2, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(torch.ones(1, 2))
    output.sum().backward()
    found = {"output": output, "weight": layer.weight, "gradient": layer.weight.grad}
    return {name: str(tensor.dtype) for name, tensor in found.items()}


@claim(
    "Under `autocast` everything runs in the narrow type.",
    number="linear {linear}, mse_loss {loss}",
    holds=lambda linear, loss: linear == loss == "torch.bfloat16",
    truth="Matrix products run narrow; losses and other sums that need the digits run in "
    "float32. The lists are in torch's documentation of autocast, one for each kind of device.",
)
def autocast_narrows_everything():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        linear = nn.Linear(2, 1)(torch.ones(1, 2))
        loss = F.mse_loss(linear, torch.ones(1, 1))
    return {"linear": str(linear.dtype), "loss": str(loss.dtype)}


@claim(
    "A weight in bfloat16 takes every update.",
    number="1 + 0.001 is {bfloat16} in bfloat16, {float32} in float32",
    only_if="the update is more than about 1/256 of the weight",
    holds=lambda large: large != 1,
    elsewhere=lambda bfloat16: bfloat16 != 1,
    truth="bfloat16 has 8 binary digits: what is smaller is rounded away, and the weight "
    "stands still at a finite gradient. Keep a float32 copy, as autocast does.",
)
def bfloat16_takes_every_update():
    after = []
    for dtype, lr in ((torch.bfloat16, 0.001), (torch.float32, 0.001), (torch.bfloat16, 0.01)):
        w = nn.Parameter(torch.ones(1, dtype=dtype))
        w.grad = -torch.ones(1, dtype=dtype)
        optim.SGD([w], lr=lr).step()
        after.append(w.item())
    return {"bfloat16": after[0], "float32": after[1], "large": after[2]}


@claim(
    "float16 holds the same range as float32.",
    number="70000 in float16 is {large}, 1e-8 is {small}; in bfloat16 {wide} and {fine}",
    holds=lambda large, small: large < float("inf") and small > 0,
    truth="float16 ends at 65504 and loses what is under 6e-8: hence the loss scaling. "
    "bfloat16 has float32's range, with 3 decimal digits, and needs none.",
)
def float16_has_the_range_of_float32():
    values = torch.tensor([70000.0, 1e-8])
    half, brain = values.half().tolist(), values.bfloat16().tolist()
    return {"large": half[0], "small": half[1], "wide": brain[0], "fine": brain[1]}


@claim(
    "`GradScaler` skips the step when a gradient is not finite.",
    number="weight {before} -> {after}, scale {scale} -> {next_scale}",
    holds=lambda before, after, scale, next_scale: before == after and next_scale == scale / 2,
    truth="It looks at the gradients, leaves the step out and halves its scale. The first "
    "steps of a run often go that way; a scheduler stepped all the same runs ahead.",
)
def a_scaler_skips_infinite_steps():
    w, scaler = nn.Parameter(torch.ones(1)), torch.amp.GradScaler("cpu")
    optimizer, scale = optim.SGD([w], lr=0.1), scaler.get_scale()
    before = w.item()
    scaler.scale((w * torch.inf).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    return {"before": before, "after": w.item(), "scale": scale, "next_scale": scaler.get_scale()}


@claim(
    "With a `GradScaler`, gradients can be clipped right after `backward()`.",
    number="norm after backward {scaled}, after `unscale_` {unscaled}",
    only_if="`scaler.unscale_(optimizer)` was called before",
    holds=lambda unscaled: abs(unscaled - 1) < 1e-3,
    elsewhere=lambda scaled: abs(scaled - 1) < 1e-3,
    truth="Until then the gradients are as many times too large as the scale says (65536 at "
    "first): a norm clipped to 1 leaves next to nothing.",
)
def scaled_gradients_can_be_clipped():
    w, scaler = nn.Parameter(torch.ones(1)), torch.amp.GradScaler("cpu")
    optimizer = optim.SGD([w], lr=0.1)
    scaler.scale(w.sum()).backward()
    scaled = w.grad.norm().item()
    scaler.unscale_(optimizer)
    return {"scaled": scaled, "unscaled": w.grad.norm().item()}


@claim(
    "A float32 counter counts every sample.",
    number="plus 1: {before} -> {below}, and {limit} -> {above}",
    only_if="it stays below 2**24",
    holds=lambda before, below: below == before + 1,
    elsewhere=lambda limit, above: above == limit + 1,
    truth="float32 has 24 binary digits: from 16777216 on the next whole number is missing, "
    "and a count or a sum of ones stands still. Count in integers, sum metrics in float64.",
)
def float32_counts_every_sample():
    limit = torch.tensor(2.0**24)
    before = limit - 1
    return {"before": before, "below": before + 1, "limit": limit, "above": limit + 1}
