"""Parts of the state in words: numbers, tensors and flags, before and after."""

import math
from collections.abc import Sequence

from steplens.model.state import SHOWN_VALUES, Change, Delta, Digest, Number, Value
from steplens.views.summary import counted

SHORT_DTYPES = {
    "float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16",
    "complex64": "c64", "complex128": "c128", "bool": "bool",
    "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8", "uint8": "u8",
}  # fmt: skip
PARTS = 30  # differences between two Snapshots that are named
FLAGS = {"mode": ("train", "eval"), "grad-mode": ("on", "off")}


def number(value: Number | str) -> str:
    """A number with at most four significant digits; a word (nan, inf) as it is."""
    if isinstance(value, float):
        text = f"{value:.4g}"
        return "0" if text == "-0" else text
    return str(value)


def shape(digest: Digest) -> str:
    """A tensor's dtype and shape: ``f32[3, 2]``."""
    dtype = digest.dtype.removeprefix("torch.")
    return f"{SHORT_DTYPES.get(dtype, dtype)}[{', '.join(map(str, digest.shape))}]"


def nested(values: Sequence[Number | str], sizes: Sequence[int]) -> str:
    """Values in row-major order as nested lists: ``[[1, 0.5]]``."""
    if not sizes:
        return number(values[0]) if values else "[]"
    if math.prod(sizes) != len(values) or sizes[0] > SHOWN_VALUES:  # a damaged file, or no elements
        return "[" + ", ".join(map(number, values)) + "]"
    width = len(values) // sizes[0] if sizes[0] else 0
    rows = (nested(values[i * width : (i + 1) * width], sizes[1:]) for i in range(sizes[0]))
    return "[" + ", ".join(rows) + "]"


def tensor(digest: Digest) -> str:
    """A tensor in a few words: its values when there are few, else shape and norm."""
    if digest.values is not None:
        return nested(digest.values, digest.shape)
    return f"{shape(digest)} {size(digest)}"


def size(digest: Digest) -> str:
    """A tensor's norm and its count of non-finite elements."""
    words = [digest.note or "not read" if digest.norm is None else f"norm {number(digest.norm)}"]
    if digest.nonfinite:
        words.append(f"{digest.nonfinite} non-finite")
    return ", ".join(words)


def value(part: str, item: Value) -> str:
    """One side of a change."""
    if isinstance(item, Digest):
        return tensor(item)
    if isinstance(item, bool) and part in FLAGS:
        return FLAGS[part][0] if item else FLAGS[part][1]
    if item is None:
        return "None"
    return number(item)


def change(item: Change) -> str:
    """Both sides of a change: ``None -> [[0, 4]]``, ``f32[64, 16] norm 1.23 -> 1.31``."""
    was, now = item.before, item.after
    if isinstance(was, Digest) and isinstance(now, Digest):
        large = was.values is None and now.values is None
        if large and was.dtype == now.dtype and was.shape == now.shape:
            left, right = size(was), size(now).removeprefix("norm ")
            same = " (other values)" if left == size(now) else ""
            return f"{shape(now)} {left} -> {right}{same}"
    left, right = value(item.part, was), value(item.part, now)
    return f"{left} -> {right}{' (in digits not shown)' if left == right else ''}"


def subject(item: Change) -> str:
    """The name of what changed: a gradient ends in ``.grad``."""
    missing = item.part == "gradient" and not item.subject.endswith(".grad")
    return item.subject + ".grad" if missing else item.subject


def differences(delta: Delta) -> list[str]:
    """What differs between two Snapshots, a line each."""
    changes = delta.changes
    rows = [f"{subject(each)}  {change(each)}" for each in changes[:PARTS]]
    more = [f"... and {len(changes) - PARTS} more"] if len(changes) > PARTS else []
    return [f"the training state differs in {counted(len(changes), 'place')}", *rows, *more]
