"""Held: plain tensor attributes of modules that forwards in training change and train with."""

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Held
from steplens.record import members
from steplens.record.listening import Listening, name_of
from steplens.record.settings import attribute_line

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

WATCHED = 6  # forwards of a model that are looked at, from its first in training on
READS = 2  # forwards that computed something with a graph of it, before it is told
MOST = 64  # attributes of one model
MODELS = 256
PLAIN = (torch.Tensor,)
LOOKS_ONLY = (
    "shape", "dtype", "device", "ndim", "requires_grad", "grad_fn", "is_cuda", "layout", "grad",
    "is_leaf", "size", "dim", "numel", "stride", "is_contiguous", "is_floating_point", "type",
    "data_ptr", "__len__", "__repr__", "__hash__", "nelement", "element_size", "_version",
    "is_sparse", "is_quantized", "is_meta", "names", "__deepcopy__", "__set__",
)  # fmt: skip


class Attribute:
    """A plain tensor attribute that stood before the model's first forward in training."""

    __slots__ = ("module", "name", "shape", "sum", "changes", "inside", "reads", "dead")

    def __init__(self, module: nn.Module, name: str, value: torch.Tensor) -> None:
        self.module = weakref.ref(module)
        self.name = name
        self.shape = tuple(value.shape)
        self.sum = _sum(value)
        self.changes = 0  # between the beginnings of two forwards
        self.inside = 0  # from the beginning of a forward to its end
        self.reads = 0
        self.dead = False

    def value(self) -> torch.Tensor | None:
        """The tensor that stands there now, None when it is no plain one of that shape."""
        module = self.module()
        found = vars(module).get(self.name) if module is not None else None
        if (
            found is None
            or type(found) not in PLAIN
            or found.requires_grad
            or tuple(found.shape) != self.shape
        ):
            return None
        return found


class Model:
    """The attributes of one model, and how many of its forwards were looked at."""

    __slots__ = ("attributes", "forwards")

    def __init__(self, attributes: list[Attribute]) -> None:
        self.attributes = attributes
        self.forwards = 0


