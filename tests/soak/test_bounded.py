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
from steplens.model.timeline import HEAD, TAIL

SOAK = bool(os.environ.get("STEPLENS_SOAK"))
HERE = Path(__file__).parent
BOUNDED = ("session.report.timeline", "session.report.course")  # by their own tests


def long_run(name: str, size: int, steps: int, watching: bool) -> dict[str, Any]:
    """What one process with this workload says of itself."""
    command = [sys.executable, str(HERE / "long_run.py"), name, str(size), str(steps)]
    done = subprocess.run(
        [*command, "yes" if watching else "no"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout)


def said(name: str, figures: dict[str, object]) -> None:
    """Print the figures, and keep them where the page of promises is written from."""
    print(name, figures)
    folder = os.environ.get("STEPLENS_FIGURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.json").write_text(json.dumps(figures))


@pytest.mark.parametrize("name", LOOPS)
def test_no_container_of_a_run_grows_with_its_steps(name: str) -> None:
    first = {"a parameter left out": 1100, "never stepped": 1100}.get(name, 320)
    grown, session = growing(LOOPS[name], first, first + (600 if SOAK else 160))
    assert session.report.faults == []
    assert {k: v for k, v in grown.items() if not k.startswith(BOUNDED)} == {}


def test_events_are_counted_exactly_though_few_are_kept() -> None:
    steps = 1_000_000 if SOAK else 3_000
    found = long_run("plain", 0, steps, watching=True)
    counts = found["counts"]
    assert found["faults"] == []
    assert found["steps"] == counts["step"] == counts["backward"] == counts["clear"] == steps
    assert counts["clip"] == counts["schedule"] == steps
    assert counts["forward"] == steps + steps // 5
    assert found["kept"] <= HEAD + TAIL
    growth = found["late"] - found["early"]
    said("long", {"steps": steps, "growth": growth, "report": found["report"]})
    assert growth < 20
    assert found["report"] < 20


@pytest.mark.parametrize(("name", "size"), [("tensors", 5_000), ("modules", 10_000)])
def test_a_model_of_many_parts_is_watched(name: str, size: int) -> None:
    found = long_run(name, size, 30 if SOAK else 4, watching=True)
    plain = long_run(name, size, 30 if SOAK else 4, watching=False)
    assert found["faults"] == []
    extra = found["peak"] - plain["peak"]
    times = found["seconds"] / plain["seconds"]
    said(name, {"size": size, "extra": extra, "times": times, "report": found["report"]})
    assert found["report"] < 20


def test_a_large_model_takes_under_a_hundredth_more_memory() -> None:
    numbers = 100_000_000 if SOAK else 20_000_000
    runs = {
        (size, watching): long_run("big", size, 4, watching)["peak"]
        for size in (1_000_000, numbers)
        for watching in (False, True)
    }
    ours = runs[1_000_000, True] - runs[1_000_000, False]  # steplens itself
    extra = runs[numbers, True] - runs[numbers, False] - ours
    said("big", {"numbers": numbers, "ours": ours, "extra": extra, "model": numbers * 4 / 1e6})
    assert extra < numbers * 4 / 1e6 / 100 + 4  # megabytes that the allocator leaves unsure
