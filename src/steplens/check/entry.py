"""Entry: what python would run for a target, and the ``__main__`` it would run it in."""

import builtins
import importlib.machinery
import importlib.util
import io
import os
import pkgutil
import sys
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from steplens.errors import BadProgram


@dataclass(frozen=True, slots=True)
class Entry:
    """A program that can be started.

    ``argv0`` and ``path0`` are what python would put first in ``sys.argv`` and ``sys.path``.
    ``load`` makes the code and names it in ``__main__``; it may run the user's code (the packages
    above a module) and raise what that raises.
    """

    argv0: str
    path0: str
    load: Callable[[ModuleType], CodeType]


def script(target: str) -> Entry:
    """The Entry for a ``.py`` or ``.pyc`` file, or a folder or zip that holds ``__main__.py``."""
    path = Path(target)
    if not path.exists():
        raise BadProgram(
            f"no program `{target}`: there is no such file; give a .py or .ipynb file, or -m MODULE"
        )
    bundled = path.is_dir() or _zipped(path)
    importer = pkgutil.get_importer(os.path.abspath(target)) if bundled else None
    if importer is not None:
        return _bundle(target, importer)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise BadProgram(f"cannot read `{target}`; give a .py or .ipynb file, or -m MODULE")
    full = os.path.abspath(target)  # as __file__ has it: links are not followed

    def load(main: ModuleType) -> CodeType:
        main.__file__ = full
        data = path.read_bytes()
        if data[:4] == importlib.util.MAGIC_NUMBER:
            loader: Any = importlib.machinery.SourcelessFileLoader("__main__", full)
            main.__loader__ = loader
            return loader.get_code("__main__")
        main.__loader__ = importlib.machinery.SourceFileLoader("__main__", full)
        _decodable(data, full)
        return compile(data, full, "exec", dont_inherit=True)

    return Entry(target, os.path.dirname(os.path.realpath(target)), load)


def module(name: str) -> Entry:
    """The Entry for ``-m name``."""
    top = name.partition(".")[0]
    folder = os.getcwd()
    with _FirstOnPath(folder):
        if not name or name.startswith(".") or (top not in sys.modules and not _findable(top)):
            raise BadProgram(f"no module named `{name}`; give a module that `python -m` would find")

    def load(main: ModuleType) -> CodeType:
        spec = _runnable(name)
        sys.argv[0] = spec.origin or name
        return _adopt(main, spec)

    return Entry("-m", folder, load)


def install_main(entry: Entry, args: list[str]) -> ModuleType:
    """Put the program's ``__main__``, ``sys.argv`` and first path entry in the place of ours."""
    main = ModuleType("__main__")
    vars(main).update(__builtins__=builtins, __annotations__={}, __cached__=None, __package__=None)
    take_main(main)
    sys.argv[:] = [entry.argv0, *args]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[:1] = [entry.path0]
    return main


def take_main(main: ModuleType) -> None:
    """Make this the process's main module, also under the name by which ``multiprocessing`` sends
    its classes: steplens has imported that before the program (``multiprocessing/__init__.py``)."""
    sys.modules["__main__"] = main
    if "__mp_main__" in sys.modules:
        sys.modules["__mp_main__"] = main


def _zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK" or path.suffix in (".zip", ".pyz")


def _decodable(data: bytes, name: str) -> None:
    """Raise as python does for undeclared text that is not UTF-8: compile() lets comments pass."""
    encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0] if b"coding" in data else ""
    if encoding not in ("", "utf-8", "utf-8-sig"):
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        start = f"Non-UTF-8 code starting with '\\x{data[error.start]:02x}' in file {name}"
        raise SyntaxError(
            f"{start} on line {line}, but no encoding declared; "
            "see https://peps.python.org/pep-0263/ for details"
        ) from None


def _bundle(target: str, importer: Any) -> Entry:
    spec = importer.find_spec("__main__")
    if spec is None or spec.loader is None:
        raise BadProgram(
            f"`{target}` holds no __main__.py; give a .py or .ipynb file, or -m MODULE"
        )
    folder = os.path.abspath(target)
    return Entry(target, folder, lambda main: _adopt(main, spec, package=""))


def _adopt(main: ModuleType, spec: ModuleSpec, package: str | None = None) -> CodeType:
    """Give ``main`` the names that runpy gives it, and return the code."""
    loader: Any = spec.loader
    code = loader.get_code(spec.name)
    if code is None:
        raise BadProgram(f"`{spec.name}` has no Python code to run")
    main.__spec__ = spec
    main.__loader__ = loader
    main.__package__ = spec.parent if package is None else package
    vars(main).update(__file__=spec.origin, __cached__=spec.cached)
    return code


def _findable(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _runnable(name: str) -> ModuleSpec:
    """The spec of what ``-m name`` runs; imports the packages above it."""
    missing = f"no module named `{name}`; give a module that `python -m` would find"
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        raise BadProgram(missing) from None
    if spec is None or (spec.loader is None and spec.submodule_search_locations is None):
        raise BadProgram(missing)
    if spec.submodule_search_locations is None:
        return spec
    main = importlib.util.find_spec(name + ".__main__")
    if main is None or main.loader is None:
        raise BadProgram(f"no module named `{name}.__main__`: `{name}` is a package without one")
    return main


class _FirstOnPath:
    """Looks in ``folder`` first, for as long as the block lasts."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        sys.path.insert(0, self._folder)

    def __exit__(self, *error: object) -> None:
        sys.path.remove(self._folder)
