"""Which data a dataset holds, and whether reading it writes to it."""

import weakref
import zlib
from collections.abc import Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import RandomSampler, SequentialSampler, SubsetRandomSampler

from steplens.model.event import Rewritten
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.nested import attributes, first_of, tensors_in
from steplens.record.writes import same_storage

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

DEPTH = 4  # objects within objects that are looked into
MOST = 256  # things looked at
PASSES = 3  # passes of a loader that are watched
ARRAY_BYTES = 1 << 23  # of numpy arrays whose bits are compared
WORDS = 1 << 20  # elements of whole numbers, such as tokens, of which a copy is kept


def parts(thing: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any, Any]]:
    """What an object holds: (path, owner, part), through attributes and short lists."""
    seen = 0
    queue: list[tuple[str, Any, int]] = [(path, thing, depth)]
    known: set[int] = {id(thing)}
    for where, owner, level in queue:
        if level >= DEPTH:
            continue
        for name, part in _inside(owner):
            seen += 1
            if seen > MOST or id(part) in known or isinstance(part, (torch.nn.Module, type)):
                continue
            label = f"{where}.{name}" if where and not name.startswith("[") else f"{where}{name}"
            known.add(id(part))
            yield label, owner, part
            if not isinstance(part, (torch.Tensor, str, bytes, int, float)):
                queue.append((label, part, level + 1))


def _inside(owner: Any) -> list[tuple[str, Any]]:
    kind = type(owner)
    if issubclass(kind, (list, tuple)):  # none of a class's own methods is called
        return [(f"[{at}]", part) for at, part in enumerate(first_of(owner))]
    if issubclass(kind, dict):
        items = list(dict.items(owner))[:64]
        return [(f"[{_key(key)}]", part) for key, part in items]
    if kind.__module__ in ("numpy", "builtins") or _plain(owner):
        return []
    return list(attributes(owner).items())


def _key(key: Any) -> str:
    return repr(key) if type(key) in (str, int) else type(key).__name__


def _plain(owner: Any) -> bool:
    return isinstance(owner, type) or type(owner).__name__ in ("function", "method")


def _array(part: Any) -> bool:
    """An array of numpy's; not one of its scalars, to which there are no weak references."""
    return type(part).__module__ == "numpy" and hasattr(part, "nbytes") and part.ndim > 0


class Watched:
    """One loader's dataset: its tensors, and in which passes reading wrote to them."""

    def __init__(self) -> None:
        self.count = 0
        self.tensors: list[tuple[str, weakref.ref[torch.Tensor]]] = []
        self.arrays: list[tuple[str, weakref.ref[Any]]] = []
        self.before: list[int] = []
        self.bits: list[int] = []
        self.fetches = 0
        self.whole = False  # the first pass went through to its end
        self.wrote: dict[str, int] = {}  # path -> pass in which it was first written
        self.where: dict[str, Site] = {}
        self.words: dict[str, torch.Tensor] = {}  # path -> whole numbers as this pass began
        self.told = False
        self.views = False  # the last batch shares memory with the dataset


