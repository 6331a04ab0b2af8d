"""One long run in a process of its own: its memory, the size of its Report and its counts, as
JSON."""

import json
import os
import resource
import sys
import time
from pathlib import Path

import torch
from torch import nn

import loops

PAGE = resource.getpagesize()


def resident() -> float:
    """Megabytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def big(numbers: int) -> loops.Step:
    """A model of this many parameters, in layers of about a million."""
    side = 1000
    layers = [nn.Linear(side, side, bias=False) for _ in range(numbers // side**2)]
    model = nn.Sequential(*layers)
    return _trained(model, torch.randn(2, side))


def tensors(number: int) -> loops.Step:
    """A model of this many parameter tensors."""
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(number // 2)))
    return _trained(model, torch.randn(2, 2))


def modules(number: int) -> loops.Step:
    """A model of this many modules, few of them with parameters."""
    parts = [nn.Linear(2, 2) if place % 100 == 0 else nn.Identity() for place in range(number)]
    return _trained(nn.Sequential(*parts), torch.randn(2, 2))


def _trained(model: nn.Module, x: torch.Tensor) -> loops.Step:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()

    return step


def main(name: str, size: int, steps: int, watching: bool) -> dict[str, object]:
    """Run ``steps`` steps of a workload, watched or plain."""
    torch.set_num_threads(1)
    session = None
    if watching:
        from steplens.check.session import Session
        from steplens.config import Config

        session = Session(Config(folder="", lines=0), __file__)
        session.start()
    made = {"big": big, "tensors": tensors, "modules": modules}
    step = made[name](size) if name in made else loops.LOOPS[name]()
    began, early = time.perf_counter(), 0.0
    for number in range(steps):
        step()
        if number == min(1000, steps // 2) - 1:
            early = resident()
    seconds = time.perf_counter() - began
    late = resident()
    found: dict[str, object] = {"early": early, "late": late, "seconds": seconds}
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    if session is not None:
        report = session.stop()
        from steplens.model.codec import encode

        found["report"] = len(encode(report)) / 1e6
        found["counts"] = report.timeline.counts
        found["kept"] = len(report.timeline.events)
        found["faults"] = report.faults
        found["steps"] = report.steps
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "yes")))
    sys.stdout.flush()
    os._exit(0)
