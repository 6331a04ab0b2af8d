"""A program under steplens behaves as under python: output, traceback, status and workers."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

RUNNER = """
import sys
from steplens.check.program import run_program
from steplens.config import Config
from steplens.errors import SteplensError
if __name__ == "__main__":
    module = sys.argv[1] == "-m"
    target, *args = sys.argv[1 + module:]
    try:
        code = run_program(target, args, module, Config())[1]
    except SteplensError as error:
        print(f"steplens: {error}", file=sys.stderr)
        code = error.exit_code
    sys.exit(code)
"""


class Place:
    """A folder with programs, run by python and by steplens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self.runner = folder / "runner.py"
        self.runner.write_text(RUNNER)

    def write(self, name: str, source: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source).lstrip())
        return name

    def python(self, *args: str, **options: object) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, *args], **options)

    def steplens(self, *args: str, **options: object) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, str(self.runner), *args], **options)

    def same(self, *args: str, **options: object) -> subprocess.CompletedProcess[str]:
        """What both gave, after checking that it is the same."""
        plain, watched = self.python(*args, **options), self.steplens(*args, **options)
        assert watched.stdout == plain.stdout
        assert watched.stderr == without_runpy(plain.stderr)
        assert watched.returncode == plain.returncode
        return watched

    def _run(self, command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        root = Path(__file__).parent.parent / "src"
        env = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "0", "NO_COLOR": "1"}
        folder = options.pop("cwd", self.folder)
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, **options
        )


def without_runpy(text: str) -> str:
    """Python's own two lines above a module run with -m are the one thing that is left out."""
    return re.sub(r'  File "<frozen runpy>".*\n', "", text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_program_sees_its_own_names(place):
    place.write("sub/beside.py", "HERE = __file__")
    source = """
        import sys, os, beside
        print(sys.argv, __name__, __file__, __spec__, __package__, __doc__)
        print(sorted(globals()), sys.path[0], os.getcwd(), beside.HERE)
        print(type(__builtins__), __loader__.get_filename("__main__"))
        print(sys.modules["__main__"].__dict__ is globals())
    """
    name = place.write("sub/prog.py", source)
    assert place.same(name, "a", "--steps", "-m").returncode == 0
    assert place.same(str(place.folder / name)).returncode == 0


def test_a_module_sees_its_own_names(place):
    place.write("pack/__init__.py", "print('package', __name__)")
    place.write("pack/__main__.py", "from . import other\nprint('main', __name__, __spec__.name)")
    place.write("pack/other.py", "import sys\nprint(__name__, __package__, sys.argv, sys.path[0])")
    assert "main __main__ pack.__main__" in place.same("-m", "pack", "x").stdout
    assert "__main__ pack" in place.same("-m", "pack.other", "-v").stdout


def test_a_folder_and_a_zip_with_a_main_run(place):
    import zipfile

    place.write("app/__main__.py", "import sys, inner\nprint(sys.argv, __package__, sys.path[0])")
    place.write("app/inner.py", "print('inner')")
    with zipfile.ZipFile(place.folder / "app.pyz", "w") as archive:
        for name in ("__main__.py", "inner.py"):
            archive.write(place.folder / "app" / name, name)
    place.same("app", "x")
    place.same("app.pyz", "x")


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("sys.exit(3)", 3),
        ("sys.exit()", 0),
        ("sys.exit('text')", 1),
        ("sys.exit([1, 2])", 1),
        ("sys.exit(256 + 7)", 7),
        ("raise SystemExit", 0),
        ("os._exit(5)", 5),
        ("raise ValueError('bad')", 1),
        ("raise ExceptionGroup('several', [ValueError(1), TypeError(2)])", 1),
        ("nme", 1),
    ],
)
def test_the_exit_status_and_the_last_words_are_pythons(place, ending, status):
    place.write("prog.py", f"import os, sys\nprint('out', flush=True)\n{ending}\n")
    assert place.same("prog.py").returncode == status


def test_a_traceback_names_the_users_lines_alone(place):
    source = """
        def outer():
            try:
                {}["key"]
            except KeyError as error:
                raise RuntimeError("worse") from error

        def again():
            try:
                outer()
            except RuntimeError:
                import beside

        again()
    """
    place.write("prog.py", source)
    place.write("beside.py", "1 / 0\n")
    assert "steplens" not in place.same("prog.py").stderr
    assert "ZeroDivisionError" in place.same("-m", "prog").stderr


def test_a_traceback_through_a_probe_shows_no_steplens(place):
    source = """
        import torch
        model = torch.nn.Linear(2, 1)
        with torch.no_grad():
            loss = model(torch.ones(1, 2)).sum()
        loss.backward()
    """
    place.write("prog.py", source)
    found = place.same("prog.py")
    assert "does not require grad" in found.stderr
    assert found.returncode == 1


