"""Shelf: tensors that are read at each look, each as it was last read."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from steplens.model.state import Digest
from steplens.record.copies import ROOM, Copies, View, seen_through
from steplens.record.digest import digest, dtype_name, version

TRUSTED = 4096  # elements from which on a tensor whose write counter stands still is not read again
SMALL = 16  # elements of a tensor that is compared at every line

Tensors = Sequence[torch.Tensor | None]
Move = tuple[int, Digest | None, Digest | None]  # a place, what stood there and what stands there


class Seen:
    """A tensor as it was last read: its identity, write counter, size, Digest and, where a copy is
    kept, its bytes and the memory they were copied from."""

    __slots__ = ("identity", "counter", "elements", "digest", "data", "view")

    def __init__(
        self,
        identity: int,
        counter: int,
        found: Digest,
        data: bytearray | None,
        view: View | None,
    ) -> None:
        self.identity = identity
        self.counter = counter
        self.elements = prod(found.shape)
        self.digest = found
        self.data = data
        self.view = view

    def sees(self, tensor: torch.Tensor) -> bool:
        """Whether the memory of which a copy is kept is still the tensor's, laid out alike."""
        view = self.view
        return (
            view is not None
            and tensor.data_ptr() == view.start
            and tensor.shape == self.digest.shape
            and tensor.is_contiguous()
        )

    def still(self, tensor: torch.Tensor) -> bool:
        """Whether the tensor's memory, where a copy of it is kept, holds the same bytes."""
        return self.sees(tensor) and self.view is not None and self.data == self.view.memory


class Memory:
    """How much room there is for copies, and where they wait to be counted."""

    def __init__(self) -> None:
        self.copies = Copies()
        self.room = ROOM  # bytes of tensors as last read that may still be kept

    def read(self, seen: Seen | None, tensor: torch.Tensor, counter: int) -> Seen:
        """The tensor now: ``seen`` brought up to it, which is what it was, or another that stood
        in its place."""
        held = 0 if seen is None or seen.data is None else len(seen.data)
        if (
            seen is not None
            and seen.identity == id(tensor)
            and seen.digest.dtype == dtype_name(tensor.dtype)
            and seen.sees(tensor)
        ):
            view = seen.view
        else:
            view = seen_through(tensor, self.room + held)
        data = bytearray(view.memory) if view is not None else None
        if seen is None and data is not None:
            found = self._put(tensor, counter, data)
        elif seen is None or seen.data is None or data is None:
            if seen is not None and seen.digest.bits < 0:
                self.copies.count()
            found = digest(tensor, seen.digest if seen is not None else None)
        elif data != seen.data or tensor.shape != seen.digest.shape:
            found = self._put(tensor, counter, data)
        elif counter != seen.digest.version:
            found = self.copies.again(seen.digest, tensor.dtype, counter, data)
        else:
            found = seen.digest
        self.room += held - (len(data) if data is not None else 0)
        if seen is None:
            return Seen(id(tensor), counter, found, data, view)
        if found.shape != seen.digest.shape:
            seen.elements = prod(found.shape)
        seen.identity, seen.counter, seen.digest = id(tensor), counter, found
        seen.data, seen.view = data, view
        return seen

    def _put(self, tensor: torch.Tensor, counter: int, data: bytearray) -> Digest:
        name, shape = dtype_name(tensor.dtype), tuple(tensor.shape)
        return self.copies.put(name, tensor.dtype, shape, counter, data)

    def let_go(self, seen: Seen | None) -> None:
        """The copy of this tensor is no longer needed."""
        if seen is not None and seen.data is not None:
            self.room += len(seen.data)


class Shelf:
    """Tensors that are read together, under a key each. Nothing of the user's is held."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.keys: list[Any] = []
        self.seen: list[Seen | None] = []
        self.ids: list[int] = []
        self.counters: list[int] = []

    def arrange(self, keys: list[Any]) -> None:
        """From now on these are read, in this order; what was seen under a key stays so."""
        if keys == self.keys:
            return
        old = dict(zip(self.keys, self.seen, strict=True))
        self.keys, self.seen = keys, [old.pop(key, None) for key in keys]
        self.ids, self.counters = [], []
        for seen in old.values():
            self.memory.let_go(seen)

    def moved(self, tensors: Tensors) -> bool:
        """Whether another tensor stands in a place, a write counter has moved, or one of the
        smallest holds other bytes."""
        if list(map(id, tensors)) != self.ids or counters(tensors) != self.counters:
            return True
        return any(
            not seen.still(tensor) and not self._same(seen, tensor)
            for seen, tensor in zip(self.seen, tensors, strict=True)
            if seen is not None and seen.elements <= SMALL and tensor is not None
        )

    def _same(self, seen: Seen, tensor: torch.Tensor) -> bool:
        if seen.data is not None:
            return False
        return digest(tensor).bits == seen.digest.bits

    def read(self, tensors: Tensors, trusted: bool = False, whole: bool = False) -> list[Move]:
        """Read what may have changed: the places that have got another Digest, with the one before.

        A tensor whose counter stands still is not read again if it is large, unless the ``whole``
        state is to be read, or if all are ``trusted``. Waits for the device.
        """
        ids, now = list(map(id, tensors)), counters(tensors)
        if trusted and ids == self.ids and now == self.counters:
            return []
        found: list[Move] = []
        for place, tensor in enumerate(tensors):
            seen = self.seen[place]
            if tensor is None:
                if seen is not None:
                    found.append((place, seen.digest, None))
                    self.memory.let_go(seen)
                    self.seen[place] = None
                continue
            if (
                seen is not None
                and seen.counter == now[place]
                and seen.identity == ids[place]
                and (trusted or (seen.elements > TRUSTED and not whole) or seen.still(tensor))
            ):
                continue
            was = seen.digest if seen is not None else None
            new = self.seen[place] = self.memory.read(seen, tensor, now[place])
            if new.digest is not was:
                found.append((place, was, new.digest))
        self.ids, self.counters = ids, now
        return found


def counters(tensors: Tensors) -> list[int]:
    """The write counters; -2 where there is no tensor."""
    try:
        return [tensor._version if tensor is not None else -2 for tensor in tensors]
    except (RuntimeError, ValueError):  # an inference tensor, a lazy one
        return [version(tensor) if tensor is not None else -2 for tensor in tensors]