class Reads(Listening):
    """Follows these tensors through the torch functions that are given them, other than to write
    them in place or ask for their shape: with which of them a value with a graph has been computed
    (``trained``). Notes, too, what is made by taking a trained value out of the graph, other than a
    running average that has no row for each sample."""

    def __init__(self, wanted: dict[int, Attribute]) -> None:
        super().__init__()
        self.wanted = wanted
        self.trained: set[int] = set()
        self.made: dict[int, tuple[weakref.ref[torch.Tensor], set[int]]] = {}  # of which of them
        self.detached: set[int] = set()
        self.rows = -1  # of the first tensor that is heard of
        self.averages: dict[int, tuple[weakref.ref[torch.Tensor], bool]] = {}  # whether all of one
        self.fault: Exception | None = None

    def failed(self, error: Exception) -> None:
        """It is told when the forward has ended."""
        self.fault = self.fault or error

    def heard(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """A torch function has been called."""
        name = name_of(func)
        writes = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        writes = writes or (name.startswith("__i") and name not in ("__invert__", "__int__"))
        if name not in LOOKS_ONLY:
            of: set[int] = set()
            for position, given in enumerate(_arguments(args, kwargs)):
                if id(given) in self.wanted and not (writes and position == 0):
                    of.add(id(given))
                known = self.made.get(id(given))
                if known is not None and known[0]() is given:
                    of |= known[1]
            self._follow(of, result)
        self._average(name.strip("_"), args, result)
        taken = name in ("detach", "data") and isinstance(result, torch.Tensor)
        source: Any = args[0] if taken else None
        trained = isinstance(source, torch.Tensor) and source.requires_grad
        if trained and not self._averaged(source):
            self.detached.add(id(result))

    def _average(self, name: str, args: Any, result: Any) -> None:
        """Follow ``m * old + (1 - m) * new``: a part of the old value, then their sum."""
        given = [each for each in args if isinstance(each, torch.Tensor)]
        if self.rows < 0 and given and given[0].dim() > 1:
            self.rows = len(given[0])
        if not isinstance(result, torch.Tensor) or len(args) != 2:
            return
        numbers = [each for each in args if isinstance(each, float) and 0 < each < 1]
        if name in ("mul", "rmul") and numbers and given and id(given[0]) in self.wanted:
            self.averages[id(result)] = weakref.ref(result), False
        elif name in ("add", "radd") and any(self._averaged(each) is False for each in given):
            whole = result.dim() > 0 and len(result) != self.rows
            self.averages[id(result)] = weakref.ref(result), whole

    def _averaged(self, tensor: torch.Tensor) -> bool | None:
        """Whether this is such a sum (True), or the part of one that is old; None for neither."""
        known = self.averages.get(id(tensor))
        return known[1] if known is not None and known[0]() is tensor else None

    def _follow(self, of: set[int], result: Any) -> None:
        """What was computed of them, so that it is known where it goes."""
        for made in result if isinstance(result, (list, tuple)) else (result,):
            if of and isinstance(made, torch.Tensor) and id(made) not in self.wanted:
                self.made[id(made)] = weakref.ref(made), of
                if made.requires_grad:
                    self.trained |= of


class HeldState:
    """Models are looked at in their first forwards in training; one without plain tensor attributes
    only once, and a mode that hears its torch functions is on only where one has changed."""

    def __init__(self) -> None:
        self.models: dict[int, Model] = {}
        self.bare: dict[int, tuple[weakref.ref[nn.Module], bool]] = {}

    def bears(self, module: nn.Module) -> bool:
        """Whether a module that is not watched otherwise, such as a loss without parameters, has
        plain tensor attributes of its own."""
        known = self.bare.get(id(module))
        if known is not None and known[0]() is module:
            return known[1]
        if len(self.bare) >= MODELS:
            return False
        found = any(type(value) in PLAIN for value in vars(module).values())
        self.bare[id(module)] = (weakref.ref(module), found)
        return found

    def begin(self, recorder: "Recorder", module: nn.Module, number: int) -> Reads | None:
        """Before a forward: see what changed since the last one; a mode to hear what it reads."""
        if not module.training or not torch.is_grad_enabled() or "held" in recorder.off:
            return None
        model = self.models.get(number)
        if model is None:
            if len(self.models) < MODELS:
                with recorder.quiet():
                    self.models[number] = Model(_attributes(module))
            return None
        if not model.attributes or model.forwards >= WATCHED or recorder.not_seen:
            return None
        model.forwards += 1
        wanted: dict[int, Attribute] = {}
        with recorder.quiet():
            for attribute in model.attributes:
                value = attribute.value()
                if value is None or attribute.dead:
                    attribute.dead = True
                    continue
                now = _sum(value)
                attribute.changes += now != attribute.sum
                attribute.sum = now
                if attribute.changes:
                    wanted[id(value)] = attribute
        return Reads(wanted) if wanted else None

    def end(self, recorder: "Recorder", mode: Reads) -> None:
        """After it: count the reads, and tell of what was read and had changed, twice."""
        if mode.fault is not None:
            raise mode.fault
        for key, attribute in mode.wanted.items():
            value = attribute.value()
            if value is None or id(value) in mode.detached:  # a hidden state, or a last output
                attribute.dead = True
                continue
            with recorder.quiet():
                attribute.inside += _sum(value) != attribute.sum
            attribute.reads += key in mode.trained
            module = attribute.module()
            if attribute.reads >= READS and attribute.inside >= READS and module is not None:
                attribute.dead = True
                recorder.emit(
                    Held(
                        recorder.index(),
                        recorder.step,
                        recorder.site(),
                        recorder.census.module(module),
                        attribute.name,
                        attribute.shape,
                        attribute.reads,
                        attribute_line(recorder.places, module, attribute.name),
                    )
                )


def _attributes(root: nn.Module) -> list[Attribute]:
    found: list[Attribute] = []
    for module in members.modules(root):
        for name, value in vars(module).items():
            if type(value) in PLAIN and not value.requires_grad and value.device.type != "meta":
                found.append(Attribute(module, name, value))
                if len(found) == MOST:
                    return found
    return found


def _sum(value: torch.Tensor) -> float:
    """A number that changes with the values: their sum weighted by position."""
    flat = value.detach().reshape(-1)[:4096].double()
    if not flat.numel():
        return 0.0
    weights = torch.arange(1, flat.numel() + 1, dtype=torch.float64, device=flat.device)
    return float((flat * weights.sqrt()).nan_to_num().sum())


def _arguments(args: Any, kwargs: Any) -> list[Any]:
    found: list[Any] = []
    for value in [*args, *(kwargs or {}).values()]:
        found += value if isinstance(value, (list, tuple)) else [value]
    return found