def test_the_users_own_excepthook_is_called(place):
    hook = "def hook(kind, error, trace): print('hook', kind.__name__, trace.tb_lineno)"
    place.write("prog.py", f"import sys\n{hook}\nsys.excepthook = hook\nraise ValueError\n")
    assert place.same("prog.py").stdout == "hook ValueError 4\n"
    place.write("prog.py", "import sys\nsys.excepthook = lambda *a: 1 / 0\nraise ValueError\n")
    assert place.same("prog.py").returncode == 1


def test_a_syntax_error_looks_as_in_python(place):
    place.write("prog.py", "x = 1\ndef (:\n")
    place.same("prog.py")
    (place.folder / "latin.py").write_bytes(b"# caf\xe9\n")
    assert "Non-UTF-8" in place.same("latin.py").stderr


def test_a_program_in_another_encoding_runs(place):
    (place.folder / "latin.py").write_bytes(b"# coding: latin-1\nprint(ascii('caf\xe9'))\n")
    assert "\\xe9" in place.same("latin.py").stdout


def test_an_interrupt_ends_with_130_and_pythons_traceback(place):
    source = """
        import os, signal
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**9): pass
    """
    place.write("prog.py", source)
    plain, watched = place.python("prog.py"), place.steplens("prog.py")
    assert plain.returncode == -signal.SIGINT
    assert watched.returncode == 130
    assert watched.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert "steplens" not in watched.stderr


def test_stdin_is_the_programs(place):
    place.write("prog.py", "import sys\nprint(input('name? '), sys.stdin.read())\n")
    assert place.same("prog.py", input="Ada\nrest").stdout == "name? Ada rest\n"


def test_classes_of_main_are_pickled_and_copied(place):
    source = """
        import copy, pickle
        class Thing:
            pass
        back = pickle.loads(pickle.dumps(Thing()))
        print(type(back) is Thing, Thing.__module__, copy.deepcopy(Thing()).__class__ is Thing)
    """
    place.write("prog.py", source)
    assert place.same("prog.py").stdout == "True __main__ True\n"
    place.same("-m", "prog")


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers_are_started_as_under_python(place, method):
    source = f"""
        import multiprocessing as mp, sys
        class Thing:
            def __init__(self, value): self.value = value
        def double(thing): return Thing(thing.value * 2)
        if __name__ == "__main__":
            with mp.get_context("{method}").Pool(1) as pool:
                print([thing.value for thing in pool.map(double, [Thing(1), Thing(2)])])
    """
    place.write("prog.py", source)
    assert place.same("prog.py").stdout == "[2, 4]\n"
    assert place.same("-m", "prog").stdout == "[2, 4]\n"


def test_a_child_forked_by_hand_ends_as_under_python(place):
    source = """
        import os, sys
        child = os.fork()
        if child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        else:
            print("child", flush=True)
            raise ValueError("of the child")
    """
    place.write("prog.py", source)
    assert place.same("prog.py").stdout == "child\n1\n"


def test_atexit_handlers_and_threads_end_in_pythons_order(place):
    source = """
        import atexit, threading
        value = "kept"
        atexit.register(lambda: print("first registered", value))
        atexit.register(lambda: print("last registered", value))
        started = threading.Event()
        def work():
            started.wait()
            print("thread", value)
        threading.Thread(target=work).start()
        print("end")
        started.set()
    """
    place.write("prog.py", source)
    assert place.same("prog.py").stdout.splitlines()[-2:] == [
        "last registered kept",
        "first registered kept",
    ]


def test_the_source_of_main_can_be_read(place):
    place.write("prog.py", "import inspect\ndef f(): return 1\nprint(inspect.getsource(f))\n")
    place.same("prog.py")


def test_a_program_that_closes_its_streams_runs(place):
    place.write("prog.py", "import sys\nprint('x', flush=True)\nsys.stderr.close()\nsys.exit(4)\n")
    assert place.same("prog.py").returncode == 4


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nope.py"], "no program `nope.py`"),
        (["empty"], "`empty` holds no __main__.py"),
        (["-m", "nope_nope"], "no module named `nope_nope`"),
        (["-m", "json.nope"], "no module named `json.nope`"),
        (["-m", "xml"], "no module named `xml.__main__`"),
        (["-m", ".x"], "no module named `.x`"),
    ],
)
def test_what_cannot_be_started_is_told_in_one_line(place, args, words):
    (place.folder / "empty").mkdir()
    found = place.steplens(*args)
    assert found.stderr.startswith("steplens: ")
    assert words in found.stderr
    assert found.stderr.count("\n") == 1
    assert found.returncode == 2


def test_a_program_that_is_not_there_leaves_no_report(place):
    place.steplens("nope.py")
    place.steplens("-m", "nope_nope")
    assert not (place.folder / ".steplens").exists()


def test_an_import_error_within_a_module_is_its_own(place):
    place.write("pack/__init__.py", "import nope_nope")
    place.write("pack/run.py", "")
    found = place.steplens("-m", "pack.run")
    assert "ModuleNotFoundError: No module named 'nope_nope'" in found.stderr
    assert found.returncode == 1