class Datasets:
    """The datasets being read in this process, held weakly."""

    def __init__(self) -> None:
        self.known: dict[int, Watched] = {}  # loader -> what is known of its dataset
        self.read = Newest[int, tuple[weakref.ref[Any], Watched]](64)

    def begin(self, loader: Any, number: int) -> None:
        """A pass begins: what does the dataset hold?"""
        sampler = getattr(loader, "sampler", None)
        once = isinstance(sampler, (SequentialSampler, SubsetRandomSampler, range)) or (
            isinstance(sampler, RandomSampler) and not sampler.replacement
        )
        self.known.pop(number, None)
        if loader.num_workers or not once:
            return
        watched = self._of(loader.dataset)
        watched.count, watched.fetches = watched.count + 1, 0
        if watched.told or watched.count > PASSES or (watched.count > 1 and not watched.whole):
            return
        self.known[number] = watched
        watched.tensors, watched.arrays, watched.words = [], [], {}
        size = 0
        for path, _, part in parts(loader.dataset):
            if isinstance(part, torch.Tensor):
                if part.is_inference():
                    continue
                if part.is_floating_point() or _words(part, watched.words):
                    watched.tensors.append((path, weakref.ref(part)))
                    if not part.is_floating_point():
                        watched.words[path] = part.detach().clone()
            elif _array(part):
                size += part.nbytes
                if part.dtype.kind == "f" and part.flags.c_contiguous and size <= ARRAY_BYTES:
                    watched.arrays.append((path, weakref.ref(part)))

    def _of(self, dataset: Any) -> Watched:
        """What is known of a dataset, whichever loader reads it."""
        known = self.read.get(id(dataset))
        if known is not None and known[0]() is dataset:
            return known[1]
        watched = Watched()
        try:
            self.read[id(dataset)] = (weakref.ref(dataset), watched)
        except TypeError:  # a list is a dataset too
            return watched
        return watched

    def before_fetch(self, recorder: "Recorder", number: int, iterator: Any) -> None:
        """A batch is about to be read."""
        watched = self.known.get(number)
        if watched is None:
            return
        watched.fetches += 1
        if watched.views and watched.before:  # written by the loop, through the batch
            for (path, ref), old in zip(watched.tensors, watched.before, strict=True):
                if _version(ref) != old:
                    self._written(recorder, number, watched, path.partition("[")[0])
        watched.before = [_version(ref) for _, ref in watched.tensors]
        watched.bits = [_bits(ref) for _, ref in watched.arrays] if watched.fetches <= 2 else []
        if watched.count == 1 and watched.fetches <= 3 and watched.wrote and not watched.where:
            recorder.detail.watching = Lookout(recorder, watched)

    def after_fetch(self, recorder: "Recorder", number: int, batch: Any) -> None:
        """A batch has been read: was anything written meanwhile?"""
        watched = self.known.get(number)
        if watched is None:
            return
        changed = [
            (path, ref)
            for (path, ref), old in zip(watched.tensors, watched.before, strict=True)
            if _version(ref) != old
        ]
        if watched.bits:
            changed += [
                (path, ref)
                for (path, ref), old in zip(watched.arrays, watched.bits, strict=True)
                if _bits(ref) != old
            ]
        watched.bits = []
        held = [ref() for _, ref in watched.tensors]
        watched.views = any(
            same_storage(tensor, data)
            for tensor in list(tensors_in(batch))[:4]
            for data in held[:16]
            if data is not None
        )
        watched.before = [_version(ref) for _, ref in watched.tensors]
        if watched.where or not watched.views:
            recorder.detail.watching = None
        for path, ref in changed:
            if _handed_out(ref(), batch, watched.words.get(path)):
                self._written(recorder, number, watched, path.partition("[")[0])

    def _written(self, recorder: "Recorder", number: int, watched: Watched, path: str) -> None:
        first = watched.wrote.setdefault(path, watched.count)
        if first == watched.count or watched.told:
            return
        watched.told = True
        recorder.emit(
            Rewritten(
                recorder.index(),
                recorder.step,
                recorder.site(),
                number,
                path,
                watched.count,
                watched.where.get(path),
            )
        )

    def ended(self, recorder: "Recorder", number: int) -> None:
        """A pass went through to its end: each element has been read once."""
        recorder.detail.watching = None
        watched = self.known.get(number)
        if watched is not None and watched.count == 1:
            watched.whole = True


class Lookout:
    """Sees, line by line through one fetch, which line writes to the dataset's data."""

    def __init__(self, recorder: "Recorder", watched: Watched) -> None:
        self.recorder = recorder
        self.watched = watched
        self.versions = [_version(ref) for _, ref in watched.tensors]
        self.bits = [_bits(ref) for _, ref in watched.arrays]

    def __call__(self, code: CodeType, line: int) -> None:
        watched = self.watched
        versions = [_version(ref) for _, ref in watched.tensors]
        bits = [_bits(ref) for _, ref in watched.arrays] if len(watched.where) < 1 else self.bits
        old = [*self.versions, *self.bits]
        if [*versions, *bits] == old:
            return
        names = [path for path, _ in [*watched.tensors, *watched.arrays]]
        for path, one, two in zip(names, [*versions, *bits], old, strict=True):
            if one != two:
                site = self.recorder.places.line(code, line)
                watched.where.setdefault(path.partition("[")[0], site)
        self.versions, self.bits = versions, bits


def _version(ref: "weakref.ref[torch.Tensor]") -> int:
    tensor = ref()
    return tensor._version if tensor is not None else -1


def _bits(ref: "weakref.ref[Any]") -> int:
    array = ref()
    return zlib.crc32(array) if array is not None else -1


def _words(part: torch.Tensor, known: dict[str, torch.Tensor]) -> bool:
    """Whether a tensor holds rows of whole numbers, few enough for a copy of it."""
    size = part.numel() + sum(each.numel() for each in known.values())
    return part.dtype == torch.int64 and part.dim() > 1 and size <= WORDS


def _handed_out(data: Any, batch: Any, words: torch.Tensor | None) -> bool:
    """Whether batches hold what such data holds: the same type and shape of one element. Rows of
    whole numbers that are drawn anew each time are no sample that was written to: of those no more
    than half of what a written row holds is another than before."""
    if data is None:
        return False
    shape = tuple(data.shape)
    if words is not None:
        other = (data != words).flatten(1)
        rows = other[other.any(1)]
        few = rows.numel() > 0 and float(rows.double().mean()) <= 0.5
        return few and any(
            tensor.dtype == data.dtype and tuple(tensor.shape[1:]) == shape[1:]
            for tensor in tensors_in(batch)
        )
    for tensor in tensors_in(batch):
        if tensor.is_floating_point() and tuple(tensor.shape[1:]) in (shape, shape[1:]):
            return True
    return False
