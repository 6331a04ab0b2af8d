"""Digest: tensor to a few numbers, for every kind of tensor."""

import ctypes
import math
import zlib
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from steplens.model.state import SHOWN_VALUES, Digest

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


def dtype_name(dtype: torch.dtype) -> str:
    """``f32`` for torch.float32, as in ``f32[3, 2]``."""
    name = str(dtype).removeprefix("torch.")
    return _SHORT.get(name, name)


def version(tensor: torch.Tensor) -> int:
    """torch's write counter, -1 for an inference tensor and a lazy parameter, which have none."""
    try:
        return -1 if tensor.is_inference() else tensor._version
    except ValueError:  # lazy
        return -1


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The tensor's shape, () for a lazy parameter that has none yet."""
    return () if is_lazy(tensor) else tuple(int(size) for size in tensor.shape)


def digest(tensor: torch.Tensor) -> Digest:
    """The Digest of any tensor: integer, boolean, empty, meta, sparse, quantized, bfloat16, NaN
    included.

    Waits for the device: call it on the cadence only. What cannot be read says so in ``note``.
    """
    shape = shape_of(tensor)
    name = dtype_name(tensor.dtype)
    counter = version(tensor)
    if is_lazy(tensor):
        return Digest(name, shape, version=counter, note="not made yet")
    if tensor.device.type == "meta":
        return Digest(name, shape, version=counter, note="meta")
    try:
        return _read(tensor, name, shape, counter)
    except Exception as error:  # fake, batched and foreign tensors refuse in many ways
        return Digest(name, shape, version=counter, note=f"not readable: {type(error).__name__}")


def _read(tensor: torch.Tensor, name: str, shape: tuple[int, ...], counter: int) -> Digest:
    with torch.no_grad():
        plain = tensor.detach()
        if plain.is_sparse or plain.layout != torch.strided:
            plain = (
                plain.coalesce().values() if plain.layout == torch.sparse_coo else plain.values()
            )
        if plain.is_quantized:
            plain = plain.dequantize()
        if plain.is_complex():
            plain = torch.view_as_real(plain)
        flat = plain.reshape(-1).cpu()
        count = flat.numel()
        if count == 0:
            return Digest(
                name, shape, 0.0, 0, 0, counter, () if math.prod(shape) == 0 else None, bits=1
            )
        small = count <= SHOWN_VALUES and tensor.layout == torch.strided and not tensor.is_complex()
        if small:
            return _small(flat, name, shape, counter)
        floating = flat.dtype.is_floating_point
        wide = flat.double() if floating and flat.dtype.itemsize > 2 else flat.float()
        zeros = count - int(torch.count_nonzero(flat))
        norm = float(torch.linalg.vector_norm(wide))
        nonfinite = 0
        if not math.isfinite(norm):
            finite = torch.isfinite(wide)
            nonfinite = count - int(finite.sum())
            norm = float(torch.linalg.vector_norm(torch.where(finite, wide, 0)))
        return Digest(name, shape, norm, zeros, nonfinite, counter, None, bits=bits(flat))


def _small(flat: torch.Tensor, name: str, shape: tuple[int, ...], counter: int) -> Digest:
    values = flat.tolist()
    finite = [float(value) for value in values if math.isfinite(value)]
    norm = math.hypot(*finite) if finite else 0.0
    shown = tuple(value if math.isfinite(value) else repr(value) for value in values)
    zeros = sum(value == 0 for value in values)
    return Digest(name, shape, norm, zeros, len(values) - len(finite), counter, shown, bits(flat))


def bits(flat: torch.Tensor) -> int:
    """A checksum of the exact bits of a CPU tensor, never 0."""
    raw = flat.contiguous()
    data = (ctypes.c_char * (raw.numel() * raw.element_size())).from_address(raw.data_ptr())
    return zlib.crc32(data) | 1 << 32


def bytes_of(tensor: Any) -> int:
    """How many bytes the tensor's elements take, 0 where it cannot be said."""
    try:
        return int(tensor.numel()) * int(tensor.element_size())
    except Exception:
        return 0
