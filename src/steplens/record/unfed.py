"""Unfed: averages of weights that are asked as they were made, while the model that was to go into
them is trained."""

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import nn
from torch.optim import swa_utils

from steplens.model.event import Behind
from steplens.model.site import Site
from steplens.record import members
from steplens.record.norms import PLAIN
from steplens.record.settings import ran
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

STEPS = 16  # made since the average was, before it counts as asked too early
MOST = 16  # averages remembered
TENSORS, ELEMENTS = 8, 64  # read of each
FEED = "update_parameters"


class Fresh:
    """An average as it was made, of which model, and where it was last asked."""

    __slots__ = ("average", "source", "versions", "then", "now", "begun", "made", "asked")

    def __init__(self, average: nn.Module, source: nn.Module, begun: int, made: Site | None):
        self.average = weakref.ref(average)
        self.source = weakref.ref(source)
        self.versions = _versions(average)
        self.then = _sample(average)
        self.now: tuple[list[torch.Tensor], list[torch.Tensor]] | None = None
        self.begun = begun
        self.made = made
        self.asked: Behind | None = None


class Unfed:
    """The averages of `torch.optim.swa_utils` that nothing has gone into since they were made."""

    def __init__(self) -> None:
        self.fresh: list[Fresh] = []

    def install(self, recorder: "Recorder") -> Callable[[], None]:
        """Hear where an ``AveragedModel`` is made."""

        def before(average: Any, model: Any, *_: Any, **__: Any) -> Any:
            return average, model

        def after(token: Any, _: Any) -> None:
            average, model = token
            if len(self.fresh) < MOST and isinstance(model, nn.Module):
                with recorder.quiet():
                    known = Fresh(average, model, recorder.step, recorder.site())
                if known.then:
                    self.fresh.append(known)

        owner = swa_utils.AveragedModel
        return around(recorder, "averages", owner, "__init__", before, after, calm=True)

    def look(self, recorder: "Recorder", module: nn.Module) -> None:
        """A model was asked for no gradients, perhaps an average that is still as it was made."""
        for known in self.fresh:
            if known.average() is not module:
                continue
            source = known.source()
            if source is None or known.versions != _versions(module):
                self.fresh.remove(known)  # something has gone into it
            elif recorder.step - known.begun >= STEPS and not recorder.forwards.purpose:
                with recorder.quiet():
                    known.now = _sample(module), _sample(source)
                at = recorder.index(), recorder.step, recorder.site()
                number = recorder.census.module(module)
                steps = recorder.step - known.begun
                known.asked = Behind(*at, number, (), steps, known.made, unfed=True)
            return

    def end(self, recorder: "Recorder") -> None:
        """The run is over: tell of those that nothing has gone into to the end."""
        for known in self.fresh:
            average = known.average()
            if known.asked is None or known.now is None:
                continue
            if average is not None and known.versions != _versions(average):
                continue
            held, trained = known.now
            same = _same(known.then, held) and len(held) == len(trained)
            if not same or any(map(torch.equal, held, trained)):
                continue  # written through `.data`, or the model has not moved in all that is read
            fed = any(FEED in code.co_names for code in ran(recorder.places))
            event = msgspec.structs.replace(known.asked, index=recorder.index(), named=fed)
            recorder.emit(event)


def _parameters(module: nn.Module) -> Iterator[torch.Tensor]:
    for tensor in members.parameters(module):
        if type(tensor) in PLAIN and tensor.numel() and not tensor.is_inference():
            yield tensor


def _versions(average: nn.Module) -> list[int]:
    """The write counters of an average's parameters, and of its count of models."""
    count = average._buffers.get("n_averaged")
    return [t._version for t in (*_parameters(average), *((count,) if count is not None else ()))]


def _sample(module: nn.Module) -> list[torch.Tensor]:
    """Some elements of the first parameters."""
    held = [tensor for tensor, _ in zip(_parameters(module), range(TENSORS), strict=False)]
    return [tensor.detach().reshape(-1)[:ELEMENTS].clone() for tensor in held]


def _same(ones: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return len(ones) == len(others) and all(
        one.device == other.device and torch.equal(one, other)
        for one, other in zip(ones, others, strict=True)
    )
