"""Places: which line of the user's code is running."""

import site as site_packages
import sys
import sysconfig
from pathlib import Path
from types import CodeType, FrameType

from steplens.model.site import Site

_PACKAGE = str(Path(__file__).resolve().parent.parent)


PACKAGES = ("/site-packages/", "/dist-packages/")


def library_folders() -> tuple[str, ...]:
    """Folders whose code is not the user's: the standard library, installed packages and their
    commands, steplens itself."""
    paths = sysconfig.get_paths()
    kinds = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")  # scripts: our own launcher
    folders = {paths[key] for key in kinds if key in paths}
    folders.update(site_packages.getsitepackages())
    folders.add(site_packages.getusersitepackages())
    folders.add(_PACKAGE)
    torch = sys.modules.get("torch")
    if torch is not None and getattr(torch, "__file__", None):
        folders.add(str(Path(torch.__file__).parent))  # type: ignore[arg-type]
    return tuple(sorted(str(Path(folder).resolve()) + "/" for folder in folders))


def _working_folder() -> str:
    """The folder that Sites are told from; the root where the program's own has been deleted."""
    try:
        return str(Path.cwd()) + "/"
    except OSError:
        return "/"


def _below(path: str, package: str) -> bool:
    """Whether a file belongs to this installed package."""
    return any(f"{folder}{package}/" in path for folder in PACKAGES)


class Places:
    """Decides what is user code and turns frames into Sites, each code object once.

    A file is the user's unless it lies in a library folder; ``user_root`` makes an exception (a
    package run with ``-m``), ``cell`` tells that code compiled under a file name is a notebook's
    cell. With ``packages`` all installed packages but torch's own and ours are the user's.
    """

    def __init__(self, packages: bool = False) -> None:
        self.packages = packages
        self.libraries = library_folders()
        self.roots: list[str] = []
        self.cells: dict[str, tuple[str, int]] = {}
        self.working = _working_folder()
        # by id, as equal code objects may lie in different files; `kept` keeps the ids true
        self.is_user: dict[int, bool] = {}
        self.own_files: dict[str, bool] = {}  # to follow a path's links takes 0.1 ms
        self.paths: dict[str, str] = {}
        self.sites: dict[tuple[int, int], Site] = {}
        self.kept: list[CodeType] = []

    def again(self) -> "Places":
        """The same, with the library folders looked up anew: torch has been imported since."""
        self.libraries = library_folders()
        self._decide_anew()
        return self

    def user_root(self, path: str) -> None:
        """Count the files below ``path`` as the user's, wherever they are installed."""
        self.roots.append(str(Path(path).resolve()))
        self._decide_anew()

    def cell(self, filename: str, notebook: str, number: int) -> None:
        """Say that code compiled under ``filename`` is code cell ``number`` (1-based) of
        ``notebook``."""
        self.cells[filename] = (notebook, number)
        self._decide_anew()

    def owns(self, code: CodeType) -> bool:
        """Whether the code is the user's."""
        known = self.is_user.get(id(code))
        if known is None:
            name = code.co_filename
            known = self.own_files.get(name)
            if known is None:
                known = self._owns_file(name)
                if name.startswith("/"):  # else the working folder may change
                    self.own_files[name] = known
            self.is_user[id(code)] = known
            self.kept.append(code)
        return known

    def _decide_anew(self) -> None:
        self.is_user.clear()
        self.own_files.clear()

    def _resolved(self, filename: str) -> str:
        path = self.paths.get(filename)
        if path is None:
            path = str(Path(filename).resolve())
            if filename.startswith("/"):
                self.paths[filename] = path
        return path

    def _owns_file(self, filename: str) -> bool:
        if filename in self.cells:
            return True
        if filename.startswith("<"):
            return False
        try:
            path = self._resolved(filename)
        except OSError:  # a relative name in a folder that has been deleted
            path = filename
        if any(path.startswith(root) for root in self.roots):
            return True
        if any(folder in path for folder in PACKAGES):  # of this Python, or put on its path
            own = _below(path, "torch") or path.startswith(_PACKAGE)
            return self.packages and not own
        return not path.startswith(self.libraries)

    def frame(self, depth: int = 1) -> FrameType | None:
        """The innermost user frame, looking outward from ``depth`` frames above the caller."""
        frame: FrameType | None = sys._getframe(depth + 1)
        known = self.is_user
        while frame is not None:
            code = frame.f_code
            mine = known.get(id(code))
            if mine or (mine is None and self.owns(code)):
                return frame
            frame = frame.f_back
        return None

    def site(self, depth: int = 1) -> Site | None:
        """The Site of the innermost user frame, None when there is none."""
        frame: FrameType | None = sys._getframe(depth + 1)
        known = self.is_user
        while frame is not None:
            mine = known.get(id(frame.f_code))
            if mine or (mine is None and self.owns(frame.f_code)):
                found = self.sites.get((id(frame.f_code), frame.f_lasti))
                return found if found is not None else self.of(frame)
            frame = frame.f_back
        return None

    def call(self, depth: int = 1) -> tuple[Site | None, Site | None]:
        """The Site of the innermost user frame, and that of the user's line that called it."""
        frame = self.frame(depth + 1)
        if frame is None:
            return None, None
        outer = frame.f_back
        while outer is not None and not self.owns(outer.f_code):
            outer = outer.f_back
        return self.of(frame), self.of(outer) if outer is not None else None

    def of(self, frame: FrameType) -> Site:
        """The Site of a frame at its current instruction."""
        found = self.sites.get((id(frame.f_code), frame.f_lasti))
        return found if found is not None else self.at(frame.f_code, frame.f_lasti, frame.f_lineno)

    def at(self, code: CodeType, lasti: int, line: int | None) -> Site:
        """The Site of one instruction of a code object."""
        self.owns(code)
        key = (id(code), lasti)
        found = self.sites.get(key)
        if found is None:
            found = self.sites[key] = self._locate(code, lasti, line)
        return found

    def line(self, code: CodeType, line: int) -> Site:
        """The Site of a whole line, at its first column."""
        self.owns(code)
        key = (id(code), -line)
        found = self.sites.get(key)
        if found is None:
            file, cell = self.file(code.co_filename)
            found = self.sites[key] = Site(file, line, 1, 0, 0, code.co_qualname, cell)
        return found

    def file(self, filename: str) -> tuple[str, int]:
        """The file and cell under which a Site names code compiled as ``filename``."""
        if filename in self.cells:
            return self.cells[filename]
        path = self._resolved(filename)
        return path.removeprefix(self.working), 0

    def _locate(self, code: CodeType, lasti: int, line: int | None) -> Site:
        file, cell = self.file(code.co_filename)
        start, end, column, end_column = line, None, None, None
        for position, found in enumerate(code.co_positions()):
            if position == lasti // 2:
                start, end, column, end_column = found
                break
        shown = start or line or code.co_firstlineno
        return Site(
            file,
            shown,
            (column or 0) + 1,
            end or 0,
            0 if end_column is None else end_column + 1,
            code.co_qualname,
            cell,
        )
