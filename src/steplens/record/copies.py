"""Copies: values of the window as bytes, which are made Digests of many at a time.

A Digest costs a dozen operators, which on a small tensor take longer than the step itself. So a
line that changes a tensor keeps a copy of its bytes, and the numbers are counted when somebody asks
or when the copies take too much room: of all copies of one size in one go.
"""

import ctypes
import itertools
import math
import zlib
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch
from msgspec.structs import force_setattr, replace

from steplens.model.state import SHOWN_VALUES, Digest
from steplens.record.digest import BARS, LONG, SAMPLE, digest, nonzeros, small
from steplens.record.norms import PLAIN

MOST = 1 << 18  # bytes of a tensor of which a copy is kept
ROOM = 1 << 25  # bytes that waiting copies may take
TOGETHER = 1 << 20  # elements that are gone through at once
FEW = SHOWN_VALUES * 8
CODES = {torch.float32: "f", torch.float64: "d", torch.int64: "q"}  # as array has them
COUNTED = ("norm", "zeros", "nonfinite", "values", "bits", "note", "low", "high", "bars")


@lru_cache(maxsize=256)
def _span(size: int) -> Any:
    return ctypes.c_char * size


class View:
    """The memory of a dense tensor: where it begins, and its bytes as they are now. To be looked at
    only while the tensor lives and begins there."""

    __slots__ = ("start", "memory")

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.memory: Any = _span(size).from_address(start)


def seen_through(tensor: torch.Tensor, most: int) -> View | None:
    """The memory, at most so many bytes, of a dense tensor of float32 or float64, or of a few of
    int64, if it is the processor's; None for any other."""
    try:
        if type(tensor) not in PLAIN or not tensor.is_cpu or tensor.dtype not in CODES:
            return None
        if tensor.layout is not torch.strided or not tensor.is_contiguous() or tensor.is_neg():
            return None
        size, start = tensor.numel() * tensor.dtype.itemsize, tensor.data_ptr()
        if size > FEW and not tensor.is_floating_point():
            return None
        if not 0 < size <= most or size > MOST or not start:
            return None
        if tensor.storage_offset() and not tensor.untyped_storage().nbytes():
            return None  # its storage has been let go: that of a tensor at its head begins at 0
        return View(start, size)
    except Exception:  # batched and functional tensors have no memory
        return None


def copied(tensor: torch.Tensor, most: int) -> bytearray | None:
    """A copy of the bytes that ``seen_through`` finds."""
    view = seen_through(tensor, most)
    return bytearray(view.memory) if view is not None else None


class Copies:
    """The Digests that wait for their numbers. Until then ``bits`` is below 0, and no two differ in
    it but by their values."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Digest, torch.dtype, bytearray]] = []
        self.bytes = 0
        self.marks = itertools.count(1)

    def put(
        self, name: str, dtype: torch.dtype, shape: tuple[int, ...], counter: int, data: bytearray
    ) -> Digest:
        """A Digest of these bytes, to be counted later."""
        return self._wait(Digest(name, shape, version=counter, bits=-next(self.marks)), dtype, data)

    def again(self, before: Digest, dtype: torch.dtype, counter: int, data: bytearray) -> Digest:
        """The same values under another write counter."""
        new = replace(before, version=counter)
        return self._wait(new, dtype, data) if new.bits < 0 else new

    def _wait(self, new: Digest, dtype: torch.dtype, data: bytearray) -> Digest:
        self.waiting.append((new, dtype, data))
        self.bytes += len(data)
        if self.bytes > ROOM:
            self.count()
        return new

    def count(self) -> None:
        """Count all that wait."""
        waiting, self.waiting, self.bytes = self.waiting, [], 0
        groups: dict[tuple[torch.dtype, int], list[tuple[Digest, bytearray]]] = {}
        for waits, dtype, data in waiting:
            groups.setdefault((dtype, len(data)), []).append((waits, data))
        with torch.no_grad():
            for (dtype, size), members in groups.items():
                elements = size // dtype.itemsize
                some = max(1, TOGETHER // elements)
                for first in range(0, len(members), some):
                    part = members[first : first + some]
                    if elements <= SHOWN_VALUES:
                        _few(dtype, part)
                    else:
                        _many(dtype, part)


def _few(dtype: torch.dtype, members: Iterable[tuple[Digest, bytearray]]) -> None:
    for waits, data in members:
        values: Sequence[float] = array(CODES[dtype], bytes(data)).tolist()
        _fill(waits, small(values, waits.dtype, waits.shape, waits.version, bits_of(data)))


def _many(dtype: torch.dtype, members: list[tuple[Digest, bytearray]]) -> None:
    """Norms, zeros and histograms, one operator for all."""
    whole = torch.frombuffer(bytearray().join([data for _, data in members]), dtype=dtype)
    rows = whole.view(len(members), -1)
    counts, elements = nonzeros(rows).tolist(), rows.shape[1]
    summed = rows.double() if elements >= LONG else rows
    norms = torch.linalg.vector_norm(summed, dim=1, dtype=torch.float64).tolist()
    sampled = rows[:, :: max(1, elements // SAMPLE)].contiguous()
    low, high = sampled.amin(1, keepdim=True), sampled.amax(1, keepdim=True)
    bars = _bars(sampled, low, high)
    lows, highs, flat = low[:, 0].tolist(), high[:, 0].tolist(), (sampled.shape[1],)
    for place, (waits, data) in enumerate(members):
        norm, least, most = norms[place], lows[place], highs[place]
        if not math.isfinite(norm):  # counted one by one
            _fill(waits, digest(rows[place].view(waits.shape)))
            continue
        force_setattr(waits, "norm", norm)
        force_setattr(waits, "zeros", elements - int(counts[place]))
        force_setattr(waits, "bits", zlib.crc32(data) | 1 << 32)
        force_setattr(waits, "low", least)
        force_setattr(waits, "high", most)
        force_setattr(waits, "bars", flat if least == most else tuple(bars[place]))


def _bars(rows: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> list[list[int]]:
    """The histogram of each row, counted as ``torch.histc`` does."""
    places = (rows - low).mul_(BARS).div_(high - low).nan_to_num_(0.0, 0.0, 0.0)
    whole = places.clamp_(0, BARS - 1).to(torch.int32)  # faster than to int64
    starts = torch.arange(0, BARS * len(rows), BARS, dtype=torch.int32, device="cpu")
    whole += starts.unsqueeze(1)
    found = torch.bincount(whole.reshape(-1), minlength=BARS * len(rows))
    counts: list[list[int]] = found.view(-1, BARS).tolist()
    return counts


def bits_of(data: bytearray) -> int:
    """The checksum of these bytes, as ``digest.bits`` makes it."""
    return zlib.crc32(data) | 1 << 32


def _fill(waits: Digest, counted: Digest) -> None:
    for name in COUNTED:
        force_setattr(waits, name, getattr(counted, name))
