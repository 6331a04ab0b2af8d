"""Puts real output into the README and the docs: runs each marker's command and replaces what
follows it.

A marker is ``<!-- run: COMMAND -->`` or ``<!-- run: COMMAND | from: TEXT | to: TEXT -->``, closed
by ``<!-- end -->``; with ``from`` the output begins at the first line that holds TEXT, with ``to``
it ends before the next line that does. Commands of one file run in order and share a folder for
their reports. Files may be named; all is the default. With ``--check`` nothing is written, and the
exit status is 1 when a file is out of date.
"""

import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TIMED = "watching took "  # a line of seconds, never the same
MARKER = re.compile(
    r"(<!-- run: (.+?)(?: \| from: (.+?))?(?: \| to: (.+?))? -->\n).*?(<!-- end -->)", re.DOTALL
)


def output(line: str, begin: str | None, end: str | None, folder: str) -> str:
    """What the command prints in the project's root, plain, with no setting but the project's."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("STEPLENS_")}
    environ |= {"NO_COLOR": "1", "LC_ALL": "C.UTF-8", "STEPLENS_FOLDER": folder}
    environ["STEPLENS_BUDGET"] = "1"  # values read at every step, however busy the machine
    command = [sys.executable, "-m", *shlex.split(line)]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    lines = [words for words in done.stdout.splitlines() if not words.startswith(TIMED)]
    if begin is not None:
        lines = ["...", *lines[_place(lines, begin, line, done) :]]
    if end is not None:
        lines = [*lines[: _place(lines[1:], end, line, done) + 1], "..."]
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _place(lines: list[str], text: str, line: str, done: subprocess.CompletedProcess[str]) -> int:
    found = [number for number, words in enumerate(lines) if text in words]
    if not found:
        raise SystemExit(f"`{line}` printed no line with {text!r}:\n{done.stdout}{done.stderr}")
    return found[0]


def synced(text: str) -> str:
    """A file's text with every marked part measured anew."""
    with tempfile.TemporaryDirectory() as folder:

        def fill(match: re.Match[str]) -> str:
            shown = output(match[2], match[3], match[4], folder)
            return f"{match[1]}```console\n$ {match[2]}\n{shown}\n```\n{match[5]}"

        return MARKER.sub(fill, text)


def main() -> int:
    stale = 0
    named = [Path(word).resolve() for word in sys.argv[1:] if not word.startswith("-")]
    for path in named or FILES:
        text = path.read_text(encoding="utf-8")
        if not MARKER.search(text) or (fresh := synced(text)) == text:
            continue
        stale = 1
        if "--check" in sys.argv[1:]:
            name = path.relative_to(ROOT)
            print(f"{name} is out of date; run `python docs/sync_output.py`", file=sys.stderr)
            changed = difflib.unified_diff(text.splitlines(), fresh.splitlines(), "shown", "now")
            print("\n".join(changed), file=sys.stderr)
        else:
            path.write_text(fresh, encoding="utf-8")
    return stale if "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
