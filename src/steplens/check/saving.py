"""Saver: the Report's file, written as the run goes."""

import os
import re
import time
from datetime import datetime
from pathlib import Path

from steplens.errors import described
from steplens.model.codec import encode
from steplens.model.report import Report

SPACING = 100  # a new write waits for this many times the duration of the last one
FIRST = 1.0  # seconds between writes, at least


class Saver:
    """Writes ``NAME-TIME.json`` (``NAME-TIME-rankN.json`` where there are several ranks) whole and
    then puts it in place, so that a killed process leaves a readable file.

    A write that fails (full disk, read-only or deleted folder) is noted in ``fault`` and tried
    again at the end.
    """

    def __init__(self, folder: str, program: str) -> None:
        stem = re.sub(r"[^\w.-]+", "-", Path(program.removeprefix("-m ")).stem or "run")[:60]
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        self.folder = Path(folder).absolute()
        self.path = self.folder / f"{stem}-{stamp}.json"
        self.process = os.getpid()
        self.fault = ""
        self.last = time.monotonic()
        self.took = 0.0
        self.rank = -1  # of this process, where there are others
        self.known = -1
        self.placed = False

    def due(self, findings: int) -> bool:
        """Whether it is time for another write: at the first step, with each new finding, then ever
        more rarely."""
        now = time.monotonic()
        if self.known < 0 or findings > self.known:
            self.known = findings
            return True
        return now - self.last > max(FIRST, SPACING * self.took)

    def write(self, report: Report, began: float) -> None:
        """Write the report, whose making began at ``began``; a fault is noted, in the report
        too."""
        if os.getpid() != self.process:
            return  # a forked worker is not the run
        try:
            self._place()
            draft = self.path.with_suffix(".draft")
            draft.write_bytes(encode(report))
            os.replace(draft, self.path)
            self.fault = ""
        except Exception as error:
            self.fault = f"saving `{self.path}`: {described(error)}"
            if self.fault not in report.faults:
                report.faults.append(self.fault)
        self.last = time.monotonic()
        self.took = self.last - began

    def discard(self) -> None:
        """Take the file away again: other reports tell all that this one could."""
        if self.placed:
            self.path.unlink(missing_ok=True)
            self.placed = False

    def _place(self) -> None:
        """Make the folder, and find a name no other run has."""
        if self.placed:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        if self.rank >= 0:
            self.path = self.path.with_name(f"{self.path.stem}-rank{self.rank}.json")
        first, number = self.path, 1
        while self.path.exists():
            number += 1
            self.path = first.with_name(f"{first.stem}-{number}.json")
        self.placed = True
