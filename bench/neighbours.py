"""What other tools cost on the same steps, each in an environment of its own.

``make bench-neighbours`` installs them with the torch that is here, measures torch's anomaly mode,
torch-audit, TrainCheck and steplens on two workloads, and writes docs/performance.md's section. A
tool that does not install or does not run is named with the reason.

TrainCheck rewrites and runs a script, so that it cannot take turns with a plain process: scripts
that time their own steps are run plain and collected by turns, and medians compared.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from overhead import several, window
from page import put
from workloads import TITLES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "performance.md"
TOOLS = {"torch-audit": "torch-audit", "traincheck": "traincheck"}
OURS = ("beyond", "window", "anomaly")
WORKLOADS = ("mlp", "transformer")
MOST_SECONDS = 300  # of one run of a script that TrainCheck collects
SCRIPT = """import json, os, sys, time
import torch
from torch import nn
from torch.nn import functional

torch.set_num_threads(1)
torch.manual_seed(0)
{made}
times = []
for _ in range({steps}):
    began = time.perf_counter()
    optimizer.zero_grad()
    loss = {loss}
    loss.backward()
    {clip}optimizer.step()
    times.append(time.perf_counter() - began)
with open(os.environ["TIMES"], "w") as file:
    json.dump(times, file)
"""
MADE = {
    "mlp": {
        "made": "model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), "
        "nn.ReLU(), nn.Linear(128, 10))\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.01)\n"
        "inputs, targets = torch.randn(64, 64), torch.randint(0, 10, (64,))",
        "loss": "functional.cross_entropy(model(inputs), targets)",
        "clip": "",
        "steps": 60,
    },
    "transformer": {
        "made": f"sys.path.insert(0, {str(HERE)!r})\nfrom workloads import Decoder\n"
        "model = Decoder()\noptimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)\n"
        "tokens = torch.randint(0, 1000, (4, 65))",
        "loss": "functional.cross_entropy(model(tokens[:, :-1]).reshape(-1, 1000), "
        "tokens[:, 1:].reshape(-1))",
        "clip": "nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n    ",
        "steps": 8,
    },
}
TITLE = {
    "beyond": "steplens, beyond its window",
    "window": "steplens, in its window, every line",
    "anomaly": "torch's anomaly mode",
    "torch-audit": "torch-audit, every step",
    "torch-audit-1000": "torch-audit, every 1,000 steps (its default)",
    "traincheck": "TrainCheck, collecting a full trace",
}


def environment(tool: str, folder: Path) -> tuple[Path, str]:
    """The interpreter of a tool's own environment, and why it could not be made ("" if it was)."""
    python = folder / tool / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / tool)], check=True)
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "torch" in line]
    wanted = next(pin for pin in pins if pin.startswith("torch=="))
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", wanted, "numpy", TOOLS[tool]],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return python, "" if not done.returncode else (said or ["pip failed"])[-1]


def version(python: Path, tool: str) -> str:
    """The version installed."""
    code = f"from importlib.metadata import version; print(version({tool!r}))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def traincheck(python: Path, name: str, pairs: int) -> dict[str, Any]:
    """Medians of steps that a script times itself, plain and collected, by turns."""
    times: dict[str, list[float]] = {"plain": [], "watched": []}
    error = ""
    with tempfile.TemporaryDirectory() as place:
        script = Path(place, "train.py")
        script.write_text(SCRIPT.format(**MADE[name]))
        collect = str(python.parent / "traincheck-collect")
        commands = {
            "plain": [str(python), str(script)],
            "watched": [collect, "-p", str(script), "--models-to-track", "model",
                        "--output-dir", str(Path(place, "trace"))],
        }  # fmt: skip
        for _ in range(pairs):
            for kind, command in commands.items():
                given = {**os.environ, "OMP_NUM_THREADS": "1", "TIMES": str(Path(place, kind))}
                error = error or ran(command, place, given)
                if not error:
                    times[kind] += json.loads(Path(place, kind).read_text())[5:]
    if error:
        return {"error": error[:200]}
    plain, watched = (statistics.median(times[kind]) for kind in ("plain", "watched"))
    return {"step": plain, "ratio": watched / plain, "by": "wall"}


def ran(command: list[str], place: str, given: dict[str, str]) -> str:
    """Run a command with all that it starts; why it failed, or nothing."""
    said = Path(place, "said")
    with said.open("w") as output:
        process = subprocess.Popen(
            command, cwd=place, env=given, stdout=output, stderr=output, start_new_session=True
        )
        try:
            status = process.wait(MOST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"not done within {MOST_SECONDS} s"
    lines = said.read_text(errors="replace").strip().splitlines()
    return (lines or [f"status {status}"])[-1] if status else ""


def measured(name: str, mode: str, seconds: float, python: str) -> dict[str, Any]:
    """Paired blocks of one workload."""
    found = window(name, 3, python) if mode == "window" else several(name, mode, seconds, 3, python)
    if found is None:
        return {"error": "its process ended"}
    return {"step": found.step, "ratio": found.ratio(1), "interval": found.interval(1)}


def table(results: dict[str, Any]) -> str:
    """The section of the page."""
    text = "## Beside other tools\n\nWritten by `make bench-neighbours`, on the machine above"
    names = [f"{tool} {number}" for tool, number in results["versions"].items() if number]
    text += f" ({', '.join(names)}). Ratios of processor time of paired blocks, as above; for "
    text += (
        "TrainCheck, which runs a script of its own making, ratios of the medians of wall time.\n"
    )
    text += f"\n| tool | {' | '.join(TITLES[name] for name in WORKLOADS)} |\n|---|---|---|\n"
    for mode, title in TITLE.items():
        cells = [_cell(results["ratios"].get(f"{mode} {name}")) for name in WORKLOADS]
        text += f"| {title} | {' | '.join(cells)} |\n"
    for tool, why in results["refused"].items():
        text += f"\n`{tool}` could not be installed here: {why}\n"
    return text


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not measured"
    if "error" in found:
        return f"does not run: {found['error']}"
    if "interval" in found:
        low, high = found["interval"]
        return f"{found['ratio']:.3g} ({low:.3g} to {high:.3g})"
    return f"{found['ratio']:.3g}"


def main() -> None:
    """Install, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "neighbours")
    parser.add_argument("--seconds", type=float, default=8, help="for each workload and tool")
    parser.add_argument("--pairs", type=int, default=1, help="runs of each TrainCheck script")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"versions": {}, "refused": {}, "ratios": {}}
    pythons: dict[str, Path] = {}
    for tool in TOOLS:
        python, why = environment(tool, given.folder)
        if why:
            results["refused"][tool] = why
        else:
            pythons[tool], results["versions"][tool] = python, version(python, tool)
    for name in WORKLOADS:
        for mode in OURS:
            results["ratios"][f"{mode} {name}"] = measured(
                name, mode, given.seconds, sys.executable
            )
        if "torch-audit" in pythons:
            for mode in ("torch-audit", "torch-audit-1000"):
                python = str(pythons["torch-audit"])
                results["ratios"][f"{mode} {name}"] = measured(name, mode, given.seconds, python)
        if "traincheck" in pythons:
            found = traincheck(pythons["traincheck"], name, given.pairs)
            results["ratios"][f"traincheck {name}"] = found
        print(json.dumps(results["ratios"], indent=1), flush=True)
    (given.folder / "neighbours.json").write_text(json.dumps(results, indent=1))
    put(PAGE, "neighbours", table(results))


if __name__ == "__main__":
    main()
