"""Brought: parameters whose values the program's own code has brought from elsewhere."""

import ast
import sys
from types import FrameType
from typing import TYPE_CHECKING

import torch

from steplens.model.newest import Newest
from steplens.record.source import spans, syntax_tree
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 4096  # places in memory remembered
LINES = 256  # that copy
WITHIN = 8  # frames of ours between a writer and what called it
DRAWN = frozenset((
    "randn", "rand", "normal", "uniform", "randn_like", "rand_like", "normal_", "uniform_", "zeros",
    "ones", "full", "eye", "randint", "sample", "standard_normal", "random", "orthogonal", "qr",
))  # fmt: skip


class Brought:
    """The memory that lines of the program's copied values into before the first step, other than
    values that they made on the spot: not torch's initializers, which copy as well (an orthogonal
    matrix), nor a state that is loaded."""

    def __init__(self) -> None:
        self.places = Newest[tuple[int, int], None](MOST)
        self.lines: dict[tuple[str, int], bool] = {}  # whether what they copy was there before

    def written(self, recorder: "Recorder", tensor: torch.Tensor) -> None:
        """A tensor is copied into, or into a part of it."""
        if not tensor.is_floating_point() or not tensor.dim():
            return
        place = pointer(tensor)
        if not place or (key := (place, tensor.untyped_storage().nbytes())) in self.places:
            return
        frame = _caller()
        if recorder.places.owns(frame.f_code) and self._brings(frame):
            self.places[key] = None

    def has(self, tensor: torch.Tensor) -> bool:
        """Whether a parameter's values were copied, or lie in memory that is not torch's own: an
        array's."""
        try:
            storage = tensor.untyped_storage()
            own = storage.resizable() or storage.is_shared()
            if storage.device.type == "cpu" and not own:
                return True
            return (storage.data_ptr(), storage.nbytes()) in self.places
        except Exception:  # foreign tensors have no storage
            return False

    def _brings(self, frame: FrameType) -> bool:
        """Whether the statement that copies makes no new values itself, to copy them."""
        key = frame.f_code.co_filename, frame.f_lineno
        known = self.lines.get(key)
        if known is None:
            if len(self.lines) >= LINES:
                return True
            known = self.lines[key] = not _draws(*key)
        return known


def _draws(filename: str, line: int) -> bool:
    tree = syntax_tree(filename)
    return tree is not None and any(
        ast.unparse(call.func).rpartition(".")[2] in DRAWN
        for node in ast.walk(tree)
        if isinstance(node, (ast.Expr, ast.Assign)) and spans(node, line)
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
    )


def _caller() -> FrameType:
    """The frame that called the writer."""
    frame, left = sys._getframe(2), WITHIN
    while frame.f_back is not None and left and "/steplens/record/" in frame.f_code.co_filename:
        frame, left = frame.f_back, left - 1
    return frame
