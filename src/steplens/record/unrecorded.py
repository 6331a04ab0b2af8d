"""What is looked at when a module in train mode runs without gradient recording: is it for its
output, for its statistics, or on behalf of somebody else?"""

import dis
import inspect
import sys
import weakref
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import swa_utils

from steplens.record import members, sayings

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

UPDATE_BN = inspect.unwrap(swa_utils.update_bn).__code__
Key = tuple[
    Any, ...
]  # what a tensor is: a weak reference to its base, its place in it, its counter


class Unrecorded:
    """The tensors that each module's newest forward without grad was given, and which of the
    user's calls throw their result away."""

    def __init__(self) -> None:
        self.given: dict[int, tuple[list[Key], int]] = {}
        self.throws: dict[tuple[int, int], bool] = {}
        self.noise: dict[tuple[int, int], bool] = {}
        self.kept: list[CodeType] = []  # so that the ids above stay theirs

    def again(self, number: int, tensors: Iterable[torch.Tensor]) -> int:
        """The module's forward before this one, when it was given the very same tensors."""
        keys = [_key(tensor) for tensor in tensors]
        before, index = self.given.get(number, ([], -1))
        self.given[number] = (keys, -1)
        if not keys or len(keys) != len(before):
            return -1
        return index if all(map(_same, keys, before)) else -1

    def ran(self, number: int, index: int) -> None:
        """The forward now asked about is this event."""
        self.given[number] = (self.given.get(number, ([], -1))[0], index)
        if len(self.given) > 256:
            del self.given[next(iter(self.given))]

    def discarded(self, frame: FrameType | None) -> bool:
        """Whether the call that this frame is at throws its result away, or names it ``_``."""
        return self._said(self.throws, frame, lambda at: _throws(at.f_code, at.f_lasti))

    def drawn(self, frame: FrameType | None) -> bool:
        """Whether the call that this frame is at is given what was drawn at random."""
        return self._said(self.noise, frame, lambda at: sayings.drawn(at.f_code, at.f_lineno))

    def _said(
        self,
        table: dict[tuple[int, int], bool],
        frame: FrameType | None,
        read: Callable[[FrameType], bool],
    ) -> bool:
        """What the code says of the call that a frame is at; it is read once for each."""
        if frame is None:
            return False
        key = id(frame.f_code), frame.f_lasti
        known = table.get(key)
        if known is None:
            known = table[key] = read(frame)
            self.kept.append(frame.f_code)
        return known


def on_behalf() -> str:
    """``update_bn`` when torch's runs this forward; ``checkpoint`` or ``function`` when a custom
    autograd function does: it switches recording off itself, and runs it again in its backward."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code is UPDATE_BN:
            return "update_bn"
        if of_function(code):
            return "checkpoint" if "checkpoint" in code.co_filename else "function"
        frame = frame.f_back
    return ""


def of_function(code: CodeType) -> bool:
    """Whether this is the forward of a custom autograd function, which runs without recording."""
    return code.co_name == "forward" and code.co_varnames[:1] == ("ctx",)


def counts_anew(recorder: "Recorder", number: int) -> bool:
    """Whether a norm in train mode was made to average its statistics anew: a cumulative average,
    or statistics reset since the last step."""
    moves = recorder.moves
    tree = moves.trees.get(number)
    if tree is None:
        return False
    for place in tree.norms:
        norm: Any = tree.held[place]()
        if norm is not None and norm.training:
            reset = moves.reset.get(tree.numbers[place], -1)
            if norm.momentum is None or reset == recorder.step:
                return True
    return False


def dice(where: nn.Module | torch.Tensor | None) -> tuple[torch.Tensor, int]:
    """Where the random number generators that this module's dropouts draw from stand now, or those
    of a tensor's device."""
    offset = -1
    tensor = next(members.parameters(where), None) if isinstance(where, nn.Module) else where
    if tensor is not None and tensor.device.type == "cuda":
        try:
            offset = torch.cuda.default_generators[tensor.device.index].get_offset()
        except Exception:  # under graph capture
            offset = -1
    return torch.get_rng_state(), offset


def rolled(before: tuple[torch.Tensor, int], now: tuple[torch.Tensor, int]) -> bool:
    """Whether random numbers were drawn between two readings of ``dice``."""
    return before[1] != now[1] or not torch.equal(before[0], now[0])


def facts(recorder: "Recorder", number: int, index: int) -> tuple[str, bool]:
    """On whose behalf the forward that has just ended ran, and whether its output is thrown
    away."""
    known = recorder.forwards.unrecorded
    known.ran(number, index)
    purpose = on_behalf() or ("statistics" if counts_anew(recorder, number) else "")
    return purpose, known.discarded(recorder.places.frame(1))


def _throws(code: CodeType, lasti: int) -> bool:
    """Whether the instruction after the running one drops its value; a call into Python code
    stands at the last of its cache entries."""
    for instruction in dis.get_instructions(code):
        if instruction.offset > lasti:
            name = instruction.opname
            return name == "POP_TOP" or (name.startswith("STORE_") and instruction.argval == "_")
    return False


def _key(tensor: torch.Tensor) -> Key:
    base = tensor._base if tensor._base is not None else tensor
    try:
        counter = tensor._version
    except RuntimeError:  # inference tensors keep none
        counter = -1
    return weakref.ref(base), tensor.storage_offset(), tuple(tensor.shape), counter


def _same(one: Key, other: Key) -> bool:
    held = one[0]()
    return held is not None and held is other[0]() and one[1:] == other[1:]
