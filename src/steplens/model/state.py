"""Digest, Snapshot and Delta: training state as plain numbers."""

import msgspec

SHOWN_VALUES = 16  # a Digest carries the values themselves up to this many elements

Number = float | int | bool


class Digest(msgspec.Struct, frozen=True, gc=False):
    """A tensor in a few numbers.

    ``norm`` is the L2 norm over the finite elements (None for meta and other unreadable tensors),
    ``zeros`` and ``nonfinite`` count elements, ``version`` is torch's write counter (-1 where the
    tensor has none), ``values`` holds the elements in row-major order when there are at most 16
    (non-finite ones as the words nan, inf, -inf: JSON has none). ``bits`` is a digest of the exact
    bits: equal tensors have equal bits, and NaN equals itself. ``note`` says why something could
    not be read. ``bars`` counts the finite elements in as many equal parts of ``low`` to ``high``,
    for tensors whose values are not held; of a large tensor a sample of 4096 or a few more is
    counted.
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
    low: float | None = None
    high: float | None = None
    bars: tuple[int, ...] = ()

    def same(self, other: "Digest") -> bool:
        """Whether both digests stand for the same values, whatever was written in between."""
        return self.dtype == other.dtype and self.shape == other.shape and self.bits == other.bits


Value = Digest | bool | int | float | str | None


class Whose(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Numbers in the Roster, -1 for none: the tensor (for a mode the module), the optimizer, and
    the key of the optimizer's state or option (``exp_avg``, ``lr``) with its group."""

    number: int = -1
    optimizer: int = -1
    key: str = ""
    group: int = 0


NOBODY = Whose()


class Change(msgspec.Struct, frozen=True, gc=False):
    """One part of the state before and after: ``mlp.weight.grad  None -> [[0, 4]]``.

    ``part`` is one of parameter, gradient, buffer, optimizer, mode, grad-mode, trainable. ``whose``
    says in numbers what ``subject`` says in words.
    """

    part: str
    subject: str
    before: Value
    after: Value
    whose: Whose = NOBODY


class Snapshot(msgspec.Struct, frozen=True, eq=False):
    """The training state at one instant, each part under its own name. Two are equal when each part
    has the same bits or the same value, whatever was written in between.

    ``tensors`` maps (part, subject) to a Digest or None, ``flags`` maps (part, subject) to a plain
    value (a module's mode, the grad mode, a learning rate, the digest of the random-number state).
    ``whose`` says it in numbers: a part that goes by another name than before (a second model came,
    so that the first one's name stands before it) is still the same part.
    """

    tensors: dict[tuple[str, str], Digest | None]
    flags: dict[tuple[str, str], bool | int | float | str]
    whose: dict[tuple[str, str], Whose] = {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self.flags == other.flags and not self.delta(other)

    __hash__ = None  # type: ignore[assignment]

    def delta(self, after: "Snapshot") -> "Delta":
        """What differs between this Snapshot and a later one, in the later one's order."""
        return Delta(tuple(_changed(self, after)))


class Delta(msgspec.Struct, frozen=True, gc=False):
    """What differs between two Snapshots."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def of(self, part: str) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.part == part)


def since_nothing(found: Snapshot) -> tuple[Change, ...]:
    """Everything that a first Snapshot holds, as changes from nothing."""
    held = [*found.tensors.items(), *found.flags.items()]
    return tuple(
        Change(*key, before=None, after=now, whose=found.whose.get(key, NOBODY))
        for key, now in held
        if now is not None
    )


def _changed(before: Snapshot, after: Snapshot):
    same = _renamed(before, after)
    for key, now in after.tensors.items():
        was = before.tensors.get(same.get(key, key))
        if was is now:
            continue
        if was is None or now is None or not was.same(now):
            yield Change(*key, before=was, after=now, whose=after.whose.get(key, NOBODY))
    left = before.tensors.keys() - after.tensors.keys() - set(same.values())
    for key, was in before.tensors.items() if left else ():
        if key in left and was is not None:
            yield Change(*key, before=was, after=None, whose=before.whose.get(key, NOBODY))
    for key, now in after.flags.items():
        old = same.get(key, key)
        if old in before.flags and before.flags[old] != now:
            whose = after.whose.get(key, NOBODY)
            yield Change(*key, before=before.flags[old], after=now, whose=whose)


def _renamed(before: Snapshot, after: Snapshot) -> dict[tuple[str, str], tuple[str, str]]:
    """The parts that go by another name now: new key -> old key."""
    if after.whose.keys() <= before.whose.keys():
        return {}
    new = [key for key in after.whose if key not in before.whose]
    old = {(key[0], whose): key for key, whose in before.whose.items()}
    found = ((key, old.get((key[0], after.whose[key]))) for key in new)
    return {key: known for key, known in found if known is not None}
