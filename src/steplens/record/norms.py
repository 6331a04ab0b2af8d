"""Norms of many tensors at once, queued: nothing here waits for the device."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from steplens.model.chronicle import Size
from steplens.record.digest import freed

PLAIN = (torch.Tensor, torch.nn.Parameter)  # the types of torch's own tensors: no subclass
HALVES = (torch.float16, torch.bfloat16)
SAMPLE = 1 << 16  # elements of a tensor that are copied to measure its update
TOGETHER = 1 << 19  # of all tensors of a step
PART, ALWAYS = 128, 1 << 17  # of all, as a part of what the tensors hold; but so many always
FEWEST = 64  # of each
CHUNK, CHUNKS = 1 << 16, 16  # parts of a large tensor that are gone through one by one


def near(tensor: torch.Tensor) -> bool:
    """Whether reading it waits for no device."""
    return tensor.is_cpu


def readable(tensor: torch.Tensor) -> bool:
    """Whether a norm of this tensor can be taken: not a subclass (sharded, fake), not meta, and
    with its storage there."""
    return (
        type(tensor) in PLAIN
        and tensor.device.type != "meta"
        and (tensor.is_floating_point() or tensor.is_complex())
        and tensor.layout in (torch.strided, torch.sparse_coo)
        and not freed(tensor)
    )


def dense(tensor: torch.Tensor) -> bool:
    """Whether its elements can be read one by one as well: all of them are stored, as real
    numbers."""
    return readable(tensor) and tensor.layout == torch.strided and not tensor.is_complex()


def norms(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The L2 norm of each tensor, as tensors; halves are summed in float32. Infinite where the sum
    of squares is beyond float32."""
    plain = [
        tensor.coalesce().values() if tensor.layout == torch.sparse_coo else tensor
        for tensor in tensors
    ]
    if not any(tensor.dtype in HALVES for tensor in plain):
        return list(torch._foreach_norm(plain)) if plain else []  # type: ignore[no-any-return]
    return [
        torch.linalg.vector_norm(t, dtype=torch.float32)
        if t.dtype in HALVES
        else torch.linalg.vector_norm(t)
        for t in plain
    ]


def share(tensors: Sequence[torch.Tensor]) -> int:
    """How many elements of each of a step's tensors are copied: of a large model less than a
    hundredth."""
    room = sum(tensor.numel() for tensor in tensors) // PART
    room = min(TOGETHER, max(ALWAYS, room))
    return max(FEWEST, min(SAMPLE, room // max(1, len(tensors))))


def sample(tensor: torch.Tensor, most: int) -> torch.Tensor:
    """A copy of the tensor, of about ``most`` evenly spaced elements of it when it is larger."""
    return resample(tensor, most).clone()


def resample(tensor: torch.Tensor, most: int) -> torch.Tensor:
    """The same elements now, not copied. Called where no graph is recorded."""
    count = tensor.numel()
    return tensor if count <= most else tensor.reshape(-1)[:: count // most]


def differences(now: Sequence[torch.Tensor], was: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What tensors and copies of them differ by, in the memory of the copies."""
    if was:
        torch._foreach_sub_(list(was), list(now))
    return list(was)


def nonzero(flat: torch.Tensor, most: int) -> torch.Tensor:
    """The places of the first ``most`` elements that are not zero, looked for in a few parts of a
    large tensor. Waits for the device."""
    count = flat.numel()
    if count <= CHUNK * CHUNKS:
        starts = range(0, count, CHUNK)
    else:
        starts = range(0, count - CHUNK + 1, (count - CHUNK) // (CHUNKS - 1))
    found: list[torch.Tensor] = []
    for start in starts:
        places = flat[start : start + CHUNK].nonzero()[:most, 0] + start
        most -= places.numel()
        found.append(places)
        if most <= 0:
            break
    return torch.cat(found) if found else flat.nonzero()[:, 0]


def sizes(
    reached: Sequence[int], sized: Sequence[int], values: dict[str, list[float]]
) -> tuple[Size, ...]:
    """The norms of each of the ``sized`` tensors; gradients are those of the ``reached`` ones."""
    slopes = dict(zip(reached, map(_known, values["gradients"]), strict=True))
    columns = zip(sized, values["weights"], values["updates"], strict=True)
    return tuple(
        Size(number, slopes.get(number), _known(weight), _known(update))
        for number, weight, update in columns
    )


def _known(norm: float) -> float | None:
    return norm if math.isfinite(norm) else None


class Vector:
    """Numbers on their way from the device, in named groups."""

    __slots__ = ("parts", "spans", "held", "ready")

    def __init__(self) -> None:
        self.parts: list[torch.Tensor] = []
        self.spans: dict[str, tuple[int, int]] = {}
        self.held: torch.Tensor | None = None
        self.ready: Any = None

    def put(self, name: str, scalars: Sequence[torch.Tensor]) -> None:
        """Add a group of one-element tensors."""
        self.spans[name] = (len(self.parts), len(self.parts) + len(scalars))
        self.parts.extend(scalars)

    def send(self) -> None:
        """Join the groups; from a GPU, start the copy."""
        if not self.parts:
            return
        first = self.parts[0]
        same = all(part.dtype == first.dtype and part.device == first.device for part in self.parts)
        joined = torch.stack(
            [part if part.dim() == 0 else part.reshape(()) for part in self.parts]
            if same
            else [part.detach().to(first.device, torch.float32).reshape(()) for part in self.parts]
        )
        self.parts = []
        if joined.device.type == "cuda":
            self.held = torch.empty(joined.shape, dtype=joined.dtype, pin_memory=True)
            self.held.copy_(joined, non_blocking=True)
            self.ready = torch.cuda.Event()
            self.ready.record()
        else:
            self.held = joined

    def arrived(self) -> bool:
        """Whether reading would wait for nothing."""
        return self.ready is None or bool(self.ready.query())

    def read(self) -> dict[str, list[float]]:
        """The numbers, by group. Waits if they have not arrived."""
        if self.ready is not None:
            self.ready.synchronize()
        values: list[float] = self.held.tolist() if self.held is not None else []
        return {name: values[start:end] for name, (start, end) in self.spans.items()}
