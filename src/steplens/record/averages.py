"""Averages: models of averaged weights that are asked with the running statistics of the last model
that went into them."""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from torch import nn
from torch.optim import swa_utils

from steplens.model.event import Behind
from steplens.model.site import Site
from steplens.record import members
from steplens.record.sensitive import keeps_statistics
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


STATISTICS = ("running_mean", "num_batches_tracked")


class Average:
    """One such model: how often it was averaged, and the write counters of its norms' statistics
    after that."""

    __slots__ = ("count", "versions", "given", "moved", "site")

    def __init__(self) -> None:
        self.count = 0
        self.versions: list[int] = []
        self.given: list[int] = []  # of the model that went into it last
        self.moved = False  # that model's statistics move from one time to the next
        self.site: Site | None = None


class Averages:
    """The averaged models of `torch.optim.swa_utils`, those that average with equal weights and
    leave the buffers out; a moving average goes with the model, and so may its statistics."""

    def __init__(self) -> None:
        self.known: weakref.WeakKeyDictionary[nn.Module, Average] = weakref.WeakKeyDictionary()
        # those asked as they were, by number: they may be gone when the run ends
        self.asked: dict[int, tuple[weakref.ref[nn.Module], Average, Behind]] = {}

    def install(self, recorder: "Recorder") -> Callable[[], None]:
        """Hear ``AveragedModel.update_parameters``."""

        def before(average: Any, model: Any, *_: Any, **__: Any) -> Any:
            weighted = (
                getattr(average, name, True) for name in ("avg_fn", "multi_avg_fn", "use_buffers")
            )
            return None if any(weighted) else (average, model)

        def after(token: Any, _: Any) -> None:
            module, model = token
            average = self.known.setdefault(module, Average())
            given = _versions(model)
            average.moved = average.moved or bool(average.given and given != average.given)
            average.count += 1
            average.versions, average.given = _versions(module), given
            average.site = recorder.site()
            self.asked.pop(recorder.census.module(module), None)

        owner = swa_utils.AveragedModel
        return around(recorder, "averages", owner, "update_parameters", before, after, calm=True)

    def look(self, recorder: "Recorder", module: nn.Module) -> None:
        """A model was asked in eval mode, perhaps an average."""
        average = self.known.get(module)
        if average is None or average.count < 2 or not average.moved:
            return
        number = recorder.census.module(module)
        norms = [each for each in members.modules(module) if keeps_statistics(each)]
        if average.versions != _versions(module):
            self.asked.pop(number, None)
        elif number not in self.asked and not any(norm.training for norm in norms):
            numbers = tuple([recorder.census.module(norm) for norm in norms])
            at = recorder.index(), recorder.step, recorder.site(), number
            event = Behind(*at, numbers, len(norms), average.site, average.count)
            self.asked[number] = weakref.ref(module), average, event

    def updated(self, recorder: "Recorder", module: Any) -> None:
        """`update_bn` runs."""
        if isinstance(module, nn.Module):
            self.asked.pop(recorder.census.module(module), None)

    def end(self, recorder: "Recorder") -> None:
        """The run is over: tell those whose statistics were left alone to the end."""
        for reference, average, event in self.asked.values():
            module = reference()
            if module is None or average.versions == _versions(module):
                recorder.emit(msgspec.structs.replace(event, index=recorder.index()))


def _versions(module: nn.Module) -> list[int]:
    """The write counters of the statistics of a model's norms: of the means, which the norm's own
    kernel writes unseen, and of the batches counted."""
    norms = [each for each in members.modules(module) if keeps_statistics(each)]
    kept = [norm._buffers.get(name) for norm in norms for name in STATISTICS]
    return [each._version for each in kept if each is not None and not each.is_inference()]
