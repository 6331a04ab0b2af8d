"""What watching costs: paired blocks of steps, plain and watched, and paired starts.

A plain block in the process that is watched would be seen by the watch as steps it had missed. So
two processes make the same workload, and take turns in random order; only one works at a time. The
first ten steps, which are the window of line detail, are timed in processes of their own. Each
such pair of processes is made anew a few times, as two processes that do the same differ. Printed
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from workloads import TITLES, WORKLOADS

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
BLOCK = 0.04  # seconds that one block takes, about
# The C library keeps what is freed. By itself it gives memory back to the system and faults it in
# again, hundreds of pages a step, in a process in which nothing happens to lie above: the plain one
# mostly, which made it look slower than the watched one.
KEPT = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
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
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py"), name, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | threads | KEPT,
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


Blocks = list[tuple[tuple[float, float], tuple[float, float]]]  # plain and watched, in pairs


@dataclass
class Paired:
    """The seconds of a step (or a start) in each pair of blocks, and which two processes ran it:
    two processes that do the same differ by a few hundredths, for as long as they live."""

    plain: list[tuple[float, float]] = field(default_factory=list)
    watched: list[tuple[float, float]] = field(default_factory=list)
    run: list[int] = field(default_factory=list)
    split: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Paired") -> None:
        """The pairs of two other processes."""
        self.run += [max(self.run, default=-1) + 1] * len(other.plain)
        self.plain += other.plain
        self.watched += other.watched
        self.split = other.split

    def runs(self) -> list[Blocks]:
        """The pairs of blocks, by the processes that ran them."""
        found: dict[int, Blocks] = {}
        runs = self.run or [0] * len(self.plain)
        for run, *pair in zip(runs, self.plain, self.watched, strict=True):
            found.setdefault(run, []).append((pair[0], pair[1]))
        return list(found.values())

    def ratio(self, clock: int) -> float:
        """The ratio of medians, and the median of that over all runs; ``clock`` 0 is wall time, 1
        processor time."""
        return statistics.median([_ratio(blocks, clock) for blocks in self.runs()])

    def interval(self, clock: int, times: int = 1000) -> tuple[float, float]:
        """The 95 % bootstrap interval of the ratio: runs are drawn, and pairs from each."""
        chance, runs = random.Random(0), self.runs()
        found: list[float] = []
        for _ in range(times):
            drawn = [
                chance.choices(blocks, k=len(blocks))
                for blocks in chance.choices(runs, k=len(runs))
            ]
            found.append(statistics.median([_ratio(blocks, clock) for blocks in drawn]))
        found.sort()
        return found[int(0.025 * times)], found[int(0.975 * times)]

    @property
    def step(self) -> float:
        """Seconds of a plain step."""
        return statistics.median([pair[1] for pair in self.plain])

    @property
    def cost(self) -> float:
        """Seconds that watching adds to a step."""
        return statistics.median(
            [_median(blocks, 1, 1) - _median(blocks, 0, 1) for blocks in self.runs()]
        )


def _ratio(blocks: Blocks, clock: int) -> float:
    return _median(blocks, 1, clock) / _median(blocks, 0, clock)


def _median(blocks: Blocks, side: int, clock: int) -> float:
    return statistics.median([pair[side][clock] for pair in blocks])


def several(
    name: str, mode: str, seconds: float, runs: int, python: str = sys.executable
) -> Paired | None:
    """Pairs of processes, one after another, that share the time; None when one cannot run."""
    found = Paired()
    for _ in range(runs):
        part = measure(name, mode, seconds / runs, python)
        if part is None:
            return None
        found.add(part)
    return found


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
    parser.add_argument("--runs", type=int, default=5, help="pairs of processes that share them")
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
                found = several(name, mode, given.seconds, given.runs, given.python)
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
