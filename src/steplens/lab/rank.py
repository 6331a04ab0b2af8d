"""One process of the lab's own: runs the named experiments as one rank, and writes what it found.

``python -m steplens.lab.rank RANK WORLD FOLDER WATCHED NAMES...``; see `ranks.py`.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import torch.distributed as dist

from steplens.lab import running, watching
from steplens.lab.claims import BY_NAME
from steplens.model import codec


def main(rank: int, world: int, folder: Path, watched: bool, names: list[str]) -> None:
    """Decide the claims together with the other ranks."""
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=240),
    )
    found: dict[str, Any] = {}
    for name in names:
        claim = BY_NAME[name]
        outcome = watching.watch(claim) if watched else running.run(claim)
        found[name] = {
            "measured": dict(outcome.measured),
            "fault": outcome.fault,
            "seconds": outcome.seconds,
            "report": codec.encode(outcome.report).decode() if outcome.report else "",
        }
        (folder / f"{rank}.json").write_bytes(msgspec.json.encode(found))  # outlives a crash later
        dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    rank, world, folder, watched, *names = sys.argv[1:]
    main(int(rank), int(world), Path(folder), watched == "1", names)
