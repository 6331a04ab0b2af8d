"""Hunt: where the values of parameters that no loss reaches leave the graph."""

import ast
import os
import sys
from collections.abc import Iterable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Cut, Forward
from steplens.model.site import Site
from steplens.record.breaks import break_line
from steplens.record.graph import Walk
from steplens.record.listening import Listening, given_to, name_of
from steplens.record.silence import SILENCE, aside, unheard
from steplens.record.source import syntax_tree
from steplens.record.unrecorded import of_function

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


@torch.no_grad()
def _decorator() -> FrameType:
    return sys._getframe(1)


CHECKPOINT = "checkpoint"
SWITCHES = ("no_grad", "inference_mode", "set_grad_enabled")
FORWARDS = 4  # looked into for the same tensors
TENSORS = 4096  # hunted for in one run
COMPARISONS = {
    "gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "==", "ne": "!=",
    "__gt__": ">", "__lt__": "<", "__ge__": ">=", "__le__": "<=", "__eq__": "==", "__ne__": "!=",
}  # fmt: skip
with aside():  # the first watch may begin in a mode of the program's
    DECORATED = _decorator().f_code  # what runs for a function under such a decorator
COPIED = ("data", "detach", "item", "tolist", "numpy")  # of a parameter itself, too
VALUES = ("item", "tolist", "numpy", "__float__", "__int__", "__bool__", "__array__")


class Hunt:
    """The tensors hunted for, and how many forwards may still be looked into.

    It begins when a step shows tensors of its optimizer that no backward has reached, so that a
    program which reaches all it trains pays nothing.
    """

    def __init__(self) -> None:
        self.tensors: set[int] = set()
        self.known: set[int] = set()
        self.left = 0
        self.dark = 0  # forwards under `no_grad` that may still be looked into
        self.asleep: set[int] = set()  # tensors told to be used in such a forward
        self.driven = False  # what runs without recording was given more than parameters to train
        self.backwards = 0  # passes whose function may still be read
        self.forwards: dict[int, Forward] = {}  # outermost module -> its newest training forward

    def seek(self, tensors: Iterable[int]) -> None:
        """Begin to look for what cuts these off, once for each."""
        new = set(tensors) - self.known
        if new and len(self.known) < TENSORS:
            self.known |= new
            self.tensors |= new
            self.left = self.dark = self.backwards = FORWARDS

    def begin(self, recorder: "Recorder", module: nn.Module) -> "Search | None":
        """Before a forward in training: a mode to hear its torch functions."""
        lit = torch.is_grad_enabled()
        if not module.training or recorder.not_seen or not (lit or self.dark > 0):
            return None
        return Search(recorder, self, lit)

    def ran(self, recorder: "Recorder", event: Forward) -> None:
        """A forward ended: it has been looked into."""
        if event.training and event.grad and event.recorded:
            self.forwards[event.module] = event
            self.left -= 1
        elif event.training and not event.grad:
            self.dark -= 1

    def slept(self, recorder: "Recorder", tensors: set[int], site: Any) -> None:
        """Tell that these were used in a forward under ``no_grad``, once; it may be an evaluation,
        so that they are looked for in the next ones."""
        if new := tensors & self.tensors - self.asleep:
            self.asleep |= new
            self._tell(recorder, "no_grad", new, site, dark=True)

    def found(
        self, recorder: "Recorder", how: str, tensors: Iterable[int], site: Any, graph: bool = False
    ) -> None:
        """Tell of a cut, and look for these no longer."""
        self.tensors.difference_update(tensors)
        if not self.tensors:
            self.left = 0
        self._tell(recorder, how, tensors, site, graph=graph)

    def _tell(
        self,
        recorder: "Recorder",
        how: str,
        tensors: Iterable[int],
        site: Any,
        graph: bool = False,
        dark: bool = False,
    ) -> None:
        cut_off = tuple(sorted(set(tensors)))
        call = _checkpointed(recorder) if how == "no_grad" and not self.driven else None
        if call is not None:
            how, site, dark = CHECKPOINT, call, False
        off = _decorated(recorder) if how == "no_grad" else (None, None)
        if how == "no_grad" and off == (None, None):
            off = _within(recorder), None
        index = recorder.index()
        recorder.emit(Cut(index, recorder.step, site, how, cut_off, *off, graph, dark))

    def after_backward(self, recorder: "Recorder", reached: tuple[int, ...]) -> None:
        """Read, in the source of the function that goes backward, where what a forward gave out
        ends that this backward does not reach."""
        self.backwards -= 1
        frame = recorder.places.frame(1)
        roster = recorder.roster
        for module, forward in list(self.forwards.items()):
            tensors = [t for t in self.tensors if roster.tensors[t].root == module]
            if not tensors or frame is None or forward.site is None or forward.index in reached:
                continue
            end = break_line(frame, forward.site)
            if end is not None:
                place = recorder.places.line(frame.f_code, end.line)
                self.found(recorder, end.how.strip(".()"), tensors, place)


