"""Digest: tensor to a few numbers, for every kind of tensor."""

import ctypes
import math
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from msgspec.structs import replace
from torch.nn.parameter import is_lazy

from steplens.model.state import SHOWN_VALUES, Digest

SAMPLE = 4096  # elements of a large tensor from which a histogram is made
BARS = 16
LARGE = 1 << 24  # elements from which on an expanded tensor is read once
LONG = 1 << 10  # elements from which on a copy as doubles is summed sooner than what it is of

_SHORT = {
    "float32": "f32",
    "float64": "f64",
    "float16": "f16",
    "bfloat16": "bf16",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint8": "u8",
    "bool": "bool",
    "complex64": "c64",
    "complex128": "c128",
}


@cache
def dtype_name(dtype: torch.dtype) -> str:
    """``f32`` for torch.float32, as in ``f32[3, 2]``."""
    name = str(dtype).removeprefix("torch.")
    return _SHORT.get(name, name)


def version(tensor: torch.Tensor) -> int:
    """torch's write counter, -1 for an inference tensor and a lazy parameter, which have none."""
    try:
        return tensor._version
    except (RuntimeError, ValueError):  # an inference tensor, a lazy one
        return -1


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a sharded tensor that this rank holds; any other tensor as it is."""
    part: Any = getattr(tensor, "to_local", None)
    return part() if part is not None else tensor


def freed(tensor: torch.Tensor) -> bool:
    """Whether the storage behind a dense tensor has been let go, as FSDP does with parameters that
    it had gathered: there is nothing to read, and reading it would end the process."""
    dense = tensor.layout == torch.strided and tensor.numel() > 0
    return dense and tensor.untyped_storage().nbytes() == 0


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The tensor's shape, () for a lazy parameter that has none yet."""
    return () if is_lazy(tensor) else tuple(int(size) for size in tensor.shape)


def digest(tensor: torch.Tensor, before: Digest | None = None) -> Digest:
    """The Digest of any tensor: integer, boolean, empty, meta, sparse, quantized, bfloat16, NaN
    included.

    Of a sharded tensor it is that of this rank's part: to read more would need the other ranks.
    ``before`` is an earlier one of the same tensor: where the bits have not changed, neither have
    the numbers. Waits for the device: call it on the cadence only. What cannot be read says so in
    ``note``.
    """
    name = dtype_name(tensor.dtype)
    shape: tuple[int, ...] = ()
    counter = -1
    try:
        counter = version(tensor)
        with torch.no_grad():
            tensor = local(tensor)
        shape = tuple(int(size) for size in tensor.shape)
        if tensor.device.type == "meta":
            return Digest(name, shape, version=counter, note="meta")
        if freed(tensor):
            return Digest(name, shape, version=counter, note="storage freed")
        with torch.no_grad():
            return _read(tensor.detach(), name, shape, counter, before)
    except Exception as error:  # fake, batched, nested and foreign tensors refuse in many ways
        return Digest(name, shape, version=counter, note=f"not readable: {type(error).__name__}")


def _read(
    tensor: torch.Tensor, name: str, shape: tuple[int, ...], counter: int, before: Digest | None
) -> Digest:
    total = math.prod(shape)
    if total == 0:
        return Digest(name, shape, 0.0, 0, 0, counter, (), bits=1)
    places: list[torch.Tensor] = []
    if tensor.layout != torch.strided:
        tensor, places = _stored(tensor)
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    plain, factor = _unexpanded(tensor.resolve_conj().resolve_neg())
    flat = plain.reshape(-1).cpu()
    known = bits(flat, *(place.cpu() for place in places))
    if before is not None and (before.bits, before.dtype, before.shape) == (known, name, shape):
        return replace(before, version=counter)
    if total <= SHOWN_VALUES and not places and not flat.is_complex():
        if flat.dtype.itemsize == 1 and flat.is_floating_point():
            flat = flat.float()
        return small(flat.tolist(), name, shape, counter, known)
    norm, nonzero, nonfinite, note = _count(flat)
    zeros = total - nonzero * factor
    shown = norm * math.sqrt(factor) if norm is not None else None
    spread = _spread(flat, nonfinite > 0)
    return Digest(
        name, shape, shown, zeros, nonfinite * factor, counter, None, known, note, *spread
    )


