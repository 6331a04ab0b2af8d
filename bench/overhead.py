"""What watching costs: paired blocks of steps, plain and watched, and paired starts.

A plain block in the process that is watched would be seen by the watch as steps it had missed. So
two processes make the same workload, and take turns in random order; only one works at a time. The
first ten steps, which are the window of line detail, are timed in processes of their own. Printed
are the ratio of medians with a bootstrap interval, in processor time (most of the machine's noise
stays out of it) and in wall time, the cost of a step in microseconds, and how it splits by
probe. ``--write`` puts the tables into docs/performance.md.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from workloads import TITLES, WORKLOADS

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
BLOCK = 0.04  # seconds that one block takes, about
AIMS = {"window": "at most 2", "beyond": "at most 1.01 above 20 ms, 1.05 on the MLP"}
OWN = ("beyond",)
FIRST = 10  # steps of the window
SCRIPT = """import torch
from torch import nn

model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in range(3):
    optimizer.zero_grad()
    loss = model(torch.randn(8, 4)).pow(2).mean()
    loss.backward()
    optimizer.step()
"""


class Worker:
    """A process that runs blocks of one workload in one mode."""

    def __init__(self, name: str, mode: str, python: str = sys.executable) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py"), name, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.input: IO[str] = self.process.stdin
        self.output: IO[str] = self.process.stdout

    def ready(self) -> bool:
        """Wait for its first steps to be over; False when it has died of them."""
        return self.output.readline().strip() == "ready"

    def ask(self, line: str) -> str:
        """Send a line, wait for the answer."""
        self.input.write(f"{line}\n")
        self.input.flush()
        return self.output.readline()

    def block(self, count: int) -> tuple[float, float]:
        """Seconds a step in a block of so many: wall, processor."""
        wall, busy = map(float, self.ask(str(count)).split())
        return wall / count, busy / count

    def close(self) -> None:
        """End it."""
        self.input.close()
        self.process.wait(timeout=60)


@dataclass
class Paired:
    """The seconds of a step (or a start) in each pair of blocks."""

    plain: list[tuple[float, float]] = field(default_factory=list)
    watched: list[tuple[float, float]] = field(default_factory=list)
    split: dict[str, float] = field(default_factory=dict)

    def ratio(self, clock: int) -> float:
        """The ratio of medians; ``clock`` 0 is wall time, 1 processor time."""
        return _median(self.watched, clock) / _median(self.plain, clock)

    def interval(self, clock: int, times: int = 1000) -> tuple[float, float]:
        """The 95 % bootstrap interval of the ratio, pairs drawn together."""
        chance = random.Random(0)
        pairs = list(zip(self.plain, self.watched, strict=True))
        found: list[float] = []
        for _ in range(times):
            drawn = chance.choices(pairs, k=len(pairs))
            found.append(
                _median([w for _, w in drawn], clock) / _median([p for p, _ in drawn], clock)
            )
        found.sort()
        return found[int(0.025 * times)], found[int(0.975 * times)]

    @property
    def step(self) -> float:
        """Seconds of a plain step."""
        return _median(self.plain, 1)

    @property
    def cost(self) -> float:
        """Seconds that watching adds to a step."""
        return _median(self.watched, 1) - _median(self.plain, 1)


def _median(pairs: Sequence[tuple[float, float]], clock: int) -> float:
    return statistics.median([pair[clock] for pair in pairs])


def measure(name: str, mode: str, seconds: float, python: str = sys.executable) -> Paired | None:
    """Blocks in turn until the time is over; None when a process cannot run the workload."""
    plain, watched = Worker(name, "plain", python), Worker(name, mode, python)
    try:
        if not (plain.ready() and watched.ready()):
            return None
        count = max(1, round(BLOCK / plain.block(3)[0]))
        plain.block(count)
        watched.block(count)
        found = Paired()
        while len(found.plain) < 10 or sum(w for w, _ in found.plain) * count < seconds / 2:
            turns = [(plain, found.plain), (watched, found.watched)]
            random.shuffle(turns)
            for worker, kept in turns:
                kept.append(worker.block(count))
        if mode in OWN:
            answer = watched.ask(f"split {max(20, count)}").split()
            found.split = {room: float(share) for room, share in (s.split("=") for s in answer)}
        return found
    except (BrokenPipeError, ValueError):
        return None
    finally:
        for worker in (plain, watched):
            worker.close()


def window(name: str, pairs: int, python: str = sys.executable) -> Paired | None:
    """The first ten steps of a run, each time in a process of its own; None when it does not run.

    No split: the profiler cannot run beside the function that hears lines.
    """
    found = Paired()
    for _ in range(pairs):
        turns = [("first-plain", found.plain), ("first-watched", found.watched)]
        random.shuffle(turns)
        for mode, kept in turns:
            worker = Worker(name, mode, python)
            answer = worker.output.readline().split()
            worker.close()
            if len(answer) != 2:
                return None
            kept.append((float(answer[0]) / FIRST, float(answer[1]) / FIRST))
    return found


def starts(pairs: int) -> Paired:
    """``python SCRIPT`` and ``steplens run SCRIPT`` in turn, from the first instruction to the
    last."""
    found = Paired()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "script.py").write_text(SCRIPT)
        commands = (
            ([sys.executable, "script.py"], found.plain),
            ([sys.executable, "-m", "steplens", "run", "-q", "script.py"], found.watched),
        )
        for command, _ in commands:  # compiled files and caches
            subprocess.run(command, cwd=folder, capture_output=True, check=True)
        for _ in range(pairs):
            for command, kept in random.sample(commands, 2):
                kept.append(_timed(command, folder))
    return found


def _timed(command: list[str], folder: str) -> tuple[float, float]:
    before, began = os.times(), os.times().elapsed
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    after = os.times()
    busy = after.children_user + after.children_system
    busy -= before.children_user + before.children_system
    return after.elapsed - began, busy


def told(name: str, mode: str, found: Paired) -> str:
    """One line for the terminal."""
    low, high = found.interval(1)
    return (
        f"{name:12} {mode:16} {found.ratio(1):6.3f} ({low:.3f} to {high:.3f})  wall "
        f"{found.ratio(0):6.3f}  step {found.step * 1e6:8.0f} us  cost {found.cost * 1e6:7.1f} us"
        f"  {len(found.plain)} pairs"
    )


def split(found: Paired, most: int = 6) -> str:
    """Where the cost goes, the largest part first."""
    parts = sorted(found.split.items(), key=lambda part: -part[1])[:most]
    return ", ".join(f"{room.removesuffix('.py')} {share:.0%}" for room, share in parts)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--modes", default="window,beyond,anomaly")
    parser.add_argument("--seconds", type=float, default=10, help="for each workload and mode")
    parser.add_argument("--windows", type=int, default=5, help="pairs of first ten steps")
    parser.add_argument("--starts", type=int, default=0, help="pairs of starts")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the workers")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    given = parser.parse_args()
    random.seed(0)
    results: dict[tuple[str, str], Paired] = {}
    for name in given.workloads or [name for name in WORKLOADS if name != "large"]:
        for mode in filter(None, given.modes.split(",")):
            if mode == "window":
                found = window(name, given.windows, given.python)
            else:
                found = measure(name, mode, given.seconds, given.python)
            if found is None:
                print(f"{name:12} {mode:16} does not run")
                continue
            results[name, mode] = found
            print(told(name, mode, found), flush=True)
            if found.split:
                print(f"{'':29} {split(found)}", flush=True)
    start = starts(given.starts) if given.starts else None
    if start is not None:
        print(told("start-up", "run", start))
    if given.write:
        from page import write

        write(PAGE, results, start, TITLES, AIMS)


if __name__ == "__main__":
    main()