class Search(Listening):
    """Hears the torch functions of one forward, for the first that takes a value which depends on a
    hunted tensor and gives one without a graph."""

    def __init__(self, recorder: "Recorder", hunt: Hunt, lit: bool) -> None:
        super().__init__()
        self.recorder = recorder
        self.hunt = hunt
        self.lit = lit  # recording was on as the forward began
        hunt.driven = False

    def listens(self) -> bool:
        """While something is hunted for."""
        return bool(self.hunt.tensors) and not SILENCE.quiet

    def failed(self, error: Exception) -> None:
        """Nothing is hunted for any more."""
        self.hunt.tensors.clear()
        self.recorder.fault("hunt", error)

    @unheard
    def heard(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Does it take a hunted value out of the graph?"""
        name = name_of(func)
        if not ends(name, result):
            return
        given = [t for t in given_to(args, kwargs) if t.requires_grad]
        if not given:
            return
        recorder, hunt = self.recorder, self.hunt
        if torch.is_grad_enabled():
            if name not in COPIED and name not in COMPARISONS:  # else shapes and the like, too
                given = [tensor for tensor in given if tensor.grad_fn is not None]
            if cut_off := self._hunted(Walk(given).leaves if given else []):
                hunt.found(recorder, COMPARISONS.get(name, name), cut_off, recorder.site())
            return
        hunt.driven |= any(not isinstance(tensor, nn.Parameter) for tensor in given)
        made = [tensor for tensor in given if tensor.grad_fn is not None]
        if cut_off := self._hunted(Walk(made).leaves if made else []):
            hunt.found(recorder, "no_grad", cut_off, recorder.site(), graph=True)
        if cut_off := self._hunted([tensor for tensor in given if tensor.is_leaf]):
            if self.lit:
                hunt.found(recorder, "no_grad", cut_off, recorder.site())
            else:
                hunt.slept(recorder, cut_off, recorder.site())

    def _hunted(self, leaves: list[torch.Tensor]) -> set[int]:
        accounts = [self.recorder.census.known(leaf) for leaf in leaves]
        return {a.number for a in accounts if a is not None} & self.hunt.tensors


def _decorated(recorder: "Recorder") -> tuple[Site | None, Site | None]:
    """Where the running function is one that a context manager of torch's decorates: the line that
    called it, and that of the decorator."""
    frame = recorder.places.frame(2)
    if frame is None or frame.f_back is None or frame.f_back.f_code is not DECORATED:
        return None, None
    _, caller = recorder.places.call(2)
    return caller, recorder.places.line(frame.f_code, frame.f_code.co_firstlineno)


def _checkpointed(recorder: "Recorder") -> Site | None:
    """The user's line that called a reentrant checkpoint which the running function is within. It
    records its block only where an input of it requires a gradient: else none reaches the
    parameters (https://docs.pytorch.org/docs/stable/checkpoint.html)."""
    frame = recorder.places.frame(2)
    while frame is not None and not _reenters(frame.f_code):
        frame = frame.f_back
    while frame is not None and not recorder.places.owns(frame.f_code):
        frame = frame.f_back
    return recorder.places.line(frame.f_code, frame.f_lineno) if frame is not None else None


def _reenters(code: CodeType) -> bool:
    return of_function(code) and code.co_filename.replace(os.sep, "/").endswith(
        "torch/utils/checkpoint.py"
    )


def _within(recorder: "Recorder") -> Site | None:
    """The line, of a function that called the running one, which stands in a block that switches
    recording off."""
    frame = recorder.places.frame(2)
    while frame is not None and (frame := frame.f_back) is not None:
        if recorder.places.owns(frame.f_code) and _dark(frame.f_code.co_filename, frame.f_lineno):
            return recorder.places.line(frame.f_code, frame.f_lineno)
    return None


def _dark(file: str, line: int) -> bool:
    tree = syntax_tree(file)
    return any(
        isinstance(node, ast.With)
        and node.body[0].lineno <= line <= (node.end_lineno or 0)
        and any(word in ast.unparse(item.context_expr) for item in node.items for word in SWITCHES)
        for node in (ast.walk(tree) if tree is not None else ())
    )


def ends(name: str, result: Any) -> bool:
    """Whether what a function gave is a value, and none of it has a graph."""
    if name in VALUES:
        return True
    if name in ("grad", "grad_fn") or (name.endswith("_") and not name.endswith("__")):
        return False
    if name.startswith("new_") or name.endswith("_like"):
        return False  # of its shape, not of its values
    found = result if isinstance(result, (list, tuple)) else (result,)
    tensors = [value for value in found if isinstance(value, torch.Tensor)]
    return bool(tensors) and not any(tensor.requires_grad for tensor in tensors)
