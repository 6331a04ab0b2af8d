"""Writes docs/performance.md's section on GPUs from the JSON files that ``device.py`` wrote."""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from page import put

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
HEAD = """## On a GPU

Written by `make bench-device` ({device}, torch {torch}, Python {python}). A call that waits for the
device is counted by torch's own warning of it (`torch.cuda.set_sync_debug_mode("warn")`), and by
whose line made it: the program's at a plain step, steplens's own at watched ones, where a read of
the program's that goes through a wrapper counts as ours, too (`GradScaler`'s). "Beyond" are the
steps beyond the window at which no values are looked at, those
at which only a flag is read among them; a look is taken as often as the budget allows. The last two
columns are of {profiled} steps in `torch.profiler`, beyond the window and between looks: CUDA's
runtime calls that wait (`cudaStreamSynchronize`, `cudaDeviceSynchronize`, `cudaEventSynchronize`,
`cudaMemcpy`), and all others counted there (kernels launched, copies, allocations, graphs).

| program | plain | beyond | at a look | in the window | runtime waits | other calls |
|---|---|---|---|---|---|---|
"""
WAITING = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
ABOUT = {
    "sgd": "MLP, SGD",
    "foreach": "MLP, Adam `foreach`",
    "fused": "MLP, AdamW `fused`",
    "capturable": "MLP, Adam `capturable`, its rate on the device",
    "copies": "MLP, batches by `non_blocking` copies",
    "transformer": "transformer, AdamW, clipping",
    "scaled": "MLP, float16 autocast, `GradScaler`, clipping",
    "in_backward": "MLP, an optimizer in each parameter's hook",
    "checkpointed": "MLP, checkpointing",
    "reentrant": "MLP, reentrant checkpointing",
    "penalised": "MLP, gradient penalty",
    "compiled": "MLP, `torch.compile`",
    "graphed": "MLP, `make_graphed_callables`",
    "captured": "MLP, the whole step in a CUDA graph",
}


def waits(found: dict[str, Any]) -> str:
    """The rows of the table of waits."""
    rows = ""
    for name, one in found.items():
        if name == "on":
            continue
        kinds = [one[kind] for kind in ("neither", "flag") if kind in one]
        steps = sum(kind["steps"] for kind in kinds)
        beyond = sum(kind["ours"] * kind["steps"] for kind in kinds) / steps if steps else None
        plain, watched = one["runtime plain"], one["runtime watched"]
        waiting = [sum(each.get(call, 0) for call in WAITING) for each in (plain, watched)]
        other = [
            sum(count for call, count in each.items() if call.startswith("cu")) - wait
            for each, wait in zip((plain, watched), waiting, strict=True)
        ]
        cells = [
            _number(one["plain"]["waits"]), _number(beyond), _ours(one, "look"),
            _ours(one, "window"), f"{_number(waiting[0])}, {_number(waiting[1])}",
            f"{_number(other[0])}, {_number(other[1])}",
        ]  # fmt: skip
        rows += f"| {ABOUT.get(name, name)} | {' | '.join(cells)} |\n"
    return rows


def _ours(one: dict[str, Any], kind: str) -> str:
    return _number(one[kind]["ours"]) if kind in one else ""


def _number(value: float | None) -> str:
    return "no step heard" if value is None else f"{value:.3g}"


def bits(found: dict[str, Any]) -> str:
    """Whether the bits were the same."""
    ran = {name: one for name, one in found.items() if name != "on"}
    same = [name for name, one in ran.items() if one.get("same")]
    apart = [name for name in ran if name not in same]
    text = (
        f"\nSame bits ({found['on']['device']}): {len(same)} of {len(ran)} of these programs, run "
        "with torch's deterministic algorithms for 40 steps, have every loss, weight, gradient, "
        "buffer, optimizer tensor and random state bit for bit as without a watch"
    )
    return text + (f"; not {', '.join(apart)}.\n" if apart else ".\n")


