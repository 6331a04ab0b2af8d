"""Rounded: elements of 16-bit matrices that stand still through many steps, with gradients."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Standing
from steplens.model.newest import Newest
from steplens.record.account import Account
from steplens.record.norms import HALVES, dense

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

KNOWN = 64  # optimizers
TENSORS = 8  # of each
ELEMENTS = 512  # of each of these, evenly spaced
LOOKS = 4  # at which an element must be as it was, before and after the step
STEPS = 64  # between the first of them and the last
ENOUGH = 64  # elements that had a gradient at each look
MOST = 64  # looks at one optimizer
FAINT = 0.01  # of the root of the mean square of a tensor's gradient: what is less may well be lost
SMALL = 0.1  # of the largest rate: what stands still below is not counted


class Sample:
    """Elements as they were at the first look; whether each has had a gradient at all looks that is
    no mere trace, and has been the same."""

    __slots__ = ("accounts", "places", "values", "driven", "same", "step", "top", "looks")

    def __init__(self, accounts: list[Account], step: int, top: float) -> None:
        self.accounts = accounts
        tensors = [tensor for account in accounts if (tensor := account.ref()) is not None]
        self.places = [max(1, tensor.numel() // ELEMENTS) for tensor in tensors]
        self.values = [
            tensor.detach().reshape(-1)[::stride].clone()
            for tensor, stride in zip(tensors, self.places, strict=True)
        ]
        self.driven = [torch.ones_like(each, dtype=torch.bool) for each in self.values]
        self.same = [torch.ones_like(each, dtype=torch.bool) for each in self.values]
        self.step = step
        self.top = top  # the largest rate until then
        self.looks = 0


class Rounding:
    """Follows torch's own optimizers only, which step the very tensors they hold: another one may
    keep what is rounded away, or copies in 32 bits, and write these back. While the rate rises to
    what it has never been, as in a warm-up, all begins anew."""

    def __init__(self) -> None:
        self.samples = Newest[int, Sample | None](KNOWN)  # None: nothing more to look for

    def before(self, recorder: "Recorder", optimizer: Any, pending: Any) -> Sample | None:
        """A step is about to be made: told to ``after`` is what it finds."""
        number = pending.number
        if not recorder.cadence.looking or pending.closure:
            return None
        if number in self.samples and self.samples[number] is None:
            return None
        found: Sample | None = recorder.values.guarded(
            lambda: self._before(recorder, optimizer, number, pending.accounts)
        )
        return found

    def _before(
        self, recorder: "Recorder", optimizer: Any, number: int, accounts: Sequence[Account]
    ) -> Sample | None:
        sample = self.samples.get(number)
        rates = _rates(optimizer)
        top = max(rates.values(), default=0.0)
        if sample is None or top > 1.001 * sample.top:
            chosen = _chosen(optimizer, accounts, rates, top)
            if chosen is not None:
                step = recorder.steps.count.get(number, 0)
                sample = Sample(chosen, step, top) if chosen else None
                self.samples[number] = sample
        if sample is None or top < SMALL * sample.top:
            return None
        if not _compare(sample, gradients=True):
            self.samples[number] = sample = None
        return sample

    def after(self, recorder: "Recorder", pending: Any) -> Standing | None:
        """The step has been made."""
        sample = pending.rounding
        if sample is None or pending.inner:
            return None
        told: Standing | None = recorder.values.guarded(
            lambda: self._after(recorder, pending.number, sample)
        )
        return told

    def _after(self, recorder: "Recorder", number: int, sample: Sample) -> Standing | None:
        if not _compare(sample, gradients=False):
            self.samples[number] = None
            return None
        sample.looks += 1
        steps = recorder.steps.count.get(number, 0) - sample.step
        cadence = recorder.cadence
        if sample.looks < LOOKS or steps < STEPS:
            if sample.looks >= LOOKS - 1:
                cadence.ask(cadence.step + max(1, STEPS - steps))
            return None
        cadence.answered()
        driven, same = torch.cat(sample.driven), torch.cat(sample.same)
        counts: list[int] = torch.stack([driven.sum(), (driven & same).sum()]).tolist()
        elements, still = counts
        if elements < ENOUGH or 2 * still < elements or sample.looks >= MOST:
            self.samples[number] = None
        elif still < elements:  # else a step without any effect: told as such
            self.samples[number] = None
            kinds = {str(each.dtype).removeprefix("torch.") for each in sample.values}
            tensors = tuple([account.number for account in sample.accounts])
            return Standing(
                elements, still, steps, sample.looks, " and ".join(sorted(kinds)), tensors
            )
        return None


def _rates(optimizer: Any) -> dict[int, float]:
    """The rates by group, of those that are numbers here."""
    found = dict[int, float]()
    for place, group in enumerate(optimizer.param_groups):
        rate = group.get("lr")
        if isinstance(rate, torch.Tensor) and rate.device.type != "cpu":
            continue
        found[place] = float(rate or 0.0)
    return found


def _chosen(
    optimizer: Any, accounts: Sequence[Account], rates: dict[int, float], top: float
) -> list[Account] | None:
    """Some of the 16-bit matrices that move at a rate not far from the largest; None while they
    have no gradients yet."""
    if not type(optimizer).__module__.startswith("torch.optim") or top <= 0:
        return [] if top > 0 else None
    moving = {
        id(tensor)
        for place, group in enumerate(optimizer.param_groups)
        if rates.get(place, 0.0) >= SMALL * top
        for tensor in group["params"]
    }
    narrow = [
        account
        for account in accounts
        if (tensor := account.ref()) is not None
        and id(tensor) in moving
        and tensor.dim() > 1
        and tensor.dtype in HALVES
        and dense(tensor)
    ]
    if not narrow:
        return []
    driven = [a for a in narrow if (t := a.ref()) is not None and t.grad is not None]
    if len(driven) > TENSORS:
        driven = [driven[i * len(driven) // TENSORS] for i in range(TENSORS)]
    return driven or None


def _compare(sample: Sample, gradients: bool) -> bool:
    """See which elements are as they were and, before a step, which have a gradient; False where a
    tensor is gone, or is another one now."""
    for place, account in enumerate(sample.accounts):
        tensor, values, stride = account.ref(), sample.values[place], sample.places[place]
        if tensor is None or tensor.dtype != values.dtype or tensor.device != values.device:
            return False
        now = tensor.detach().reshape(-1)[::stride]
        if now.shape != values.shape:
            return False
        sample.same[place] &= now == values
        if gradients:
            slope = tensor.grad
            if slope is None or slope.shape != tensor.shape or not dense(slope):
                sample.driven[place].zero_()
                continue
            slope = slope.reshape(-1)[::stride].float()
            sample.driven[place] &= (slope != 0) & (
                slope.abs() >= FAINT * slope.square().mean() ** 0.5
            )
    return True
