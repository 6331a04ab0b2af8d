"""Writes pages that are made from the code, or says which are out of date."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parent


def put(files: Mapping[Path, str], folders: Iterable[Path], script: str) -> int:
    """Write these files, and remove others of their folders; the exit status.

    With ``--check`` among the arguments nothing is written, and the status is 1 when a file is out
    of date: ``script`` is what brings it up to date.
    """
    there = {path for folder in folders for path in folder.glob("*.md")}
    stale = sorted(there - set(files)) + [
        path
        for path, text in files.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(DOCS.parent)} is out of date", file=sys.stderr)
        if stale:
            print(f"run `python docs/{script}`", file=sys.stderr)
        return int(bool(stale))
    for path in there - set(files):
        path.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0
