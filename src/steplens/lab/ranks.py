"""Two processes of the lab's own, on which the claims about ranks are decided."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch.distributed as dist

from steplens.lab.base import Claim
from steplens.lab.running import Outcome, decided, failed
from steplens.model import codec

WORLD = 2  # processes
NOT_BUILT = "ImportError: this torch was built without torch.distributed"
PATIENCE = 300.0  # seconds until they are given up


class Ranks:
    """Starts the processes at once, so that they work while the caller does; ``outcomes`` waits.

    Each runs ``python -m steplens.lab.rank``, meets the other through a file in a folder of its
    own, and speaks gloo on the CPU.
    """

    def __init__(self, claims: Iterable[Claim], watched: bool = False) -> None:
        self.claims = tuple(claims)
        self.folder = tempfile.TemporaryDirectory(prefix="steplens-lab-")
        self.begin = time.perf_counter()
        names = [claim.name for claim in self.claims] if dist.is_available() else []
        program = [sys.executable, "-X", "faulthandler", "-m", "steplens.lab.rank"]
        environ = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.processes = [
            subprocess.Popen(
                [*program, str(rank), str(WORLD), self.folder.name, str(int(watched)), *names],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=(Path(self.folder.name) / f"{rank}.err").open("wb"),
            )
            for rank in range(WORLD if names else 0)
        ]

    def outcomes(self) -> dict[str, Outcome]:
        """The outcomes by name, once both processes have ended."""
        if not dist.is_available():
            return {claim.name: failed(claim, NOT_BUILT) for claim in self.claims}
        try:
            why = self._wait()
            answers = [self._answer(rank) for rank in range(len(self.processes))]
            return {claim.name: self._outcome(claim, answers, why) for claim in self.claims}
        finally:
            self.close()

    def close(self) -> None:
        """End what still runs, and remove the folder."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.folder.cleanup()

    def _wait(self) -> str:
        """Wait for all; why they were given up, if they were."""
        end = self.begin + PATIENCE
        for process in self.processes:
            try:
                process.wait(max(0.1, end - time.perf_counter()))
            except subprocess.TimeoutExpired:
                return f"the {WORLD} processes did not end within {PATIENCE:.0f} s"
        for rank, process in enumerate(self.processes):
            if process.returncode:
                said = (Path(self.folder.name) / f"{rank}.err").read_text(errors="replace")
                fatal = [line for line in said.splitlines() if "Error" in line]
                told = (fatal or ["no message"])[-1]
                return f"process {rank} ended with status {process.returncode}: {told}"
        return ""

    def _answer(self, rank: int) -> Mapping[str, Any]:
        path = Path(self.folder.name) / f"{rank}.json"
        return msgspec.json.decode(path.read_bytes()) if path.exists() else {}

    def _outcome(self, claim: Claim, answers: list[Mapping[str, Any]], why: str) -> Outcome:
        found = [answer.get(claim.name, {}) for answer in answers]
        faults = [each["fault"] for each in found if each.get("fault")]
        if faults or not all(found):
            return failed(claim, (faults or [why or "no answer from the processes"])[0])
        keys = found[0]["measured"]
        measured = {key: [each["measured"][key] for each in found] for key in keys}
        told = found[0].get("report")
        report = codec.decode(told.encode(), claim.name) if told else None
        return decided(claim, measured, max(each["seconds"] for each in found), report)
