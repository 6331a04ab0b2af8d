"""One process of a pair: makes a workload, watches it (or not), and runs blocks of steps when told.

Reads the number of steps of each block from standard input, writes the seconds the block took (wall
and this thread's processor time) to standard output. Needs only torch, and the tool that watches.
"""

import gc
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import torch
from workloads import WORKLOADS, Step


@contextmanager
def steplens(lines: int) -> Iterator[Any]:
    """A watch, as a user would write it."""
    watch = importlib.import_module("steplens").watch
    with watch(lines=lines) as lens:
        yield lens


def anomaly() -> AbstractContextManager[Any]:
    """torch's own anomaly mode."""
    return torch.autograd.set_detect_anomaly(True)


def torch_audit(every: int) -> Callable[[Step], object]:
    """torch-audit's patching of a model and its optimizer, as its README shows it."""

    def patch(step: Step) -> object:
        held = inspect.getclosurevars(step).nonlocals
        autopatch = importlib.import_module("torch_audit").autopatch
        return autopatch(held["model"], optimizer=held["optimizer"], every_n_steps=every)

    return patch


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "plain": nullcontext,
    "beyond": lambda: steplens(10),
    "anomaly": anomaly,
}
LATER: dict[str, Callable[[Step], object]] = {  # what is given the model and the optimizer
    "torch-audit": torch_audit(1),
    "torch-audit-1000": torch_audit(1000),
}
DEVICE = os.environ.get("STEPLENS_BENCH_DEVICE", "cpu")
WARM = 40  # steps before the first block: past the window
FIRST = 10  # steps of the window


def block(step: Step, count: int) -> tuple[float, float]:
    """The seconds that so many steps take: wall, processor."""
    began, busy = perf_counter(), thread_time()
    for _ in range(count):
        step()
    if DEVICE != "cpu":
        torch.cuda.synchronize()
    return perf_counter() - began, thread_time() - busy


def first(name: str, watched: bool, answers: Any) -> None:
    """The first steps of a run, all of them in the window, in a process that has trained before:
    what torch does once is over."""
    block(WORKLOADS[name](), 5)
    gc.collect()
    # optimizers' steps in so many of the workload
    steps = {"gan": 2 * FIRST, "penalty": FIRST + FIRST // 5}.get(name, FIRST)
    with steplens(steps) if watched else nullcontext():
        step = WORKLOADS[name]()
        print(*block(step, FIRST), file=answers)


def main() -> None:
    """Answer until the input ends."""
    name, mode = sys.argv[1:3]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    answers, sys.stdout = sys.stdout, sys.stderr  # what a tool prints is not an answer
    if mode.startswith("first"):
        first(name, mode == "first-watched", answers)
        return
    with MODES.get(mode, nullcontext)() as lens:
        with torch.device(DEVICE) if DEVICE != "cpu" else nullcontext():
            step = WORKLOADS[name]()
        patched = LATER[mode](step) if mode in LATER else None
        block(step, WARM)
        print("ready", file=answers)
        for line in sys.stdin:
            if line.startswith("split"):
                split(step, int(line.split()[1]), answers)
                continue
            print(*block(step, int(line)), file=answers)
    del patched
    if hasattr(lens, "report"):
        print(lens.report.summary() if hasattr(lens.report, "summary") else "", file=sys.stderr)


def split(step: Step, count: int, answers: Any) -> None:
    """Profile some steps: the share of steplens's own time that each of its files takes."""
    import cProfile
    import pstats

    profile = cProfile.Profile()
    profile.runcall(block, step, count)
    found: dict[str, float] = {}
    for (file, _, _), entry in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if "/steplens/" in file:
            path = Path(file)
            room = path.parent.name if path.parent.name != "record" else path.name
            found[room] = found.get(room, 0.0) + entry[2]
    total = sum(found.values()) or 1.0
    print(
        *[f"{room}={seconds / total:.4f}" for room, seconds in found.items()],
        file=answers,
    )


if __name__ == "__main__":
    main()
