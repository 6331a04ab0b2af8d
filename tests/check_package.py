"""The built package as its users get it: what `make package` asserts.

Run as `python check_package.py WHEEL PYTHON`, where PYTHON is that of an environment into which the
wheel was installed with its extra `notebook`, and nothing else of the project's.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRON = {
    name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "STEPLENS_"))
}
ENVIRON |= {"NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
# a command, and a text that it prints or writes
COMMANDS = (
    (("lab", "zero-grad"), "all as recorded"),
    (("lab", "zero-grad", "--lang", "zh"), "优化器"),
    (("explain", "SL201", "--lang", "zh"), "gradients-never-cleared（错误）"),
    (("run", str(ROOT / "examples/reference_notebook.py")), "SL304"),
    (("run", str(ROOT / "examples/reference_notebook.ipynb")), "[8]:1"),
    (("show", "--output-format", "html", "--output-file", "page.html"), ""),
)


def missing(wheel: Path) -> list[str]:
    """The files of the sources that the wheel does not hold."""
    held = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in (ROOT / "src/steplens").rglob("*") if path.is_file()]
    names = [path.relative_to(ROOT / "src").as_posix() for path in files if path.suffix != ".pyc"]
    return sorted(set(names) - held)


def faults(python: str, folder: str) -> list[str]:
    """What goes wrong when the installed package is used in an empty folder."""

    def said(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [python, *words], cwd=folder, env=ENVIRON, capture_output=True, text=True, timeout=300
        )
        return done.returncode, done.stdout + done.stderr

    _, home = said("-c", "import steplens; print(steplens.__file__)")
    if str(ROOT / "src") in home:
        return [f"the sources were tried, not the package: {home}"]
    found: list[str] = []
    for words, expected in COMMANDS:
        status, text = said("-m", "steplens", *words)
        if status or expected not in text:
            found.append(f"`steplens {' '.join(words)}` ended with {status}:\n{text[-2000:]}")
    page = Path(folder, "page.html")
    if not page.exists() or "<script" not in page.read_text(encoding="utf-8"):
        found.append("the page holds no script")
    return found


def main(wheel: str, python: str) -> int:
    """1 when something is wrong with the package."""
    wrong = [f"not in the wheel: {name}" for name in missing(Path(wheel))]
    with tempfile.TemporaryDirectory() as folder:
        wrong += faults(os.path.abspath(python), folder)
    print("\n".join(wrong) or f"{Path(wheel).name} is whole: {len(COMMANDS)} commands tried")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
