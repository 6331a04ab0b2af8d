"""Probe of DataLoader workers: whether two of them draw the same random numbers, or one the same
in two passes.

A forked worker writes checksums of its generators' states, before its first batch and after the
first ones, to memory that it shares with the program. It draws nothing and sends nothing else.
Workers that were spawned are not looked at.
"""

import dis
import functools
import inspect
import json
import mmap
import os
import random
import sys
import zlib
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch
from torch import multiprocessing
from torch.utils.data import IterableDataset
from torch.utils.data._utils import fetch, worker

from steplens.model.event import Alike
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.datasets import parts
from steplens.record.wrap import replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

SLOT = 8192  # bytes for one worker
FETCHES = 3  # batches after which a worker looks at its generators
MOST = 256  # loaders whose passes are counted
PASSES = 2  # passes of one loader that are looked at
STARTS = ("torch", "random", "numpy.random")  # the generators that torch seeds in each worker


class Board:
    """Memory shared with the workers of one pass: a slot for each."""

    def __init__(self, workers: int) -> None:
        self.memory = mmap.mmap(-1, SLOT * workers)
        self.workers = workers

    def write(self, place: int, states: dict[str, list[int]]) -> None:
        """Put a worker's states into its slot; what is too long is left out."""
        text = json.dumps(states).encode()
        if place < self.workers and len(text) < SLOT - 8:
            begin = place * SLOT
            self.memory[begin : begin + 4] = b"\0\0\0\0"
            self.memory[begin + 4 : begin + 4 + len(text)] = text
            self.memory[begin : begin + 4] = len(text).to_bytes(4, "little")

    def read(self, place: int) -> dict[str, list[int]]:
        """What a worker has written so far."""
        begin = place * SLOT
        size = int.from_bytes(self.memory[begin : begin + 4], "little")
        try:
            return json.loads(self.memory[begin + 4 : begin + 4 + size]) if size else {}
        except ValueError:  # it was just being written
            return {}


class Workers:
    """The boards of the passes now running."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.boards: dict[int, Board] = {}
        self.current: Board | None = None
        self.passes = Newest[int, int](MOST)
        self.datasets: dict[int, tuple[Any, Any]] = {}
        # what the workers of a loader wrote in its first pass
        self.past = Newest[int, list[dict[str, list[int]]]](MOST)
        self.steps: dict[int, int] = {}  # at the beginning of a pass

    def prepare(self, recorder: "Recorder", loader: Any, number: int) -> None:
        """A pass is about to start its workers."""
        self.current = None
        self.boards.pop(number, None)
        self.datasets.pop(number, None)
        passes = self.passes.pop(number, 0) + 1
        self.passes[number] = passes  # the one used last comes last
        if loader.num_workers < 1 or passes > PASSES or not _forks(loader):
            return
        if passes > 1 and loader.persistent_workers:
            return
        self.boards[number] = self.current = Board(loader.num_workers)
        self.datasets[number] = _lines(recorder, loader)
        self.steps[number] = recorder.step

    def read(self, recorder: "Recorder", number: int) -> None:
        """A batch has come: have two workers drawn alike by now?"""
        board = self.boards.get(number)
        if board is None:
            return
        states = [board.read(place) for place in range(board.workers)]
        for second in range(1, board.workers):
            for first in range(second):
                what = alike(states[first], states[second])
                if what:
                    self._tell(recorder, number, (first, second), what)
                    return
        if all(len(each.get("torch", ())) > FETCHES for each in states):
            trained = recorder.step > self.steps.pop(number, 0)
            past = self.past.pop(number, None)
            if past is None and trained:
                self.past[number] = states
            for place, each in enumerate(states if past is not None and trained else ()):
                what = _repeated(past[place], each) if past and place < len(past) else ""
                if what:
                    self._tell(recorder, number, (place, place), what)
                    return
            del self.boards[number]

    def _tell(self, recorder: "Recorder", number: int, pair: tuple[int, int], what: str) -> None:
        del self.boards[number]
        self.passes[number] = PASSES
        find, (seeded, iterable) = self.datasets.pop(number)
        stored, drawn = find.get(what, (None, None))
        recorder.emit(
            Alike(
                recorder.index(),
                recorder.step,
                recorder.site(),
                number,
                pair,
                what,
                recorder.batches.made.get(number),
                stored,
                drawn,
                seeded,
                iterable,
            )
        )


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Let forked workers note the states of their generators."""
    original = worker._worker_loop
    workers = recorder.workers

    @functools.wraps(original)
    def _worker_loop(*args: Any, **kwargs: Any) -> None:
        board = workers.current
        if recorder.active and board is not None and os.getpid() != workers.process:
            recorder.active = False  # a worker is no part of the run
            try:
                place = inspect.signature(original).bind(*args, **kwargs).arguments["worker_id"]
                _note(board, int(place))
            except Exception:  # a fault of ours never ends a worker
                pass
        original(*args, **kwargs)

    return [replace(recorder, worker, "_worker_loop", _worker_loop)]


def _note(board: Board, place: int) -> None:
    """In a worker: look at the generators around its first fetches."""
    states: dict[str, list[int]] = {}
    left = [FETCHES]
    for kind in (fetch._MapDatasetFetcher, fetch._IterableDatasetFetcher):
        kind.fetch = _looking(kind.fetch, board, place, states, left)


