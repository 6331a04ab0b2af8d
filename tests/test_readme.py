"""The README and the docs show what the program prints today; the README fits one screen."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_readme_and_the_docs_show_what_the_program_prints():
    command = [sys.executable, "docs/sync_output.py", "--check"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_is_one_screen_without_its_output():
    parts = (ROOT / "README.md").read_text(encoding="utf-8").split("```")
    assert len("".join(parts[::2]).splitlines()) < 50
