"""One extra look: does one sample of a batch change another sample's output?

Taken once for a small module, at one of its first forwards in training, when it was given a batch
that a DataLoader stacked (so that dimension 0 is known to be the samples'); of other input only a
view that mixes is told of, or a layer or softmax that takes dimension 0 for its sequence while the
module gives one row for each of it, or of rows that were drawn from a larger tensor out of order.
A copy in eval mode is called with the batch and with the batch in which one sample was replaced by
another. The program's random numbers, its module and its graph are as they were before. Modules
whose code prints, logs or writes, and those with hooks, are not looked at.
"""

import copy
import dis
import random
import sys
import warnings
import weakref
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Mixed
from steplens.model.site import Site
from steplens.record import members
from steplens.record.mixing import spot
from steplens.record.nested import tensors_in
from steplens.record.samples import drawn_from_more, is_of, many, rows_of_numbers, rowwise
from steplens.record.silence import overheard

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST_BYTES = 20_000_000  # of a module's parameters and buffers
MOST_MODULES = 1000  # in it: a copy takes about 10 kB for each
MOST_INPUT = 4_000_000  # elements of a batch
MOST_LOOKS = 4
LEAST = 1e-6  # a change of this part of the largest output; where rows are apart it is 0
LOUD = frozenset((
    "print", "open", "write", "input", "log", "logger", "logging", "info", "debug", "warning",
    "warn", "wandb", "writer", "add_scalar", "save", "savefig", "put", "send", "breakpoint",
    "set_trace", "sleep", "exit", "tqdm", "seed", "manual_seed", "pprint", "display", "system",
))  # fmt: skip


class Rows:
    """The modules looked at."""

    def __init__(self) -> None:
        self.tried: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self.left = MOST_LOOKS

    def look(self, recorder: "Recorder", module: nn.Module, args: Any, kwargs: Any) -> None:
        """After a root module's forward in training: take the look, if it can be had here."""
        if not module.training or module in self.tried or not torch.is_grad_enabled():
            return
        if recorder.place() is not None:  # its forward may be a collective, which all ranks join
            return
        if overheard():
            return
        batch = [tensor for ref in recorder.batches.latest if (tensor := ref()) is not None]
        given = [tensor for tensor in tensors_in((args, kwargs)) if is_of(tensor, batch)]
        stacked = bool(given)
        if recorder.cadence.step > 1:  # the module of a later phase: at its first forward only
            self.tried.add(module)
        if not stacked:
            given = [tensor for tensor in tensors_in((args, kwargs)) if many(tensor)]
        several = bool(given)
        if not given:
            given = [tensor for tensor in tensors_in((args, kwargs)) if rows_of_numbers(tensor)]
        if not given or len({len(tensor) for tensor in given}) != 1:
            return
        first = next(iter(tensors_in((args, kwargs))), given[0])
        if first.shape[:1] != given[0].shape[:1]:
            return  # the output's rows may be this one's, each made of the whole batch
        self.tried.add(module)
        self.left -= 1
        if not small(module, given) or not quiet_code(recorder, module):
            return
        with recorder.quiet(), own_numbers():
            found = _mixes(recorder, module, args, kwargs, {id(tensor) for tensor in given})
            drawn = found is not None and not stacked and drawn_from_more(given)
        told = found is not None and (
            stacked or drawn or (several and (found[2] == "view" or rowwise(found, given, module)))
        )
        if found is not None and told:
            rows, op, form, where, _ = found
            if form == "product" and all(map(rows_of_numbers, given)):
                form = "other"  # rows have no sequence for which a product could take the batch
            recorder.emit(
                Mixed(
                    recorder.index(),
                    recorder.step,
                    recorder.site(),
                    recorder.census.module(module),
                    len(given[0]),
                    rows,
                    op,
                    form,
                    where,
                    recorder.batches.shuffled if stacked else (drawn or None),
                    given[0].dim(),
                )
            )


def small(module: nn.Module, given: list[torch.Tensor]) -> bool:
    held = [*members.parameters(module), *members.buffers(module)]
    size = sum(tensor.numel() * tensor.element_size() for tensor in held)
    if size > MOST_BYTES or sum(tensor.numel() for tensor in given) > MOST_INPUT:
        return False
    for number, child in enumerate(members.modules(module), 1):
        if number > MOST_MODULES or isinstance(child, torch.jit.ScriptModule) or _hooked(child):
            return False
        if isinstance(child, nn.modules.batchnorm._BatchNorm) and child.running_mean is None:
            return False
    return type(module).__name__ not in ("DistributedDataParallel", "DataParallel", "FSDP")