def _stored(tensor: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """What a sparse tensor stores: its values, and the tensors that say where they lie."""
    if tensor.layout == torch.sparse_coo:
        tensor = tensor.coalesce()
        return tensor.values(), [tensor.indices()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.values(), [tensor.crow_indices(), tensor.col_indices()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.values(), [tensor.ccol_indices(), tensor.row_indices()]
    return tensor.to_dense(), []


def _unexpanded(tensor: torch.Tensor) -> tuple[torch.Tensor, int]:
    """A large expanded tensor once, and how often it repeats: it need not fit into memory."""
    if tensor.numel() <= LARGE:
        return tensor, 1
    factor = 1
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if stride == 0 and size > 1:
            tensor = tensor.narrow(axis, 0, 1)
            factor *= size
    return tensor, factor


def _count(flat: torch.Tensor) -> tuple[float | None, int, int, str]:
    """Norm over the finite elements, elements that are not zero, elements that are not finite."""
    if flat.is_complex():
        size = flat.to(torch.complex64) if flat.dtype == torch.complex32 else flat
        norm, nonzero, bad, note = _count(size.abs())
        return norm, nonzero, bad, note
    if flat.dtype.itemsize == 1 and flat.is_floating_point():
        flat = flat.float()  # eight bits: hardly an operation takes them
    nonzero = int(nonzeros(flat.unsqueeze(0)))
    if not flat.is_floating_point() or LONG <= flat.numel() <= LARGE:
        flat = flat.double()  # twice as fast as summing halves and singles as doubles
    norm = float(torch.linalg.vector_norm(flat, dtype=torch.float64))
    if math.isfinite(norm):
        return norm, nonzero, 0, ""
    finite = flat.isfinite()
    kept = torch.where(finite, flat, 0).double()
    most = float(kept.abs().amax())
    norm = most * float(torch.linalg.vector_norm(kept / most)) if most else 0.0
    bad = flat.numel() - int(finite.sum())
    return (norm, nonzero, bad, "") if math.isfinite(norm) else (None, nonzero, bad, "norm too big")


def nonzeros(rows: torch.Tensor) -> torch.Tensor:
    """How many elements of each row are not zero. To add floats takes an eighth of the time that
    adding truth values does, and is exact for so many."""
    if rows.dtype in (torch.float32, torch.float64) and rows.shape[1] <= LARGE:
        return torch.ne(rows, 0, out=torch.empty_like(rows)).sum(1)
    return rows.ne(0).sum(1)


def _spread(flat: torch.Tensor, holes: bool) -> tuple[float | None, float | None, tuple[int, ...]]:
    """The least and largest finite value of a sample, evenly taken, and a histogram of it."""
    if flat.is_complex() or not flat.is_floating_point():
        return None, None, ()
    sample = flat[:: max(1, flat.numel() // SAMPLE)].contiguous()
    if sample.dtype not in (torch.float32, torch.float64):
        sample = sample.float()
    if holes:
        sample = sample[sample.isfinite()]
        if not sample.numel():
            return None, None, ()
    low, high = (float(end) for end in sample.aminmax())
    if low == high:
        return low, high, (sample.numel(),)
    counts = torch.histc(sample, BARS, low, high).tolist()
    return low, high, tuple(int(count) for count in counts)


def small(
    values: Sequence[float], name: str, shape: tuple[int, ...], counter: int, known: int
) -> Digest:
    """The Digest of a tensor of a few elements, which are shown."""
    finite = [float(value) for value in values if math.isfinite(value)]
    norm = math.hypot(*finite) if finite else 0.0
    shown = tuple(value if math.isfinite(value) else repr(value) for value in values)
    zeros = sum(value == 0 for value in values)
    bad = len(values) - len(finite)
    if not math.isfinite(norm):
        return Digest(name, shape, None, zeros, bad, counter, shown, known, "norm too big")
    return Digest(name, shape, norm, zeros, bad, counter, shown, known)


def bits(*parts: torch.Tensor) -> int:
    """A checksum of the exact bits of CPU tensors, never 0."""
    found = 0
    for part in parts:
        raw = part.contiguous()
        size = raw.numel() * raw.element_size()
        if size:
            start = raw.data_ptr()
            if not start:  # a wrapper whose values lie elsewhere
                raise ValueError("no storage")
            data = (ctypes.c_char * size).from_address(start)
            found = zlib.crc32(data, found)
    return found | 1 << 32


def bytes_of(tensor: Any) -> int:
    """How many bytes the tensor's elements take, 0 where it cannot be said."""
    try:
        return int(tensor.numel()) * int(tensor.element_size())
    except Exception:
        return 0
