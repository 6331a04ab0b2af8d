"""Digest, Snapshot and Delta: training state as plain numbers."""

import msgspec

SHOWN_VALUES = 16  # a Digest carries the values themselves up to this many elements

Number = float | int | bool


class Digest(msgspec.Struct, frozen=True):
    """A tensor in a few numbers.

    ``norm`` is the L2 norm over the finite elements (None for meta and other unreadable tensors),
    ``zeros`` and ``nonfinite`` count elements, ``version`` is torch's write counter (-1 where the
    tensor has none), ``values`` holds the elements in row-major order when there are at most 16
    (non-finite ones as the words nan, inf, -inf: JSON has none). ``bits`` is a digest of the exact
    bits: equal tensors have equal bits, and NaN equals itself. ``note`` says why something could
    not be read.
    """

    dtype: str
    shape: tuple[int, ...]
    norm: float | None = None
    zeros: int = 0
    nonfinite: int = 0
    version: int = -1
    values: tuple[Number | str, ...] | None = None
    bits: int = 0
    note: str = ""

    def same(self, other: "Digest") -> bool:
        """Whether both digests stand for the same values, whatever was written in between."""
        return self.dtype == other.dtype and self.shape == other.shape and self.bits == other.bits


Value = Digest | bool | int | float | str | None


class Change(msgspec.Struct, frozen=True):
    """One part of the state before and after: ``mlp.weight.grad  None -> [[0, 4]]``.

    ``part`` is one of parameter, gradient, buffer, optimizer, mode, grad-mode, trainable, random.
    """

    part: str
    subject: str
    before: Value
    after: Value


class Snapshot(msgspec.Struct, frozen=True):
    """The training state at one instant, each part under its own name.

    ``tensors`` maps (part, subject) to a Digest or None, ``flags`` maps (part, subject) to a plain
    value (a module's mode, the grad mode, a learning rate, the digest of the random-number state).
    """

    tensors: dict[tuple[str, str], Digest | None]
    flags: dict[tuple[str, str], bool | int | float | str]

    def delta(self, after: "Snapshot") -> "Delta":
        """What differs between this Snapshot and a later one, in the later one's order."""
        return Delta(tuple(_changed(self, after)))


class Delta(msgspec.Struct, frozen=True):
    """What differs between two Snapshots."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def of(self, part: str) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.part == part)


def _changed(before: Snapshot, after: Snapshot):
    for key, now in after.tensors.items():
        was = before.tensors.get(key)
        if was is None or now is None:
            if was is not now:
                yield Change(*key, before=was, after=now)
        elif not was.same(now):
            yield Change(*key, before=was, after=now)
    for key, was in before.tensors.items():
        if key not in after.tensors and was is not None:
            yield Change(*key, before=was, after=None)
    for key, now in after.flags.items():
        was = before.flags.get(key)
        if was != now and key in before.flags:
            yield Change(*key, before=was, after=now)
