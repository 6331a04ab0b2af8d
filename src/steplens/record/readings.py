"""Readings: one step's values on their way, and what an optimizer's last ones were."""

from typing import Any

import torch

from steplens.model.event import Origin, Twins
from steplens.record.account import Account
from steplens.record.norms import Vector, readable
from steplens.record.origin import Suspect
from steplens.record.units import Alive


class Reading:
    """One step's values on their way."""

    __slots__ = (
        "number", "accounts", "tensors", "full", "before", "vector", "suspects", "loss", "twins",
        "living", "sized", "most", "of", "step", "site", "copies", "all", "closure", "pending",
    )  # fmt: skip

    def __init__(self, number: int, full: bool) -> None:
        self.number = number
        self.full = full
        self.accounts: list[Account] = []  # those with a gradient
        self.all: list[Account] = []
        self.closure = False
        self.copies: list[tuple[int, torch.Tensor, torch.Tensor]] = []
        self.most = 0  # elements copied of each tensor
        self.sized: list[int] = []  # tensors whose weight and update norms were taken
        self.vector = Vector()
        self.suspects: list[Suspect] = []
        self.pending: Origin | None = None  # what made the loss of this step not finite
        self.loss: float | None = None
        self.twins: tuple[Twins, ...] = ()
        self.living: list[tuple[int, Alive]] = []
        self.of = -1
        self.step = 0
        self.site: Any = None


class Latest:
    """What a thread's newest backward left for the step after it."""

    __slots__ = ("loss", "tensor", "step", "pending", "suspects", "due")

    def __init__(self) -> None:
        self.loss: float | None = None
        self.tensor: torch.Tensor | None = None  # the loss where reading it would wait
        self.step = -1  # step at which a finite loss was last seen
        self.pending: Origin | None = None  # of a loss that is not finite, until a step uses it
        self.suspects: list[Suspect] = []
        self.due = 0  # steps that are to be looked at out of turn


def latest(name: str) -> Any:
    def get(queue: Any) -> Any:
        return getattr(queue.newest(), name)

    def put(queue: Any, value: Any) -> None:
        setattr(queue.newest(), name, value)

    return property(get, put, doc=f"``{name}`` of this thread's newest backward.")


class Finite:
    """When an optimizer's gradients were last seen finite, and their norm then."""

    __slots__ = ("step", "norm", "looks", "told", "noted")

    def __init__(self) -> None:
        self.step = -1
        self.norm: float | None = None
        self.looks = 0
        self.told = False  # that parameters are not finite
        self.noted = False  # that a loss or a gradient was not


def spoiled(accounts: list[Account]) -> list[int]:
    """The tensors among these that hold a value that is not finite. Waits for the device."""
    return [
        account.number
        for account in accounts
        if (tensor := account.ref()) is not None and readable(tensor) and not is_finite(tensor)
    ]


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether every value of a tensor is finite. Waits for the device."""
    plain = tensor.detach()
    if plain.layout == torch.sparse_coo:
        plain = plain._values()
    return bool(plain.isfinite().all())
