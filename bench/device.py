"""What watching does on a GPU: synchronisations, bits, step times, findings. Writes JSON.

``python bench/device.py PART FILE``, PART one of:

- ``waits``: for each program of ``device_steps``, the calls that wait for the device in a step
  without and with a watch: torch's own warnings of them, with whose line made them, by what
  steplens did at that step; and the counts of CUDA's runtime calls by torch's profiler at steps
  with no look.
- ``bits``: whether every loss, weight, gradient, optimizer tensor and random state has the same
  bits.
- ``times``: the ratio of step times, as in ``overhead``.
- ``programs``: the test programs of the rules, run on the GPU: what is found beside what is found
  on the CPU. ``idioms``: the legal programs, on which nothing may be found.

``make bench-device`` runs all of them.
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import importlib
import io
import json
import multiprocessing
import os
import random
import runpy
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts

import torch
from device_waits import waits
from torch.utils._device import _device_constructors as constructors

HERE = Path(__file__).resolve().parent
GPU = os.environ.get("STEPLENS_BENCH_DEVICE", "cuda")
TESTS = HERE.parent / "tests"
PATIENCE = 240  # seconds for all programs
PAIRS = 2  # of processes: two that do the same differ by a tenth on a virtual machine


def steps() -> dict[str, Callable[[], Any]]:
    """The programs by name."""
    found: dict[str, Callable[[], Any]] = importlib.import_module("device_steps").STEPS
    return found


# -- bits ---------------------------------------------------------------------------------------


def bits(made: Callable[[], Any]) -> dict[str, Any]:
    """Whether one program gives the same bits."""
    watch = importlib.import_module("steplens").watch
    torch.use_deterministic_algorithms(True, warn_only=True)
    sums: list[list[str]] = []
    faults: list[str] = []
    for watched in (False, False, True):
        torch.compiler.reset()
        torch.manual_seed(0)
        with watch(search=False) if watched else contextlib.nullcontext() as lens:
            step = made()
            sums.append([summed(step()) for _ in range(40)])
        if lens is not None:
            faults = lens.report.faults
    torch.use_deterministic_algorithms(False)
    return {
        "repeatable": sums[0] == sums[1],
        "same": sums[1] == sums[2],
        "first apart": next((i for i in range(40) if sums[1][i] != sums[2][i]), None),
        "faults": faults,
    }


def summed(state: Any) -> str:
    """A digest of all tensors of a model, its optimizers, the loss and the random states."""
    model, optimizers, loss = state
    found = [loss, torch.get_rng_state(), torch.cuda.get_rng_state()]
    for tensor in [*model.parameters(), *model.buffers()]:
        found += [tensor, tensor.grad]
    for optimizer in optimizers.values() if isinstance(optimizers, dict) else [optimizers]:
        for held in optimizer.state.values():
            found += [value for value in held.values() if isinstance(value, torch.Tensor)]
    sums = hashlib.sha256()
    for tensor in found:
        if tensor is not None:
            sums.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sums.hexdigest()


# -- times --------------------------------------------------------------------------------------


def times(seconds: float, file: Path) -> dict[str, Any]:
    """Ratios of step times, on the GPU, written as they come."""
    from overhead import several

    os.environ["STEPLENS_BENCH_DEVICE"] = GPU
    found: dict[str, Any] = {}
    for name, mode in (
        ("large", "beyond"), ("mlp", "beyond"), ("transformer", "beyond"), ("large", "window"),
        ("transformer", "window"),
    ):  # fmt: skip
        paired = several(name, mode, seconds, PAIRS)
        if paired is not None:
            found[f"{name} {mode}"] = {
                "step": sorted(pair[0] for pair in paired.plain)[len(paired.plain) // 2],
                "ratio": paired.ratio(0),
                "interval": paired.interval(0),
                "pairs": len(paired.plain),
            }
            file.write_text(json.dumps(found, indent=1))
    return found


# -- programs -----------------------------------------------------------------------------------


def program(job: tuple[str, str]) -> dict[str, Any]:
    """One function of a test program, on the CPU and on the GPU."""
    watching = importlib.import_module("watching")
    path, name = Path(job[0]), job[1]
    found: dict[str, Any] = {"name": f"{path.stem}.{name}"}
    for device in ("cpu", GPU):
        torch.set_default_device(device if device != "cpu" else None)
        try:
            for watched in (False, True):
                function = getattr(watching.load(path), name)
                raised, report = ran(function, watched)
                if not watched:
                    found[f"raises on {device}"] = raised
                else:
                    found[f"faults on {device}"] = report.faults
                    found[device] = sorted(map(list, watching.found(report)))
                    found[f"watched raises on {device}"] = raised
        finally:
            torch.set_default_device(None)
    return found


def ran(function: Callable[[], object], watched: bool) -> tuple[str, Any]:
    """What a function raises, and the report where it is watched."""
    watch = importlib.import_module("steplens").watch
    torch.manual_seed(0)
    torch.set_grad_enabled(True)
    raised, report = "", None
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        lens = watch(search=False) if watched else contextlib.nullcontext()
        try:
            with lens:
                function()
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"[:160]
    torch.set_grad_enabled(True)
    if watched:
        report = lens.report
    return raised, report


def idiom(job: tuple[str, str]) -> dict[str, Any]:
    """One legal program on the GPU: findings of warning and above, faults, and its output."""
    path = Path(job[0])
    sys.path[:0] = [str(path.parent)]
    torch.use_deterministic_algorithms(True, warn_only=True)
    found: dict[str, Any] = {"name": path.stem}
    torch.set_default_device(GPU)
    said: list[str] = []
    try:
        for watched in (False, False, True):
            torch.compiler.reset()
            random.seed(0)
            out = io.StringIO()

            def main(out: io.StringIO = out) -> None:
                with contextlib.redirect_stdout(out):
                    runpy.run_path(str(path), run_name="__main__")

            raised, report = ran(main, watched)
            said.append(out.getvalue())
            if not watched:
                found["raises on cuda"] = raised
                if raised:
                    return found
            else:
                found["watched raises on cuda"] = raised
                found["faults on cuda"] = report.faults
                found["loud"] = [
                    f"{f.code} line {f.at.line if f.at else 0} {f.message}"
                    for f in report.findings
                    if f.severity.rank >= type(f.severity)("warning").rank
                ]
    finally:
        torch.set_default_device(None)
    found["repeatable"], found["same"] = said[0] == said[1], said[1] == said[2]
    return found


def many(work: Callable[[Any], dict[str, Any]], jobs: list[Any], seconds: float) -> list[Any]:
    """Each job in one of some processes; those not done in time are named."""
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(
        int(os.environ.get("STEPLENS_BENCH_JOBS", "8")), context, initializer=_alone
    )
    futures = {pool.submit(work, job): job for job in jobs}
    done, late = concurrent.futures.wait(futures, timeout=seconds)
    found: list[Any] = []
    for future in done:
        error = future.exception()
        if error is None:
            found.append(future.result())
        else:
            text = "".join(traceback.format_exception(error))[-1500:]
            found.append({"name": str(futures[future]), "error": text})
    found += [{"name": str(futures[future]), "error": "not done in time"} for future in late]
    for process in list(getattr(pool, "_processes", {}).values()):
        process.kill()
    return sorted(found, key=lambda one: one["name"])


def _alone() -> None:
    torch.set_num_threads(1)
    sys.path[:0] = [str(TESTS), str(HERE)]
    constructors()  # torch knows those that heed a default device by identity
    for name in ("rand", "randn", "randint", "randperm"):
        setattr(torch, name, _drawn(getattr(torch, name), stays=name == "randperm"))


def _drawn(original: Callable[..., torch.Tensor], stays: bool) -> Callable[..., torch.Tensor]:
    """A generator of the program's is the CPU's, which torch refuses where the GPU is the default
    device: numbers are drawn there, and orders of samples stay there."""

    def draw(*args: Any, generator: Any = None, **kwargs: Any) -> torch.Tensor:
        if generator is None:
            return original(*args, **kwargs)
        numbers = original(*args, generator=generator, **{**kwargs, "device": generator.device})
        return numbers if stays else numbers.to(torch.get_default_device())

    return draw


def main() -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("waits", "bits", "times", "programs", "idioms"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", default="", help="names, with commas between them")
    parser.add_argument("--seconds", type=float, help="of each pair of times, or for all programs")
    given = parser.parse_args()
    seconds = given.seconds or (6 if given.part == "times" else PATIENCE)
    _alone()
    began, found = time.monotonic(), dict[str, Any]()
    only = list(filter(None, given.only.split(",")))
    if given.part in ("waits", "bits"):
        work = waits if given.part == "waits" else bits
        for name, made in steps().items():
            if only and name not in only:
                continue
            try:
                found[name] = work(made)
            except Exception:
                found[name] = {"error": traceback.format_exc()[-2500:]}
            given.file.write_text(json.dumps(found, indent=1))
    elif given.part == "times":
        found = times(seconds, given.file)
    elif given.part == "programs":
        from watching import PROGRAMS, functions

        jobs = [(str(p), name) for p in sorted(PROGRAMS.glob("*.py")) for name in functions(p)]
        found["programs"] = many(program, [j for j in jobs if _wanted(j, only)], seconds)
    else:
        jobs = [(str(p), "") for p in sorted((TESTS / "idioms").glob("*.py"))]
        apart = ("weights", "hogwild", "data_parallel_world_of_one", "sharded_world_of_one")
        jobs = [job for job in jobs if Path(job[0]).stem not in apart and _wanted(job, only)]
        found["idioms"] = many(idiom, jobs, seconds)
    found["on"] = {
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "torch": str(torch.__version__),
        "python": sys.version.split()[0],
        "seconds": round(time.monotonic() - began, 1),
    }
    given.file.write_text(json.dumps(found, indent=1))


def _wanted(job: tuple[str, str], only: list[str]) -> bool:
    return not only or any(word in f"{Path(job[0]).stem}.{job[1]}" for word in only)


if __name__ == "__main__":
    main()
