"""What a module counts as its own: parameters, buffers, layers, and what it passes over."""

import copy

import torch
from torch import nn, optim

from steplens.lab.base import claim


@claim(
    "Layers in a plain Python list are part of the model.",
    number="parameters: {listed} from a list, {modules} from a `ModuleList`",
    only_if="the list is an `nn.ModuleList`",
    holds=lambda modules: modules == 4,
    elsewhere=lambda listed: listed == 4,
    truth="A module registers modules and parameters set as its attributes, and does not look "
    "into lists or dictionaries. What is not registered is not trained, saved or moved.",
)
def layers_in_a_list_are_registered():
    model = nn.Module()
    layers = [nn.Linear(2, 2), nn.Linear(2, 1)]
    model.layers = layers
    listed = len(list(model.parameters()))
    model.layers = nn.ModuleList(layers)
    return {"listed": listed, "modules": len(list(model.parameters()))}


@claim(
    "A tensor set as an attribute is saved with the model.",
    number="in the `state_dict`: {names}",
    only_if="it is registered with `register_buffer`",
    holds=lambda names: "buffer" in names,
    elsewhere=lambda names: "plain" in names,
    truth="Plain tensors stay outside: not saved, not moved by `.to()`. Register running "
    "values as buffers.",
)
def a_tensor_attribute_is_saved():
    model = nn.Module()
    model.plain = torch.zeros(1)
    model.register_buffer("buffer", torch.zeros(1))
    model.register_buffer("passing", torch.zeros(1), persistent=False)
    return {"names": list(model.state_dict())}


@claim(
    "Buffers are trained with the parameters.",
    number="parameters {parameters}; in the `state_dict` besides {buffers}",
    holds=lambda parameters, buffers: set(buffers) <= set(parameters),
    truth="Buffers are saved and moved with the model, but are in no `parameters()`: no "
    "optimizer holds them. An average over weights has to take them along by hand.",
)
def buffers_are_trained():
    norm = nn.BatchNorm1d(2)
    parameters = [name for name, _ in norm.named_parameters()]
    buffers = [name for name in norm.state_dict() if name not in parameters]
    return {"parameters": parameters, "buffers": buffers}


@claim(
    "`model.to(...)` carries a plain tensor attribute along.",
    number="after `.to(float64)`: buffer {buffer}, plain attribute {plain}",
    only_if="it is a registered buffer",
    holds=lambda buffer: buffer == "torch.float64",
    elsewhere=lambda plain: plain == "torch.float64",
    truth="It is shown here by dtype; it is the same for devices. The plain one stays on the "
    "CPU and the forward fails on the GPU.",
)
def to_carries_attributes_along():
    model = nn.Module()
    model.plain = torch.zeros(1)
    model.register_buffer("buffer", torch.zeros(1))
    model.to(torch.float64)
    return {"buffer": str(model.buffer.dtype), "plain": str(model.plain.dtype)}


@claim(
    "`model.to(dtype)` after the optimizer was made leaves the optimizer with old parameters.",
    number="same parameter object: {same}; weight {before} -> {after} by a step afterwards",
    holds=lambda same, before, after: not same and before == after,
    truth="`to()` puts new values into the same parameters, so the optimizer stays right. The "
    "order matters for wrappers that replace parameters, such as FSDP.",
)
def conversion_breaks_the_optimizer():
    model = nn.Linear(1, 1)
    weight, optimizer = model.weight, optim.SGD(model.parameters(), lr=0.1)
    model.to(torch.float64)
    before = model.weight.item()
    model(torch.ones(1, 1, dtype=torch.float64)).sum().backward()
    optimizer.step()
    return {"same": model.weight is weight, "before": before, "after": model.weight.item()}


@claim(
    "Tied weights count twice among the parameters.",
    number="two layers with one weight: `parameters()` gives {parameters}, the `state_dict` "
    "{saved}",
    holds=lambda parameters: parameters == 2,
    truth="`parameters()` gives each tensor once, the `state_dict` each name: two entries of "
    "one storage. The optimizer moves it once, by the sum of both gradients.",
)
def tied_weights_count_twice():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    return {"parameters": len(list(model.parameters())), "saved": len(model.state_dict())}


@claim(
    "`copy.deepcopy(model)` copies the gradients too.",
    number="gradient of the model {model}, of the copy {copied}",
    holds=lambda copied: copied is not None,
    truth="A parameter is copied with its values and without its `.grad`. The copy shares "
    "nothing with the model, and the optimizer does not hold it.",
)
def deepcopy_copies_gradients():
    model = nn.Linear(1, 1)
    model(torch.ones(1, 1)).sum().backward()
    copied = copy.deepcopy(model)
    return {"model": model.weight.grad, "copied": copied.weight.grad}


@claim(
    "`model.forward(x)` does the same as `model(x)`.",
    number="forward hooks run: {call} by `model(x)`, {forward} by `model.forward(x)`",
    only_if="the model has no hooks",
    holds=lambda same: same,
    elsewhere=lambda call, forward: call == forward,
    truth="The numbers are the same; hooks run only for the call. Wrappers, pruning, weight "
    "norms and watchers rest on hooks.",
)
def forward_is_the_same_as_the_call():
    model, x, heard = nn.Linear(2, 1), torch.ones(1, 2), []
    same = torch.equal(model(x), model.forward(x))
    model.register_forward_hook(lambda *_: heard.append(1))
    model(x)
    call = len(heard)
    model.forward(x)
    return {"same": same, "call": call, "forward": len(heard) - call}
