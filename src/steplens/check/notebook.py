"""Runs a notebook's code cells in IPython's own shell, in this process."""

import builtins
import sys
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Protocol

from steplens.check import crash, entry
from steplens.errors import BadProgram

CURRENT = 4  # the major format that is run; nbformat lifts older ones to it


class Hearer(Protocol):
    """Who is told which compiled file is which cell: the Session."""

    def cell(self, filename: str, notebook: str, number: int, source: str) -> None: ...


class Notebook:
    """A notebook that can be run: its code cells, numbered from 1 in their order.

    Raises BadProgram for a file that is missing, no notebook, or not in Python.
    """

    def __init__(self, target: str, args: list[str]) -> None:
        self.target = target
        self._args = args
        self._cells = [cell for cell in _read(target).cells if cell.cell_type == "code"]

    def run(self, session: Hearer) -> None:
        """Run the cells in order and raise what one raises, unless tagged ``raises-exception``."""
        from steplens.check.shell import open_shell

        main = self._main()
        with open_shell(main) as shell:
            for number, cell in enumerate(self._cells, 1):
                name = f"{self.target}[{number}]"
                session.cell(name, self.target, number, cell.source)
                error = shell.run(cell.source, name)
                if error is None:
                    continue
                error.__traceback__ = _from_cells(error.__traceback__, self.target)
                if not isinstance(error, Exception) or not _may_raise(cell):
                    raise error
                crash.show(error)

    def _main(self) -> ModuleType:
        main = ModuleType("__main__")
        vars(main).update(__builtins__=builtins)
        entry.take_main(main)
        sys.argv[:] = [self.target, *self._args]
        if not getattr(sys.flags, "safe_path", False):
            sys.path[:1] = [str(Path(self.target).resolve().parent)]
        return main


def _may_raise(cell: Any) -> bool:
    return "raises-exception" in cell.metadata.get("tags", [])


def _read(target: str) -> Any:
    import nbformat

    path = Path(target)
    if not path.exists():
        raise BadProgram(
            f"no notebook `{target}`: there is no such file; give a .ipynb or .py file"
        )
    try:
        book = nbformat.read(path, as_version=CURRENT)
    except OSError as error:
        raise BadProgram(
            f"cannot read `{target}`: {error.strerror or error}; give a .py or .ipynb file"
        ) from None
    except Exception as error:  # nbformat lets through whatever a foreign file causes
        words = " ".join(str(error).split())[:120] or type(error).__name__
        raise BadProgram(f"`{target}` is not a notebook: {words}") from None
    language = _language(book.metadata)
    if language != "python":
        raise BadProgram(
            f"`{target}` is a notebook in {language}; only Python notebooks can be run"
        )
    return book


def _language(metadata: Any) -> str:
    """The notebook's language, lower case; Python when it does not say."""
    kernel, info = metadata.get("kernelspec", {}), metadata.get("language_info", {})
    name = info.get("name") or kernel.get("language") or kernel.get("name") or "python"
    return "python" if name.lower() in ("ipython", "python3") else name.lower()


def _from_cells(traceback: TracebackType | None, target: str) -> TracebackType | None:
    """The traceback from the first frame of a cell on; None when no cell had begun to run."""
    entry = traceback
    while entry is not None:
        if entry.tb_frame.f_code.co_filename.startswith(target + "["):
            return entry
        entry = entry.tb_next
    return None
