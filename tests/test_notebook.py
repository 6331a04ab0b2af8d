"""A notebook runs in IPython's own shell, and leaves nothing of it behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from steplens.check.notebook import Notebook
from steplens.check.program import run_program
from steplens.config import Config
from steplens.errors import BadProgram

ROOT = Path(__file__).parent.parent
RUNNER = """
import sys
from steplens.check.program import run_program
from steplens.config import Config
from steplens.errors import SteplensError
try:
    code = run_program(sys.argv[1], sys.argv[2:], False, Config())[1]
except SteplensError as error:
    print(f"steplens: {error}", file=sys.stderr)
    code = error.exit_code
from IPython.core.interactiveshell import InteractiveShell
import builtins
left = [InteractiveShell.initialized(), hasattr(builtins, "display"), hasattr(sys, "ps1")]
if any(left):
    print("left behind", left)
sys.exit(code)
"""


def write(
    path: Path, *cells: str, tags: dict[int, list[str]] | None = None, **metadata: object
) -> Path:
    """A notebook of code cells; ``tags`` by the number of the cell, from 1."""
    listed = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": (tags or {}).get(number, [])},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(cells, 1)
    ]
    book = {"cells": listed, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(book))
    return path


def run(book: Path, *args: str, **options: object) -> subprocess.CompletedProcess[str]:
    home = book.parent / "home"
    home.mkdir(exist_ok=True)
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HOME": str(home), "NO_COLOR": "1"}
    command = [sys.executable, "-c", RUNNER, book.name, *args]
    done = subprocess.run(
        command, cwd=book.parent, env=env, capture_output=True, text=True, timeout=120, **options
    )
    assert "left behind" not in done.stdout
    assert not (home / ".ipython").exists()
    return done


def test_cells_print_in_order_with_values_as_text(tmp_path):
    book = write(tmp_path / "n.ipynb", "print(1)\n2", "display(3)", "_ + 1", "len(In), Out[1]")
    assert run(book).stdout == "1\n2\n3\n3\n(5, 2)\n"


def test_magics_commands_and_top_level_await_work(tmp_path):
    book = write(
        tmp_path / "n.ipynb",
        "!echo from the shell",
        "%%capture kept\nprint('hidden')",
        "kept.stdout",
        "import asyncio\nawait asyncio.sleep(0, 'awaited')",
        "%%time\nimport sys\nprint(sys._getframe().f_code.co_filename, sys._getframe().f_lineno)",
        "%%capture kept\n%%time\nprint(sys._getframe().f_lineno)",
        "kept.stdout.split()[0]",
        "%precision 2\n1 / 3",
    )
    out = run(book).stdout
    assert out.startswith("from the shell\n'hidden\\n'\n'awaited'\nn.ipynb[5] 3\n")
    assert out.endswith("'3'\n0.33\n")


def test_the_program_sees_its_own_main_arguments_and_stdin(tmp_path):
    book = write(
        tmp_path / "n.ipynb",
        "import pickle, sys\nclass Thing: pass",
        "print(type(pickle.loads(pickle.dumps(Thing()))) is Thing, Thing.__module__, sys.argv)",
        "input()",
        "import atexit\nvalue = 'kept'\natexit.register(lambda: print(value));",
    )
    done = run(book, "a", "--b", input="typed\n")
    assert done.stdout == "True __main__ ['n.ipynb', 'a', '--b']\n'typed'\nkept\n"


def test_an_error_stops_the_run_and_shows_the_cells_lines(tmp_path):
    book = write(
        tmp_path / "n.ipynb",
        "def f():\n    raise ValueError('bad')",
        "# two\nf()",
        "print('never')",
    )
    done = run(book)
    said = [line for line in done.stderr.splitlines() if line.strip(" ~^")]  # marks: Python 3.13
    assert said == [
        "Traceback (most recent call last):",
        '  File "n.ipynb[2]", line 2, in <module>',
        "    f()",
        '  File "n.ipynb[1]", line 2, in f',
        "    raise ValueError('bad')",
        "ValueError: bad",
    ]
    assert (done.stdout, done.returncode) == ("", 1)


def test_a_syntax_error_in_a_cell_is_shown_without_ipython(tmp_path):
    done = run(write(tmp_path / "n.ipynb", "x = = 1"))
    assert done.stderr.startswith('  File "n.ipynb[1]", line 1')
    assert done.stderr.endswith("SyntaxError: invalid syntax\n")


def test_a_cell_that_may_raise_goes_on(tmp_path):
    book = write(tmp_path / "n.ipynb", "1 / 0", "print('on')", tags={1: ["raises-exception"]})
    done = run(book)
    assert (done.stdout, done.returncode) == ("on\n", 0)
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("cell", "status"),
    [("import sys; sys.exit(3)", 3), ("exit()", 0), ("%%time\nraise SystemExit(4)", 4)],
)
def test_leaving_from_a_cell_gives_the_exit_status(tmp_path, cell, status):
    done = run(write(tmp_path / "n.ipynb", cell, "print('never')"))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", status)


def test_the_reference_notebook_prints_the_reference_numbers(tmp_path):
    book = tmp_path / "reference.ipynb"
    book.write_text((ROOT / "examples" / "reference_notebook.ipynb").read_text())
    script = ROOT / "examples" / "reference_notebook.py"
    plain = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert run(book).stdout == plain.stdout
    for number in (
        "[[2.]]",
        "[[0., 4.]]",
        "[[0., 8.]]",
        "[[1.0000, 0.5000]]",
        "[[1.0000, 0.5174]]",
    ):
        assert number in plain.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no json", "is not a notebook"),
        ('{"a": 1}', "is not a notebook"),
        ("[1]", "is not a notebook"),
        ('{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "is not a notebook"),
        ("", "is not a notebook"),
    ],
)
def test_a_foreign_file_is_told_in_one_line(tmp_path, text, words):
    path = tmp_path / "n.ipynb"
    path.write_text(text)
    with pytest.raises(BadProgram, match=words) as told:
        Notebook(str(path), [])
    assert "\n" not in str(told.value)


def test_a_missing_notebook_and_another_language_are_refused(tmp_path):
    with pytest.raises(BadProgram, match="no notebook"):
        Notebook(str(tmp_path / "nope.ipynb"), [])
    path = write(
        tmp_path / "r.ipynb", kernelspec={"name": "ir", "language": "R", "display_name": "R"}
    )
    with pytest.raises(BadProgram, match="notebook in r; only Python"):
        Notebook(str(path), [])


def test_without_its_reader_a_notebook_is_refused_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "nbformat", None)  # as python marks what cannot be imported
    with pytest.raises(BadProgram, match=r"nbformat is not installed; run `pip install 'steplens"):
        run_program("any.ipynb", [], False, Config())
