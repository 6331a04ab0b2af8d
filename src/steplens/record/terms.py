"""Terms: what a loss adds by value alone, though it was computed from what is being trained."""

import sys
import weakref
from collections.abc import Iterator
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from steplens.model.event import Term
from steplens.model.site import Site
from steplens.record.graph import sequence_number
from steplens.record.hunt import COMPARISONS, ends
from steplens.record.listening import Listening, given_to, name_of
from steplens.record.nil import FUNCTIONS, one
from steplens.record.norms import readable
from steplens.record.short import transforming
from steplens.record.silence import SILENCE, function_modes, unheard, within

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LISTENED = 2  # steps listened to, for each line that goes backward
LINES = 16  # of these
ZEROS = 3  # times that a sum with 0 is asked about again
CALLS = 4000  # torch functions heard in one step
CHAIN = 64  # nodes looked at below a loss
SUMS = ("AddBackward0", "SubBackward0")
ADDING = frozenset((
    "add", "add_", "sub", "sub_", "subtract", "rsub", "__add__", "__radd__", "__iadd__", "__sub__",
    "__rsub__", "__isub__",
))  # fmt: skip
LINEAR = frozenset((
    *SUMS, "RsubBackward1", "RsubBackward0", "MulBackward0", "DivBackward0", "NegBackward0",
    "MeanBackward0", "SumBackward0", "ToCopyBackward0", "SqueezeBackward0", "ViewBackward0",
))  # fmt: skip
GRADIENTS = "autograd.grad"
NIL = "nil "  # before the name of a loss whose two sides are one
INDEXING = frozenset((
    "gather", "__getitem__", "index_select", "take_along_dim", "take", "embedding", "masked_select",
))  # fmt: skip
ON_PURPOSE = frozenset(("detach", "detach_", "data"))


class Source(NamedTuple):
    """What cut a value off: the function, and its line."""

    how: str
    site: Site | None


class Added(NamedTuple):
    """A sum of a scalar with a graph and one without: the number of its node."""

    node: int
    value: torch.Tensor
    source: Source
    site: Site | None


class Terms:
    """Which losses add something without a graph, and the step that is listened to for what it is.

    Only where the graph of a loss shows such a sum is a step listened to, so that other programs
    pay nothing.
    """

    def __init__(self) -> None:
        self.left = 0
        self.seen: set[Site | None] = set()
        self.zeros: dict[Site | None, int] = {}  # steps at which a line's sum added 0
        self.told: set[Site | None] = set()
        self.listener: Listener | None = None
        self.compiled = _compiled()

    def listen(self, recorder: "Recorder") -> None:
        """A forward of the program's has ended: hear the torch functions from here to the loss.
        Modes that the program enters are left before ours: there is none now but a default
        device's."""
        self.end()
        apart = within() or recorder.not_seen or _compiled() != self.compiled
        if self.listener is None and not apart:
            self.left -= 1
            self.listener = Listener(recorder)
            self.listener.__enter__()

    def end(self) -> None:
        """The next step or forward begins: hear no longer, where the mode can be taken off now. In
        the backward it cannot: torch goes backward within what the mode hears."""
        listener = self.listener
        if listener is None or not listener.done or listener.thread != get_ident():
            return
        count = function_modes()
        if count and torch._C._get_function_stack_at(count - 1) is listener:
            listener.__exit__(None, None, None)
            self.listener = None

    def stop(self) -> None:
        """The run is over."""
        if self.listener is not None:
            self.listener.done = True
            self.end()

    def before_backward(self, recorder: "Recorder", roots: list[torch.Tensor]) -> None:
        """Look for sums with something that has no graph, and tell what was heard of them."""
        sums = {sequence_number(node) for root in roots for node in _sums(root.grad_fn)}
        listener, site = self.listener, recorder.site()
        if listener is not None and listener.thread == get_ident() and not listener.done:
            listener.done = True
            for added in listener.added:
                known = added.source.site in self.told or added.source in listener.chosen
                if added.node in sums and not known and not self._tell(recorder, added, roots[0]):
                    self._again(site)
        elif sums and site not in self.seen and len(self.seen) < LINES:
            self.seen.add(site)
            self.left = LISTENED

    def _again(self, site: Site | None) -> None:
        """What was added was 0: it may be a constant; or something else at a later step."""
        times = self.zeros[site] = self.zeros.get(site, 0) + 1
        if times < ZEROS:
            self.seen.discard(site)

    def _tell(self, recorder: "Recorder", added: Added, loss: torch.Tensor) -> bool:
        """Tell of a sum, unless nothing was added by it."""
        source, value = added.source, added.value
        read = all(readable(each) and recorder.cadence.may_read(each) for each in (value, loss))
        numbers = (float(value.detach()), float(loss.detach())) if read else (None, None)
        if numbers[0] == 0 and not source.how.startswith(NIL):
            return False  # as the log density of a point at itself
        self.told.add(source.site)
        finite = [n if n is not None and abs(n) < float("inf") else None for n in numbers]
        recorder.emit(
            Term(
                recorder.index(), recorder.step, source.site, source.how, *finite, joined=added.site
            )
        )
        return True