def programs(found: list[dict[str, Any]], device: str, idioms: list[dict[str, Any]]) -> str:
    """What was found on a device, beside what is found on the CPU."""
    able = [one for one in found if "error" not in one and _runs(one)]
    unlike = [one for one in able if one["cpu"] != one["cuda"]]
    faults = sum(bool(one["faults on cuda"]) for one in able)
    legal = [one for one in idioms if "error" not in one and not one["raises on cuda"]]
    loud = [one["name"] for one in legal if one["loud"] or one["faults on cuda"]]
    told = [one for one in legal if one["repeatable"]]
    same = sum(one["same"] for one in told)
    text = (
        f"\nThe rules' test programs with the GPU ({device}) as torch's default device: "
        f"{len(able)} of {len(found)} run there; in {len(able) - len(unlike)} the same is found on "
        f"the same lines as on the CPU, {faults} with a fault of steplens. The others:\n\n"
        "| program | on the CPU | on the GPU |\n|---|---|---|\n"
    )
    for one in unlike:
        text += f"| `{one['name']}` | {_told(one['cpu'])} | {_told(one['cuda'])} |\n"
    text += (
        f"\nOf the {len(idioms)} legal programs {len(legal)} run there, with findings of warning "
        f"or above, or a fault, in {len(loud)}{': ' + ', '.join(loud) if loud else ''}; {same} of "
        f"the {len(told)} that print the same twice print it watched, too.\n\n"
        "On a GPU the loss is read at looks only, so that one that is NaN between them and spoils "
        "no parameter is not seen; a loader's batches that lie there are compared in its first "
        "eight passes, and samples drawn by an index on the CPU only; a state dict taken by "
        "`value.cpu()` is a copy there; Adam's moments of gradients near 1e20 overflow on this "
        "GPU and not on the CPU, so that it moves nothing; cuDNN moves the weights of an LSTM, and "
        "with them the line that filled them is lost; memory that nothing was written to may hold "
        "a NaN.\n"
    )
    return text


def _runs(one: dict[str, Any]) -> bool:
    return bool(one["raises on cpu"]) or not one["raises on cuda"]


def _told(pairs: list[list[Any]]) -> str:
    return ", ".join(f"{code} at line {line}" for line, code in pairs) or "nothing"


def times(found: dict[str, Any]) -> str:
    """The ratios of step times."""
    text = (
        "\nTwo processes that do the same differ by a tenth and more on this virtual machine, and "
        "runs of these minutes differ as much: the ratios tell no more than that.\n\n"
        "| program | plain step | ratio, wall | interval |\n|---|---|---|---|\n"
    )
    titles = {"large": "transformer, 86 million parameters", "mlp": "MLP, 3 layers",
              "transformer": "transformer, 4 million parameters"}  # fmt: skip
    modes = {"beyond": "beyond the window", "window": "in the window, with lines"}
    for name, one in found.items():
        if name == "on":
            continue
        program, _, mode = name.partition(" ")
        low, high = one["interval"]
        step = one["step"] * 1e3
        text += f"| {titles.get(program, program)}, {modes.get(mode, mode)} | {step:.3g} ms "
        text += f"| {one['ratio']:.3f} | {low:.3f} to {high:.3f} |\n"
    return text


def main() -> None:
    """Write the section."""
    folder = Path(sys.argv[1])
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    text = HEAD.format(**found["waits"]["on"], profiled=20) + waits(found["waits"])
    looks = [one["look"]["steps"] for name, one in found["waits"].items() if "look" in one]
    text += f"\nIn 60 steps beyond the window there were {statistics.median(looks):.0f} looks.\n"
    text += times(found["times"]) + bits(found["bits"])
    tried = found["programs"]
    text += programs(tried["programs"], tried["on"]["device"], found["idioms"]["idioms"])
    put(PAGE, "device", text)


if __name__ == "__main__":
    main()