def _hooked(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def quiet_code(recorder: "Recorder", module: nn.Module) -> bool:
    """Whether the code of a module's own classes prints, logs and writes nothing."""
    for kind in {type(child) for child in members.modules(module)}:
        for each in vars(kind).values():
            if not isinstance(each, FunctionType) or each.__name__ == "__init__":
                continue
            if recorder.places.owns(each.__code__) and (_loud(each.__code__) or _reaches_out(each)):
                return False
    return True


def _loud(code: CodeType) -> bool:
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return (
        not LOUD.isdisjoint(code.co_names)
        or any(_stores_outside(code, *pair) for pair in pairwise(dis.get_instructions(code)))
        or any(map(_loud, inner))
    )


def _stores_outside(code: CodeType, before: dis.Instruction, step: dis.Instruction) -> bool:
    """Whether two instructions in a row set a global variable, or an attribute of something that is
    not the module (`Net.calls = 1`, `type(self).calls += 1`)."""
    if step.opname == "STORE_GLOBAL":
        return True
    outer = before.opname == "LOAD_GLOBAL" or (
        before.opname == "LOAD_DEREF" and before.argval in code.co_freevars
    )
    if step.opname == "STORE_ATTR":
        return outer
    return step.opname == "COPY" and step.arg == 1 and (outer or before.opname == "CALL")


def _reaches_out(function: FunctionType) -> bool:
    """Whether a function uses a global or enclosing list, dictionary or set, which the copy would
    share, calls a function of its module that prints, or a method of a global object."""
    names = function.__code__.co_names
    outside = [function.__globals__[name] for name in names if name in function.__globals__]
    for cell in function.__closure__ or ():
        try:
            outside.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    if any(
        isinstance(each, (list, dict, set))
        or (isinstance(each, FunctionType) and _loud(each.__code__))
        for each in outside
    ):
        return True
    return any(
        before.opname == "LOAD_GLOBAL"
        and _own_object(function.__globals__.get(before.argval))
        and (step.opname == "LOAD_METHOD" or "NULL" in step.argrepr)
        for before, step in pairwise(dis.get_instructions(function.__code__))
    )


def _own_object(thing: Any) -> bool:
    """Whether a global is an object of a class of the program's, other than a module."""
    kind = type(thing)
    held = isinstance(thing, (nn.Module, torch.Tensor, type, FunctionType))
    return not held and kind.__module__ in ("__main__", "__mp_main__")


def _no_native() -> AbstractContextManager[None]:
    return torch.backends.cudnn.flags(enabled=False)  # its RNNs go backward in train mode only


@contextmanager
def graph_of_copy(lines: bool = True) -> Generator[None, None, None]:
    """A graph is made, of a copy in eval mode; each node keeps the lines that made it, if asked."""
    before = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    with torch.enable_grad(), _no_native(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.autograd.set_detect_anomaly(lines, check_nan=False)
        try:
            yield
        finally:
            torch.autograd.set_detect_anomaly(*before)


@contextmanager
def own_numbers() -> Generator[None, None, None]:
    """The program's random numbers are as before."""
    numpy: Any = sys.modules.get("numpy")
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    numpy_state = numpy.random.get_state() if numpy is not None else None
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        torch.set_rng_state(torch_state)
        random.setstate(python_state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)
        if devices is not None:
            torch.cuda.set_rng_state_all(devices)


def _mixes(
    recorder: "Recorder", module: nn.Module, args: Any, kwargs: Any, given: set[int]
) -> tuple[int, str, str, Site | None, int] | None:
    try:
        twin = copy.deepcopy(module).eval()
        for child in members.modules(twin):
            child.training = False  # though a class's own `train` may keep it from its children
    except Exception:  # a module that cannot be copied
        return None
    try:
        state = torch.get_rng_state()
        with torch.no_grad():
            plain = _output(twin, _swapped((args, kwargs), given, None), given)
            torch.set_rng_state(state)
            changed = _output(twin, _swapped((args, kwargs), given, (0, 1)), given)
            torch.set_rng_state(state)
            again = _output(twin, _swapped((args, kwargs), given, None), given)
        if plain is None or changed is None or again is None or plain.shape != changed.shape:
            return None
        batch = plain.shape[0]
        if not torch.equal(plain, again) or (plain.dim() > 1 and plain.shape[1] == batch):
            return None
        apart = (plain - changed).abs().flatten(1).amax(1) > LEAST * float(plain.abs().max())
        rows = [row for row in range(1, batch) if bool(apart[row])]
        if not rows:
            return None
        return (len(rows), *_spot(recorder, twin, args, kwargs, given, rows[0]), plain.dim())
    except Exception:  # a batch with another sample in it does not go through
        return None


def _swapped(value: Any, given: set[int], rows: tuple[int, int] | None) -> Any:
    """The arguments with copies of the batch's tensors, one of their samples put in another's
    place."""
    if isinstance(value, torch.Tensor):
        if id(value) not in given:
            return value
        fresh = value.detach().clone()
        if rows is not None:
            fresh[rows[0]] = value[rows[1]].detach()
        return fresh
    if isinstance(value, dict):
        return {key: _swapped(item, given, rows) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_swapped(item, given, rows) for item in value)
    return value


def _output(twin: nn.Module, call: Any, given: set[int]) -> torch.Tensor | None:
    """The first output that has a row for each sample."""
    args, kwargs = call
    batch = next((len(tensor) for tensor in tensors_in(call)), 0)
    for output in tensors_in(twin(*args, **kwargs)):
        if output.is_floating_point() and output.dim() and len(output) == batch > 1:
            return output.float() if output.dim() > 1 else output.float().unsqueeze(1)
    return None


def _spot(
    recorder: "Recorder", twin: nn.Module, args: Any, kwargs: Any, given: set[int], row: int
) -> tuple[str, str, Site | None]:
    """The operation of the copy at which samples mix: its output belongs to one sample, its input
    does not."""
    call = _swapped((args, kwargs), given, None)
    for tensor in tensors_in(call):
        if tensor.is_floating_point() and tensor.is_leaf:
            tensor.requires_grad_()
    with graph_of_copy():
        output = _output(twin, call, given)
    with torch.enable_grad(), _no_native():
        return spot(recorder, twin, output, row) if output is not None else ("", "other", None)
