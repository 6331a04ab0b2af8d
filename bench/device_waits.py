"""The calls that wait for the device in a step, without and with a watch."""

import contextlib
import importlib
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

WINDOW, COUNTED, PROFILED = 14, 60, 20
RUNTIME = (
    "cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy",
    "cudaMemcpyAsync", "cudaStreamWaitEvent", "cudaLaunchKernel", "cudaLaunchKernelExC",
    "cuLaunchKernel", "cuLaunchKernelEx", "cudaMalloc", "cudaHostAlloc", "cudaGraphLaunch",
)  # fmt: skip


class Waits:
    """torch's warnings of calls that wait for the device, each with the file that made it."""

    def __init__(self) -> None:
        self.ours = 0
        self.theirs = 0
        self.lines: Counter[str] = Counter()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = self._shown
            torch.cuda.set_sync_debug_mode("warn")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode("default")

    def _shown(self, message: Any, *_: Any, **__: Any) -> None:
        if "synchronizing" not in str(message):
            return
        frame, passed = sys._getframe(1), []
        while frame is not None:
            file = frame.f_code.co_filename
            if "/steplens/" in file and frame.f_code.co_name not in ("wrapper", "call", "inside"):
                self.ours += 1
                passed.append(f"{Path(file).name}:{frame.f_lineno}")
                self.lines[" < ".join(passed[:3])] += 1
                return
            if "/bench/" in file and frame.f_code.co_name == "step":
                break
            frame = frame.f_back
        self.theirs += 1


def waits(made: Callable[[], Any]) -> dict[str, Any]:
    """One program, first plain, then watched."""
    watch = importlib.import_module("steplens").watch
    running = importlib.import_module("steplens.check.session").running
    found: dict[str, Any] = {}
    torch.manual_seed(0)
    step = made()
    for _ in range(WINDOW):
        step()
    plain = Waits()
    with plain.counted():
        for _ in range(COUNTED):
            step()
    found["plain"] = {"steps": COUNTED, "waits": plain.theirs / COUNTED}
    found["runtime plain"] = profiled(step)
    torch.manual_seed(0)
    torch.compiler.reset()
    with watch(search=False) as lens:
        step = made()
        kinds: dict[str, Waits] = {}
        seen: Counter[str] = Counter()
        for place in range(WINDOW + COUNTED):
            cadence = running().recorder.cadence
            kind = "window" if place < 10 else "look" if cadence.looking else "flag"
            if place >= 10 and not (cadence.looking or cadence.flagging):
                kind = "neither"
            if 10 <= place < WINDOW:
                step()  # the window closes
                continue
            seen[kind] += 1
            with kinds.setdefault(kind, Waits()).counted():
                step()
        running().recorder.cadence.set_budget(0.0)
        for _ in range(3):
            step()
        found["runtime watched"] = profiled(step)
    for kind, waited in kinds.items():
        found[kind] = {
            "steps": seen[kind],
            "ours": waited.ours / seen[kind],
            "theirs": waited.theirs / seen[kind],
            "lines": dict(waited.lines.most_common(12)),
        }
    found["steps heard"] = lens.report.steps
    found["faults"] = lens.report.faults
    found["findings"] = [f"{f.code} {f.message}" for f in lens.report.findings]
    return found


def profiled(step: Callable[[], Any]) -> dict[str, float]:
    """CUDA's runtime calls of a step."""
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(PROFILED):
            step()
    counts = Counter(event.name for event in profile.events())
    kept = {name: counts[name] / PROFILED for name in RUNTIME if counts[name]}
    kept["operators"] = sum(n for name, n in counts.items() if name.startswith("aten::")) / PROFILED
    return kept
