"""Streams: whether the workers that read an iterable dataset hand out the same batches.

Each worker has a copy of the dataset and runs the whole of its `__iter__`. The first batches of a
pass come from the workers in turn, so that their checksums tell what each of them began with.
"""

import dis
from types import CodeType
from typing import TYPE_CHECKING, Any

from torch.utils.data import IterableDataset

from steplens.model.event import Alike
from steplens.model.event.data import SAME_BATCHES
from steplens.model.site import Site
from steplens.record.nested import tensors_in
from steplens.record.sums import digest_of

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

WORKERS = 8  # more of them are not looked at
LEAST = 8  # elements of a batch: fewer may be equal by chance
SEEDED = ("default_rng", "RandomState", "Random", "Generator", "manual_seed", "seed")


class Streams:
    """The checksums of the first batches, by loader."""

    def __init__(self) -> None:
        self.batches: dict[int, list[str]] = {}

    def begin(self, loader: Any, number: int, passes: int) -> None:
        """A pass over a loader begins."""
        self.batches.pop(number, None)
        in_turn = 2 <= loader.num_workers <= WORKERS and getattr(loader, "in_order", True)
        if passes == 1 and in_turn and isinstance(loader.dataset, IterableDataset):
            self.batches[number] = []

    def batch(self, recorder: "Recorder", iterator: Any, number: int, batch: Any) -> None:
        """A batch has come; once each worker has given enough, they are compared."""
        sums = self.batches.get(number)
        if sums is None:
            return
        size = sum(tensor.numel() for tensor in tensors_in(batch))
        sums.append(digest_of(batch))
        if size < LEAST or getattr(iterator, "_rcvd_idx", -1) != len(sums):
            del self.batches[number]  # a worker that has ended leaves its turns to the others
            return
        workers = iterator._num_workers
        if len(sums) < SAME_BATCHES * workers:
            return
        del self.batches[number]
        given = [tuple(sums[place::workers]) for place in range(workers)]
        for second in range(1, workers):
            first = given.index(given[second])
            if first < second and len(set(given[second])) > 1 and "" not in given[second]:
                self._tell(recorder, iterator, number, (first, second))
                return

    def _tell(
        self, recorder: "Recorder", iterator: Any, number: int, pair: tuple[int, int]
    ) -> None:
        begun, seeded = _lines(recorder, getattr(iterator, "_dataset", None))
        recorder.emit(
            Alike(
                recorder.index(),
                recorder.step,
                recorder.site(),
                number,
                pair,
                "",
                recorder.batches.made.get(number),
                begun,
                seeded,
                None,
                True,
            )
        )


def _lines(recorder: "Recorder", dataset: Any) -> tuple[Site | None, Site | None]:
    """Where the `__iter__` of a dataset's class begins, and where it seeds a generator."""
    code = getattr(getattr(type(dataset), "__iter__", None), "__code__", None)
    if not isinstance(code, CodeType) or not recorder.places.owns(code):
        return None, None
    for step in dis.get_instructions(code):
        line = step.positions.lineno if step.positions else None
        if step.argval in SEEDED and line is not None:
            return recorder.places.line(code, code.co_firstlineno), recorder.places.line(code, line)
    return recorder.places.line(code, code.co_firstlineno), None
