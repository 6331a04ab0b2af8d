"""`.data`, `.detach()`, `.clone()`, `.numpy()`: what is shared, and what autograd sees."""

import torch

from steplens.lab.base import claim
from steplens.lab.helpers import nodes, raised


@claim(
    "`x.detach()` is a copy.",
    number="x after writing 9 into it {by_detach}, into `x.detach().clone()` {by_clone}",
    only_if="`.clone()` follows",
    holds=lambda by_clone: by_clone == [1, 1],
    elsewhere=lambda by_detach: by_detach == [1, 1],
    truth="It is another view of the same storage, cut off from the graph. A write into it is "
    "a write into `x`.",
)
def detach_is_a_copy():
    x = torch.ones(2)
    x.detach().clone()[0] = 9
    by_clone = x.tolist()
    x.detach()[0] = 9
    return {"by_clone": by_clone, "by_detach": x}


@claim(
    "`x.clone()` stops the gradient.",
    number="gradient of w through a clone {clone}; `backward()` through `detach()`: {detach}",
    holds=lambda clone: clone is None,
    truth="A clone has new storage and stays in the graph; `detach()` is the other way round. "
    "A copy for keeping is `x.detach().clone()`.",
)
def clone_stops_the_gradient():
    w = torch.ones(1, requires_grad=True)
    (w.clone() * 3).sum().backward()
    return {"clone": w.grad, "detach": raised((w.detach() * 3).sum().backward)}


@claim(
    "A write through `.data` between forward and backward is noticed.",
    number="gradient of w*w at 1 is 2; after w becomes 5, `.data`: {data}; `detach()`: {detach}",
    only_if="it goes through `detach()`",
    holds=lambda detach: detach.startswith("RuntimeError"),
    elsewhere=lambda data: data != [10],
    truth="A write through `.data` moves no counter, so the backward pass uses the new value: "
    "a wrong gradient, and no error. Use `detach()`, or `no_grad` and an in-place write.",
)
def data_writes_are_noticed():
    found = {}
    for way in ("data", "detach"):
        w = torch.ones(1, requires_grad=True)
        loss = (w * w).sum()
        (w.data if way == "data" else w.detach()).fill_(5)
        error = raised(loss.backward)
        found[way] = w.grad.tolist() if error == "no error" else error
    return found


@claim(
    "`loss.item()` keeps no graph.",
    number="graph nodes behind the sum of 3 losses: {tensors} as tensors, {items} by `item()`",
    holds=lambda tensors, items: items == 0 < tensors,
    truth="`item()` gives a Python number, `detach()` a tensor without graph. A sum of the "
    "losses themselves holds every graph that made them.",
)
def item_keeps_no_graph():
    w = torch.ones(1, requires_grad=True)
    losses = [(w * n).sum() for n in range(3)]
    items = torch.tensor(sum(loss.item() for loss in losses))
    return {"tensors": nodes(sum(losses)), "items": nodes(items)}


@claim(
    "`tensor.numpy()` is a copy.",
    number="tensor after writing 9 into its array: {after}",
    holds=lambda after: after == [1, 1],
    truth="On the CPU the array and the tensor are one memory, in both directions: "
    "`torch.from_numpy` shares too. `torch.tensor(array)` copies.",
)
def numpy_is_a_copy():
    x = torch.ones(2)
    x.numpy()[0] = 9
    return {"after": x}


@claim(
    "`y = x` followed by `y += 1` leaves x as it was.",
    number="x after `y += 1` {in_place}, after `y = y + 1` {anew}",
    only_if="it is written `y = y + 1`",
    holds=lambda anew: anew == [1, 1],
    elsewhere=lambda in_place: in_place == [1, 1],
    truth="`+=` writes into the tensor, under every name it has: a batch, a buffer, a "
    "dataset's row that came out of indexing. `y = y + 1` makes a new tensor.",
)
def plus_equals_makes_a_new_tensor():
    x = torch.ones(2)
    y = x
    y = y + 1
    anew = x.tolist()
    y = x
    y += 1
    return {"anew": anew, "in_place": x}
