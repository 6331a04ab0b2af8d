"""Writes docs/performance.md from what was measured."""

import os
import platform
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from overhead import Paired

HEAD = """# What watching costs

Written by `make bench` ({day}, {machine}, {cores} cores, torch {torch}, Python {python}, one thread
for torch). Ratios are medians of watched steps over medians of plain ones, with a 95 % bootstrap
interval. A plain and a watched process take turns, in random order, in blocks of a few hundredths
of a second; there are three to five such pairs of processes, as two that do the same differ by a
few hundredths, and the median of theirs is given. The first ten steps, the window, are timed in
processes of their own. They are ratios of processor time, which other work on the machine
disturbs least; the ratio of wall time is beside them. The C library is told to keep freed memory in
both: else the plain one, by chance, faults hundreds of pages in anew at each step. The aims: beyond
the detail window {beyond}; in the window {window}; at start-up 0.5 s.

In the window the aim is missed where a step is short or made of many tensors: the effect of each
line is kept, a tensor at a time, which takes 3 to 6 ms for the step of the MLP, and 0.15 to 0.3 ms
for each tensor that a step moves, on the two machines measured. It is paid for ten steps.
In one step a copy of the transformer is run three times: is it given what it is to tell (SL514)?

Beyond it a watched step of the MLP runs some 47,000 instructions more than a plain one, which runs
2.35 million (valgrind's callgrind, 2026-11-28): 2 % more, but 7 % of the time. Wrappers in the same
places that do nothing cost nothing that can be measured. Ours go through 850 instructions of Python
that lie apart from what runs before and after: with caches and branches simulated, each step adds
1,200 misses of code, 1,700 of data and 2,100 wrong guesses of a jump, some 30 us. Rounds compared
in full, and looks, which come more often in the first seconds, are the rest.

Of what the 1,000 tensors and the convolutional net lost, a third to a half was the heap that the
window left: as slow in the same process once the watch had ended. It is tidied now when the
counting begins (record/heap.py), which makes them 1 to 2 % faster.
"""
NAMES = {
    "beyond": "beyond the detail window (from step 11 on)",
    "window": "in the detail window, with lines (steps 1 to 10)",
    "anomaly": "torch's anomaly mode, for comparison",
    "torch-audit": "torch-audit, every step, for comparison",
    "torch-audit-1000": "torch-audit, every 1,000 steps, its default, for comparison",
}
SECTIONS = ("neighbours", "device")  # written by other scripts of this folder
TABLE = """
## {name}

| program | plain step | ratio | interval | wall | cost of a step | where |
|---|---|---|---|---|---|---|
"""


def write(
    path: Path,
    results: "Mapping[tuple[str, str], Paired]",
    start: "Paired | None",
    titles: Mapping[str, str],
    aims: Mapping[str, str],
) -> None:
    """Write the page, tables by mode."""
    from overhead import split

    text = HEAD.format(
        day=datetime.now().astimezone().date().isoformat(),
        machine=platform.machine(),
        cores=os.cpu_count(),
        torch=torch.__version__,
        python=platform.python_version(),
        **aims,
    )
    modes = dict.fromkeys(mode for _, mode in results)
    for mode in sorted(modes, key=list(NAMES).index):
        text += TABLE.format(name=NAMES[mode][0].upper() + NAMES[mode][1:])
        for (name, of), found in results.items():
            if of == mode:
                text += _row(titles[name], found, split(found, 4))
    if start is not None:
        text += _start(start)
    path.write_text(text + "".join(kept(path, name) for name in SECTIONS))


def kept(path: Path, name: str) -> str:
    """A section that another script writes, with its marks; empty where there is none yet."""
    _, mark, rest = path.read_text().partition(f"<!-- {name} -->\n")
    body, end, _ = rest.partition(f"<!-- end of {name} -->\n")
    return f"\n{mark}{body}{end}" if mark and end else ""


def put(path: Path, name: str, text: str) -> None:
    """Write such a section, in its place or at the end."""
    section = f"\n<!-- {name} -->\n{text}<!-- end of {name} -->\n"
    old, page = kept(path, name), path.read_text()
    path.write_text(page.replace(old, section) if old else page + section)


def _row(title: str, found: Any, where: str) -> str:
    low, high = found.interval(1)
    return (
        f"| {title} | {_time(found.step)} | {found.ratio(1):.3f} | {low:.3f} to {high:.3f} "
        f"| {found.ratio(0):.3f} | {_time(found.cost)} | {where} |\n"
    )


def _start(found: Any) -> str:
    wall = found.ratio(0)
    plain = sorted(pair[0] for pair in found.plain)[len(found.plain) // 2]
    return (
        "\n## Start-up\n\n"
        f"A script of three steps: `python` {plain:.2f} s, `steplens run` {plain * wall:.2f} s, "
        f"that is {plain * (wall - 1):.2f} s more ({found.cost:.2f} s of processor time; "
        f"{len(found.plain)} pairs).\n"
    )


def _time(seconds: float) -> str:
    if abs(seconds) < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.3g} ms"
