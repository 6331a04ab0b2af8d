"""IPython's shell for one notebook: in this process, without a person's profile or history."""

import atexit
import builtins
import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from types import CodeType, ModuleType
from typing import Any

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.profiledir import ProfileDir
from traitlets.config import Config

from steplens.check import crash

INLINE = "module://matplotlib_inline.backend_inline"  # the backend that Jupyter's own kernel sets
PYTHON_MAGICS = ("capture", "time")  # cell magics whose body is the cell's Python code


@contextmanager
def open_shell(main: ModuleType) -> Generator["Shell", None, None]:
    """A shell whose namespace is ``main``; nothing of it stays in the process or on disk."""
    folder = tempfile.mkdtemp(prefix="steplens-ipython-")
    backend = os.environ.get("MPLBACKEND")
    os.environ.setdefault("MPLBACKEND", INLINE)
    before = {name: vars(builtins).get(name) for name in ("display", "__IPYTHON__")}
    process = os.getpid()
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "nocolor"
    profile = ProfileDir.create_profile_dir_by_name(folder, "default")
    shell = Shell.instance(
        config=config, ipython_dir=folder, profile_dir=profile, user_module=main, user_ns=vars(main)
    )
    try:
        yield shell
    finally:
        shell.close()
        if backend is None:
            os.environ.pop("MPLBACKEND", None)
        for name, value in before.items():
            _restore(builtins, name, value)
        if os.getpid() == process:
            shutil.rmtree(folder, ignore_errors=True)


def _restore(module: ModuleType, name: str, value: object) -> None:
    if value is not None:
        setattr(module, name, value)
    elif hasattr(module, name):
        delattr(module, name)


class CellCompiler(CachingCompiler):
    """Compiles all code of a cell under the cell's own name, that of ``%%time`` too."""

    cell = "<cell>"

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        return self.cell

    def __call__(self, source: Any, filename: str, *args: Any, **options: Any) -> CodeType:
        name = self.cell if filename.startswith("<timed ") else filename
        return super().__call__(source, name, *args, **options)


class PlainHook(DisplayHook):
    """Prints the value of a cell's last expression without an ``Out[n]:`` before it."""

    def write_output_prompt(self) -> None:
        """The output is the program's, and has no prompts."""


class Shell(InteractiveShell):
    """IPython's shell, with errors handed to the caller in place of shown."""

    compiler_class = CellCompiler
    compile: CellCompiler
    displayhook_class = PlainHook

    def run(self, source: str, name: str) -> BaseException | None:
        """Run one cell, compiled under ``name``; the exception that left it, if one did."""
        self.compile.cell = name
        self.magics = 0
        self.shown: list[BaseException] = []
        result = self.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        for shown in self.shown:  # a magic caught it and said so
            if not isinstance(shown, Exception):
                return shown
            if shown is not error:
                crash.show(shown)
        return error

    def close(self) -> None:
        """End the session; the user's names stay, for threads and atexit handlers."""
        atexit.unregister(self.atexit_operations)
        if self.history_manager is not None:
            self.history_manager.end_session()
            if hasattr(self.history_manager, "close"):
                self.history_manager.close()
        for name in ("ps1", "ps2", "ps3"):
            _restore(sys, name, None)
        type(self).clear_instance()

    async def run_code(
        self, code_obj: CodeType, result: Any = None, *, async_: bool = False
    ) -> bool:
        """As IPython's, but ``sys.exit`` and interrupts end the run, and nothing is printed."""
        try:
            if async_:
                await eval(code_obj, self.user_global_ns, self.user_ns)
            else:
                exec(code_obj, self.user_global_ns, self.user_ns)
        except BaseException as error:  # handed on by run
            if result is None:
                raise
            result.error_in_exec = error
            return True
        return False

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """As IPython's, with the body's line numbers those of the cell."""
        if magic_name not in PYTHON_MAGICS:
            return super().run_cell_magic(magic_name, line, cell)
        self.magics += 1  # one may hold another, which has to stand first
        try:
            above = "" if cell.startswith("%%") else "#\n" * self.magics
            return super().run_cell_magic(magic_name, line, above + cell)
        finally:
            self.magics -= 1

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        """Keep the error for the end of the cell: it is shown once the Report is saved."""
        error = exc_tuple[1] if exc_tuple is not None else sys.exc_info()[1]
        if error is not None:
            self.shown.append(error)

    def showsyntaxerror(self, *args: Any, **options: Any) -> None:
        """Handed on by run."""

    def ask_exit(self) -> None:
        """``exit()`` in a cell ends the program."""
        raise SystemExit

    def enable_gui(self, gui: str | None = None) -> None:
        """There is no window to show anything in."""

    def init_virtualenv(self) -> None:
        """sys.path stays as python has it."""
