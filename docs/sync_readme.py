"""Puts real output into README.md: runs the command in each marker and replaces what follows.

A marker is ``<!-- run: COMMAND -->`` or ``<!-- run: COMMAND | from: TEXT -->``, closed by
``<!-- end -->``; with ``from`` the output begins at the first line that holds TEXT. With
``--check`` nothing is written, and the exit status is 1 when the README is out of date.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
MARKER = re.compile(r"(<!-- run: (.+?)(?: \| from: (.+?))? -->\n).*?(<!-- end -->)", re.DOTALL)


def output(line: str, begin: str | None) -> str:
    """What the command prints in the project's root, plain, with no setting but the project's."""
    words = shlex.split(line)
    with tempfile.TemporaryDirectory() as folder:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("STEPLENS_")}
        environ |= {"NO_COLOR": "1", "LC_ALL": "C.UTF-8", "STEPLENS_FOLDER": folder}
        command = [sys.executable, "-m", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )
    lines = done.stdout.splitlines()
    if begin is not None:
        found = [number for number, line in enumerate(lines) if begin in line]
        if not found:
            raise SystemExit(
                f"`{line}` printed no line with {begin!r}:\n{done.stdout}{done.stderr}"
            )
        lines = ["...", *lines[found[0] :]]
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def synced(text: str) -> str:
    """The README's text with every marked part measured anew."""

    def fill(match: re.Match[str]) -> str:
        shown = output(match[2], match[3])
        return f"{match[1]}```console\n$ {match[2]}\n{shown}\n```\n{match[4]}"

    return MARKER.sub(fill, text)


def main() -> int:
    text = README.read_text(encoding="utf-8")
    fresh = synced(text)
    if "--check" in sys.argv[1:]:
        if fresh != text:
            print("README.md is out of date; run `python docs/sync_readme.py`", file=sys.stderr)
        return int(fresh != text)
    README.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
