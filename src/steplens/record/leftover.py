"""Leftover: the last batch of a loader's iterator, given to models after the iterator has ended."""

import ast
import dis
import weakref
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Batch
from steplens.model.site import Site
from steplens.record.nested import tensors_in
from steplens.record.samples import is_of
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOOKS = 4  # forwards in a row that were given the batch


class Leftover:
    """The last batch of the iterator that ended last, at a call such as `next`, until another
    batch is read or a model in training is given something else."""

    def __init__(self) -> None:
        self.batch: list[weakref.ref[torch.Tensor]] = []
        self.loader, self.count = -1, 0
        self.site: Site | None = None
        self.caught: Site | None = None  # the first line of what is done instead
        self.given = 0

    def ended(self, recorder: "Recorder", loader: int, count: int) -> None:
        """An iterator has ended after so many batches: of a `for`, nothing is awaited."""
        frame = recorder.places.frame(1)
        if frame is None or frame.f_lasti < 0 or not count:
            return
        if dis.opname[frame.f_code.co_code[frame.f_lasti]] != "FOR_ITER":
            self.batch, self.given = recorder.batches.latest, 0
            self.loader, self.count, self.site = loader, count, recorder.site()
            line = _caught_at(frame.f_code.co_filename, frame.f_lineno)
            self.caught = recorder.places.line(frame.f_code, line) if line else None

    def read(self) -> None:
        """A batch is read, or a pass begins."""
        if self.batch:
            self.batch = []

    def look(self, recorder: "Recorder", training: bool, args: Any, kwargs: Any) -> None:
        """A model was given something while the batch is awaited."""
        if not training or not torch.is_grad_enabled():
            return
        batch = [tensor for ref in self.batch if (tensor := ref()) is not None]
        if not any(is_of(tensor, batch) for tensor in tensors_in((args, kwargs))):
            self.batch = []
            return
        self.given += 1
        if self.given == LOOKS:
            self.batch = []
            index, step = recorder.index(), recorder.step
            event = Batch(index, step, self.site, "left", self.loader, self.count, made=self.caught)
            recorder.emit(event)


def _caught_at(file: str, line: int) -> int:
    """The first line of the clause that catches a `StopIteration` raised at this line, 0 for
    none."""
    tree = syntax_tree(file)
    found = 0
    for node in ast.walk(tree) if tree is not None else ():  # outer ones come first
        if isinstance(node, ast.Try) and any(
            each.lineno <= line <= (each.end_lineno or 0) for each in node.body
        ):
            for clause in node.handlers:
                kind = ast.unparse(clause.type) if clause.type is not None else "Exception"
                if "StopIteration" in kind or kind == "Exception":
                    found = clause.body[0].lineno
                    break
    return found
