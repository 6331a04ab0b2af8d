"""Judged: what `cross_entropy` was given where no gradient is recorded, as a validation's loss is,
which no graph tells of: probabilities, where it takes logits."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling
from torch.nn import functional

from steplens.model.event import Vain
from steplens.model.site import Site
from steplens.record.norms import PLAIN
from steplens.record.silence import SILENCE
from steplens.record.wrap import note, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LINES = 16
LOOKS = 4  # calls at each line of which rows are kept
ROWS, CLASSES = 32, 4096  # of each
ENOUGH = 16  # rows in all
NEAR = {torch.float64: 1e-6, torch.float32: 1e-4}  # how far sums lie from 1 by rounding
COARSE = 2e-2


class Judged:
    """Some rows of what each line has given, copied where they lie and read when the run is
    over."""

    def __init__(self) -> None:
        self.kept: dict[Site, list[torch.Tensor]] = {}

    def given(self, recorder: "Recorder", values: Any, target: Any) -> None:
        """``cross_entropy`` was called without recording gradients."""
        if type(values) not in PLAIN or type(target) not in PLAIN or target.is_floating_point():
            return
        if values.dim() < 2 or not values.is_floating_point() or not values.numel():
            return
        site = recorder.site()
        if site is None or recorder.step == 0 or not 2 <= values.shape[1] <= CLASSES:
            return
        rows = self.kept.get(site)
        if rows is None:
            if len(self.kept) >= LINES:
                return
            rows = self.kept[site] = []
        if len(rows) < LOOKS:
            with recorder.quiet(), torch.no_grad():
                rows.append(values.detach().movedim(1, -1).flatten(0, -2)[:ROWS].clone())

    def end(self, recorder: "Recorder") -> None:
        """The run is over: tell the lines that gave probabilities at each call kept."""
        for site, rows in self.kept.items():
            counts = [_probabilities(each) for each in rows]
            if all(counts) and sum(counts) >= ENOUGH:
                classes = rows[0].shape[1]
                at = recorder.index(), recorder.step, site
                recorder.emit(Vain(*at, "squashed", str(sum(counts)), value=float(classes)))


def _probabilities(rows: torch.Tensor) -> int:
    """How many rows these are if each is one of probabilities, from 0 to 1 with a sum of 1, and
    they differ; 0 where one is not, or where all are certain: a baseline's, or labels."""
    table = rows.double()
    near = NEAR.get(rows.dtype, COARSE)
    sums = (table.sum(1) - 1).abs()
    if not bool(((table >= 0) & (table <= 1)).all()) or bool((sums > near).any()):
        return 0
    certain = ((table == 0) | (table == 1)).all(1)
    if bool(certain.any()) or not bool((table != table[0]).any()):
        return 0
    return len(table)


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear ``cross_entropy`` where no gradient is recorded."""
    original = functional.cross_entropy

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if (
            torch.is_grad_enabled()
            or is_compiling()
            or not recorder.active
            or SILENCE.quiet
            or "judged" in recorder.off
        ):
            return original(*args, **kwargs)
        try:
            given = dict(zip(("input", "target"), args, strict=False)) | kwargs
            recorder.judged.given(recorder, given.get("input"), given.get("target"))
        except Exception as error:
            note(recorder, "judged", error)
        return original(*args, **kwargs)

    call.__prepare_scriptable__ = lambda: original  # type: ignore[attr-defined]  # jit.script
    return [replace(recorder, functional, "cross_entropy", call)]
