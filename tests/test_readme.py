"""The README and the docs show what the program prints today; the README fits one screen."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def shown():
    """The files that show output, by their path in the project."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    marked = [path for path in files if "<!-- run: " in path.read_text(encoding="utf-8")]
    return [str(path.relative_to(ROOT)) for path in marked]


@pytest.mark.parametrize("file", shown())
def test_the_readme_and_the_docs_show_what_the_program_prints(file):
    command = [sys.executable, "docs/sync_output.py", "--check", file]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_is_one_screen_without_its_output():
    parts = (ROOT / "README.md").read_text(encoding="utf-8").split("```")
    assert len("".join(parts[::2]).splitlines()) < 50