def _looking(
    original: Callable[..., Any],
    board: Board,
    place: int,
    states: dict[str, list[int]],
    left: list[int],
) -> Callable[..., Any]:
    @functools.wraps(original)
    def look(self: Any, index: Any) -> Any:
        if not left[0]:
            return original(self, index)
        left[0] -= 1
        if not states:
            _look(self.dataset, states)
        data = original(self, index)
        _look(self.dataset, states)
        try:
            board.write(place, states)
        except Exception:
            left[0] = 0
        return data

    return look


def _look(dataset: Any, states: dict[str, list[int]]) -> None:
    try:
        for name, state in generators(dataset).items():
            states.setdefault(name, []).append(state)
    except Exception:  # a dataset that does not let itself be looked at
        return


def generators(dataset: Any) -> dict[str, int]:
    """Checksums of the states of all generators that a dataset may draw from."""
    numpy: Any = sys.modules.get("numpy")
    found = {
        "torch": _sum(torch.get_rng_state().numpy().tobytes()),
        "random": _sum(repr(random.getstate())),
    }
    if numpy is not None:
        found["numpy.random"] = _numpy_legacy(numpy.random.get_state())
    for path, _, part in [*parts(dataset), *_globals(dataset)]:
        state = _state(part)
        if state is not None:
            found[path] = state
    return found


def _state(part: Any) -> int | None:
    numpy: Any = sys.modules.get("numpy")
    if isinstance(part, random.Random):
        return _sum(repr(part.getstate()))
    if isinstance(part, torch.Generator):
        return _sum(part.get_state().numpy().tobytes())
    if numpy is not None and isinstance(part, numpy.random.Generator):
        return _sum(repr(part.bit_generator.state))
    if numpy is not None and isinstance(part, numpy.random.RandomState):
        return _numpy_legacy(part.get_state())
    return None


def _numpy_legacy(state: Any) -> int:
    return _sum(state[1].tobytes() + repr(tuple(state[2:])).encode())


def _sum(state: str | bytes) -> int:
    return zlib.crc32(state.encode() if isinstance(state, str) else state)


def _globals(dataset: Any) -> list[tuple[str, Any, Any]]:
    """Global generators that the dataset's own class names."""
    found: list[tuple[str, Any, Any]] = []
    for code, names in _codes(type(dataset)):
        for name in code.co_names:
            if name in names and _state(names[name]) is not None:
                found.append((name, None, names[name]))
    return found


def _codes(kind: type) -> list[tuple[CodeType, dict[str, Any]]]:
    found: list[tuple[CodeType, dict[str, Any]]] = []
    for base in kind.__mro__[:4]:
        for each in vars(base).values():
            if inspect.isfunction(each):
                found.append((each.__code__, each.__globals__))
    return found


def alike(one: dict[str, list[int]], two: dict[str, list[int]]) -> str:
    """The generator that two workers began in the same state and left in the same other one; ''
    for none."""
    for name, states in one.items():
        others = two.get(name, [])
        if not others or states[0] != others[0]:
            continue
        if (set(states) & set(others)) - {states[0]}:
            return name
    return ""


def _repeated(past: dict[str, list[int]], now: dict[str, list[int]]) -> str:
    """The generator that gave a worker in this pass what it gave in the one before; '' for none."""
    for name, states in now.items():
        if past.get(name) == states and len({*states}) > 1:
            return name
    return ""


def _forks(loader: Any) -> bool:
    context = loader.multiprocessing_context
    method = context.get_start_method() if context is not None else None
    return (method or multiprocessing.get_start_method()) == "fork"


def _lines(recorder: "Recorder", loader: Any) -> tuple[Any, Any]:
    """Where the dataset's classes keep and use each of their generators, and where the loader's
    ``worker_init_fn`` begins."""
    lines: dict[str, tuple[Site | None, Site | None]] = {}
    for path, owner, part in [*parts(loader.dataset), *_globals(loader.dataset)]:
        if _state(part) is not None:
            kind = type(owner if owner is not None else loader.dataset)
            lines[path] = _uses(recorder, kind, path.rpartition(".")[2])
    function = getattr(loader.worker_init_fn, "__code__", None)
    seeded = None
    if isinstance(function, CodeType) and recorder.places.owns(function):
        seeded = recorder.places.line(function, function.co_firstlineno)
    return lines, (seeded, isinstance(loader.dataset, IterableDataset))


def _uses(recorder: "Recorder", kind: type, name: str) -> tuple[Site | None, Site | None]:
    stored: Site | None = None
    drawn: Site | None = None
    for code, _ in _codes(kind):
        if not recorder.places.owns(code):
            continue
        for step in dis.get_instructions(code):
            line = step.positions.lineno if step.positions else None
            if step.argval != name or line is None:
                continue
            if step.opname == "STORE_ATTR" and stored is None:
                stored = recorder.places.line(code, line)
            elif step.opname.startswith("LOAD_") and drawn is None and code.co_name != "__init__":
                drawn = recorder.places.line(code, line)
    return stored, drawn
