"""A run stays within its bounds however long it is and however much it holds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from growth import growing
from loops import LOOPS
from steplens.model.timeline import HEAD, MIDDLE, TAIL

SOAK = bool(os.environ.get("STEPLENS_SOAK"))
HERE = Path(__file__).parent
# the C library gives freed memory back at once: what it keeps depends on the order of requests
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "131072"}
BOUNDED = (
    "session.report.timeline",  # by their own tests
    "session.report.course",
    "session.recorder.learner.past",  # 32 at most: how many stand there, the clock decides
)


def long_run(name: str, size: int, steps: int, watching: bool) -> dict[str, Any]:
    """What one process with this workload says of itself."""
    command = [sys.executable, str(HERE / "long_run.py"), name, str(size), str(steps)]
    done = subprocess.run(
        [*command, "yes" if watching else "no"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | GIVEN_BACK,
    )
    return json.loads(done.stdout)


def said(name: str, figures: dict[str, object]) -> None:
    """Print the figures, and keep them where the page of promises is written from."""
    print(name, figures)
    folder = os.environ.get("STEPLENS_FIGURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.json").write_text(json.dumps(figures))


@pytest.mark.parametrize("name", LOOPS if SOAK else ["never cleared"])
def test_no_container_of_a_run_grows_with_its_steps(name: str) -> None:
    # the tables are full by then; what is kept of a gradient never cleared goes up and down by 512
    grown, session = growing(LOOPS[name], 1300, 1300 + 512)
    assert session.report.faults == []
    assert {k: v for k, v in grown.items() if not k.startswith(BOUNDED)} == {}


@pytest.mark.skipif(not SOAK, reason="in make soak")
def test_events_are_counted_exactly_though_few_are_kept() -> None:
    steps = 1_000_000
    found = long_run("plain", 0, steps, watching=True)
    counts = found["counts"]
    assert found["faults"] == []
    assert found["steps"] == counts["step"] == counts["backward"] == counts["clear"] == steps
    assert counts["clip"] == counts["schedule"] == steps
    assert counts["forward"] == steps + steps // 5
    assert found["kept"] <= HEAD + MIDDLE + TAIL
    growth = found["late"] - found["early"]
    said("long", {"steps": steps, "growth": growth, "report": found["report"]})
    assert growth < 20
    assert found["report"] < 20


@pytest.mark.skipif(not SOAK, reason="in make soak")
@pytest.mark.parametrize(("name", "size"), [("tensors", 5_000), ("modules", 10_000)])
def test_a_model_of_many_parts_is_watched(name: str, size: int) -> None:
    found = long_run(name, size, 30, watching=True)
    plain = long_run(name, size, 30, watching=False)
    assert found["faults"] == []
    extra = found["peak"] - plain["peak"]
    times = found["seconds"] / plain["seconds"]
    said(name, {"size": size, "extra": extra, "times": times, "report": found["report"]})
    assert found["report"] < 20


@pytest.mark.skipif(not SOAK, reason="in make soak")
def test_a_large_model_takes_under_a_hundredth_more_memory() -> None:
    numbers = 100_000_000
    few = numbers // 4  # enough to need more memory than the start of the process did
    runs = {
        (size, watching): long_run("big", size, 4, watching)["peak"]
        for size in (few, numbers)
        for watching in (False, True)
    }
    ours = runs[few, True] - runs[few, False]  # steplens itself
    extra = runs[numbers, True] - runs[numbers, False] - ours
    said("big", {"numbers": numbers, "ours": ours, "extra": extra, "model": numbers * 4 / 1e6})
    assert extra < (numbers - few) * 4 / 1e6 / 100 + 4  # megabytes left unsure by the allocator
