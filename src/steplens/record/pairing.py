"""Probe of losses of pairs, or of distances: whether their labels are 0 and 1 where they know -1
and 1."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Unmatched
from steplens.model.site import Site
from steplens.record.silence import unheard
from steplens.record.wrap import overhear

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

# torch's losses of -1 and 1 that are told nothing of their labels, and the place of these
LOSSES = {"cosine_embedding_loss": 2, "margin_ranking_loss": 2, "hinge_embedding_loss": 1}
MOST = 1_000_000  # labels
KEPT = 64  # lines
TIMES = 2  # batches with both, and with nothing else in any


class Pairing:
    """The batches of each line whose labels were 0 and 1, some of both; below 0 once others were
    seen there."""

    def __init__(self) -> None:
        self.times: dict[Site | None, int] = {}

    def given(self, recorder: "Recorder", name: str, labels: torch.Tensor) -> None:
        """Such a loss was given these."""
        site = recorder.site()
        times = self.times.get(site, 0)
        if not 0 <= times < TIMES or (site not in self.times and len(self.times) >= KEPT):
            return
        with recorder.quiet(), torch.no_grad():
            none, one = labels.detach() == 0, labels.detach() == 1
            count = int(none.sum())
            if not bool((none | one).all()):
                self.times[site] = -1
                return
        self.times[site] = times + (0 < count < labels.numel())
        if self.times[site] == TIMES:
            at = recorder.index(), recorder.step, site
            recorder.emit(Unmatched(*at, name, count, labels.numel()))


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear torch's losses of such labels."""

    def due() -> bool:
        return recorder.cadence.looking and torch.is_grad_enabled()

    def heard(name: str, place: int) -> Callable[..., None]:
        @unheard
        def call(loss: Any, *args: Any, target: Any = None, **_: Any) -> None:
            given = args[place] if len(args) > place else None
            labels = target if target is not None else given
            if not isinstance(labels, torch.Tensor) or labels.is_meta or not loss.requires_grad:
                return
            if 0 < labels.numel() <= MOST:
                recorder.pairing.given(recorder, name, labels)

        return call

    return [
        overhear(recorder, "pairing", torch, name, due, heard(name, place))
        for name, place in LOSSES.items()
    ]