class Listener(Listening):
    """Follows values that were cut off from the graph, not on purpose, into sums with what has
    one."""

    def __init__(self, recorder: "Recorder") -> None:
        super().__init__()
        self.recorder = recorder
        self.thread = get_ident()
        self.done = False
        self.calls = 0
        # by id: a value without a graph, and what cut it off; None: on purpose
        self.values: dict[int, tuple[weakref.ref[torch.Tensor], Source | None]] = {}
        self.added: list[Added] = []
        self.chosen: set[Source] = set()

    def listens(self) -> bool:
        """Until the loss goes backward."""
        return not self.done and not SILENCE.quiet and not transforming()

    def failed(self, error: Exception) -> None:
        """Nothing more is heard."""
        self.done = True
        self.recorder.fault("terms", error)

    @unheard
    def heard(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Does it cut a value off, or add one that was?"""
        self.calls += 1
        self.done = self.calls >= CALLS
        given = given_to(args, kwargs)
        lit = [tensor for tensor in given if tensor.requires_grad]
        sources = [known[1] for tensor in given if (known := self._known(tensor)) is not None]
        if not lit and not sources and getattr(func, "__name__", "") in FUNCTIONS:
            self._nil(name_of(func), args, kwargs, result)
        if not sources and not lit:
            return
        gradients = getattr(func, "__name__", "") == "grad"  # not the attribute's, `__get__`
        name = GRADIENTS if gradients else name_of(func)
        several = result if isinstance(result, (list, tuple)) else (result,)
        for made in several:
            if not isinstance(made, torch.Tensor):
                continue
            if not made.requires_grad:
                self._cut(name, made, lit, sources)
            elif name in INDEXING:  # the best of several is chosen, by values that have a graph
                self.chosen.update(source for source in sources if source is not None)
            elif name in ADDING and lit and made.numel() == 1 and made.grad_fn is not None:
                self._sum(made, given)

    def _nil(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        """A loss of two things without a graph: of one and the same? That is a term of 0."""
        given = dict(zip(("input", "target"), args, strict=False)) | (kwargs or {})
        if not isinstance(result, torch.Tensor) or result.numel() > 1:
            return
        if torch.is_grad_enabled() and one(given.get("input"), given.get("target")):
            source = Source(f"{NIL}{name}", self.recorder.site())
            self.values[id(result)] = weakref.ref(result), source

    def _known(self, tensor: torch.Tensor) -> tuple[Any, Source | None] | None:
        known = self.values.get(id(tensor)) if not tensor.requires_grad else None
        return known if known is not None and known[0]() is tensor else None

    def _cut(
        self,
        name: str,
        made: torch.Tensor,
        lit: list[torch.Tensor],
        sources: list[Source | None],
    ) -> None:
        if name in ON_PURPOSE or not torch.is_grad_enabled():
            if not sources and not any(map(_trained, lit)):
                return  # of an input that gradients are asked for
            source = None
        elif name == GRADIENTS:
            source = Source(name, self.recorder.site())
        elif not (ends(name, made) or name in ADDING):  # an attribute, or new values
            return
        elif sources:
            source = None if None in sources else sources[0]
        elif name in COMPARISONS or any(tensor.grad_fn is not None for tensor in lit):
            source = Source(COMPARISONS.get(name, name), self.recorder.site())
        else:
            return
        self.values[id(made)] = weakref.ref(made), source

    def _sum(self, made: torch.Tensor, given: list[torch.Tensor]) -> None:
        for tensor in given:
            known = self._known(tensor)
            if known is not None and known[1] is not None and not tensor.requires_grad:
                number = sequence_number(made.grad_fn)
                self.added.append(Added(number, tensor, known[1], self.recorder.site()))


def _trained(tensor: torch.Tensor) -> bool:
    """Whether a tensor that requires gradients is no mere input."""
    return tensor.grad_fn is not None or isinstance(tensor, torch.nn.Parameter)


def _compiled() -> int:
    """How many graphs the process has compiled: a compiled function would be compiled anew under a
    mode."""
    counters = getattr(sys.modules.get("torch._dynamo.utils"), "counters", {})
    return int(counters["stats"]["unique_graphs"]) if "stats" in counters else 0


def _sums(root: Any) -> Iterator[Any]:
    """The sums that a loss ends with, which have a part without a graph."""
    waiting, seen = [root], 0
    while waiting and seen < CHAIN:
        node = waiting.pop()
        seen += 1
        if node is None or node.name() not in LINEAR:
            continue
        children = [child for child, _ in node.next_functions]
        if node.name() in SUMS and None in children:
            yield node
        waiting += children
