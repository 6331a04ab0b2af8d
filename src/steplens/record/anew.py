"""Anew: the step that an optimizer would make of a gradient with other state than it has."""

import copy
from typing import Any

import torch
from torch.optim import Optimizer

MOST = 64  # parameters measured


def update(
    optimizer: Any, tensor: torch.Tensor, told: int, mask: torch.Tensor | None = None
) -> torch.Tensor | None:
    """The update that the same optimizer would make of this gradient with fresh state, by making it
    on a copy; given a mask, with the state that it has, in which the moments of these elements are
    zero: what an author does who clears them.

    None for optimizers that are not torch's own, whose step may have effects we do not know, and
    once ``MOST`` of them have been measured.
    """
    if told >= MOST or tensor.grad is None:
        return None
    if not type(optimizer).__module__.startswith("torch.optim"):
        return None
    for group in optimizer.param_groups:
        if any(held is tensor for held in group["params"]):
            twin = tensor.detach().clone().requires_grad_()
            twin.grad = tensor.grad.detach().clone()
            options = {key: copy.copy(value) for key, value in group.items() if key != "params"}
            fresh: Optimizer = type(optimizer)([twin], **_accepted(optimizer, options))
            if mask is not None:
                fresh.state[twin] = _cleared(optimizer.state.get(tensor, {}), mask)
            with torch.enable_grad():
                fresh.step()
            return (twin - tensor).detach()
    return None


def _cleared(state: dict[str, Any], mask: torch.Tensor) -> dict[str, Any]:
    return {
        key: (
            torch.where(mask, 0, value)
            if value.shape == mask.shape and mask.dim()
            else value.clone()
        )
        if isinstance(value, torch.Tensor)
        else copy.copy(value)
        for key, value in state.items()
    }


def _accepted(optimizer: Any, options: dict[str, Any]) -> dict[str, Any]:
    code = type(optimizer).__init__.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {key: value for key, value in options.items() if key in names}
