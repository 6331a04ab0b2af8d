"""Vain: lines of the user's code that change nothing, though they look as if: a clip whose result
nothing takes, an average bound to a loop's variable or dropped, a learning rate set where no step
reads it."""

import ast
from collections.abc import Callable, Iterable, Iterator
from linecache import getlines
from types import CodeType
from typing import TYPE_CHECKING, Any

from steplens.model.event import Spent, Vain
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.best import TRAINS, best, may_keep
from steplens.record.bound_anew import bound_anew
from steplens.record.copied import Copied
from steplens.record.idle_lines import SIGNS, Found, idle
from steplens.record.inverted import inverted
from steplens.record.keepers import keepers, loops
from steplens.record.places import Places
from steplens.record.settings import codes_of, lines_of, only, ran
from steplens.record.source import syntax_tree
from steplens.record.spent import spent

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

# a file that has none of these words has no tensors, models and optimizers either
ABOUT_TORCH = ("torch", "zero_grad", TRAINS, "state_dict", "parameters()")
RATE = "lr"
GROUPS = f'["{RATE}"]'
FAINT = 1e-6  # of the largest rate of an optimizer: nothing moves any more
MOST = 256  # optimizers
FILES = 512  # whose statements are remembered
_files = Newest[tuple[str, int, str], Any](FILES)


class Vains:
    """What was told; looked for at the first steps of each optimizer, and at looks."""

    def __init__(self) -> None:
        self.read = 0  # code objects whose source has been read
        self.told: set[object] = set()
        self.defaults: dict[int, Any] = {}  # optimizer -> the rate it was made with
        self.copied = Copied()
        self.peaks: dict[int, float] = {}  # optimizer -> its largest rate seen

    def made(self, optimizer: Any, number: int) -> None:
        """Remember the rate for groups to come."""
        if len(self.defaults) < MOST:
            self.defaults[number] = optimizer.defaults.get(RATE)

    def look(self, recorder: "Recorder", optimizer: Any, number: int) -> None:
        """Read the code that has come since, and the attributes of an optimizer of torch's own."""
        places = recorder.places
        new = places.kept[self.read :]
        self.read += len(new)
        for code in new:
            if places.owns(code):
                for what, line, text in self._own(code):
                    self._tell(recorder, places.line(code, line), what, text)
                for found in inverted(code):
                    site, other = places.line(code, found.line), places.line(code, found.step)
                    self._tell(recorder, site, "inverted", found.test, other=other)
                for once in spent(code):
                    at = recorder.index(), recorder.step, places.line(code, once.line)
                    made = places.line(code, once.made)
                    recorder.emit(Spent(*at, once.name, made, tuple(sorted(once.marks))))
                for lost in bound_anew(code):
                    site, other = places.line(code, lost.line), places.line(code, lost.again)
                    self._tell(recorder, site, "lost", lost.name, other=other)
        if type(optimizer).__module__.startswith("torch.optim"):
            self._rate(recorder, optimizer, number)

    def stepped(self, recorder: "Recorder", number: int, rate: float) -> None:
        """An optimizer stepped at this rate: once it has come down to next to nothing, tell the one
        line that sets rates of groups by hand."""
        peak = self.peaks.get(number, 0.0)
        if rate > FAINT * peak:
            if rate > peak and len(self.peaks) < MOST:
                self.peaks[number] = rate
        elif ("faint", number) not in self.told and len(self.told) < MOST:
            self.told.add(("faint", number))
            site = rate_line(recorder.places, GROUPS)
            if site is not None:
                self._tell(recorder, site, "faint", GROUPS, number, rate)

    def _own(self, code: CodeType) -> Iterator[tuple[str, int, str]]:
        """The statements of this code that change nothing: of which kind, where, what they say."""
        lines = lines_of(code)
        for what, groups in SIGNS.items():
            absent = any(names.isdisjoint(code.co_names) for names in groups)
            if absent or (what == "best" and not may_keep(code)):
                continue
            for line, text in _found(code.co_filename, what):
                if line in lines:
                    yield what, line, text
        for line, text, loop in _keepers(code.co_filename) if loops(code) else ():
            if loop in lines:
                yield "best", line, text

    def _rate(self, recorder: "Recorder", optimizer: Any, number: int) -> None:
        """A rate that is an attribute of the optimizer itself, or that was put into the defaults
        for groups to come, and is in no group."""
        rates = [group.get(RATE) for group in optimizer.param_groups]
        own = vars(optimizer).get(RATE)
        default = optimizer.defaults.get(RATE)
        for name, value in (
            (f".{RATE}", own),
            (f'.defaults["{RATE}"]', default if default != self.defaults.get(number) else None),
        ):
            if isinstance(value, (int, float)) and number in self.defaults and value not in rates:
                site = rate_line(recorder.places, name)
                self._tell(recorder, site, "rate", name, number, float(value))

    def _tell(
        self,
        recorder: "Recorder",
        site: Site | None,
        what: str,
        name: str,
        optimizer: int = -1,
        value: float | None = None,
        other: Site | None = None,
    ) -> None:
        key = (what, optimizer, name, site and (site.file, site.line))
        if key not in self.told and len(self.told) < MOST:
            self.told.add(key)
            index = recorder.index()
            recorder.emit(Vain(index, recorder.step, site, what, name, optimizer, value, other))


def _found(filename: str, what: str) -> list[tuple[int, str]]:
    """The statements of one kind in a file; for models that are kept, which is slow, it is gone
    through only if these are asked for."""
    find = _kept if what == "best" else idle
    found: Found = _once(filename, find) or {}
    return found.get(what, [])


def _keepers(filename: str) -> list[tuple[int, str, int]]:
    """The statements of a file by which an object keeps the model itself, and the lines of the
    loops that hand it over."""
    found: list[tuple[int, str, int]] = _once(filename, _handed) or []
    return found


def _once(filename: str, find: Callable[[ast.Module], Any]) -> Any:
    """What is found in a file, which is gone through once for each thing, or as often as it has
    another number of lines; None where it cannot be read, or has no word of what is looked for: a
    large package that the program brings along, and that is not about torch, is not parsed."""
    lines = getlines(filename)
    key = filename, len(lines), find.__name__
    if key not in _files:
        words = ABOUT_TORCH if find is idle else (TRAINS,)
        about = any(word in line for line in lines for word in words)
        tree = syntax_tree(filename) if about else None
        _files[key] = find(tree) if tree is not None else None
    return _files[key]


def _handed(tree: ast.Module) -> list[tuple[int, str, int]]:
    return [(node.lineno, ast.unparse(node), loop) for node, loop in keepers(tree)]


def _kept(tree: ast.Module) -> Found:
    """The statements of a file that keep the model itself where the best one was to be kept."""
    return {"best": [(node.lineno, ast.unparse(node)) for node in best(tree)]}


def rate_line(places: Places, name: str) -> Site | None:
    """The line that sets ``.lr`` of something other than ``self``, of its ``defaults``, or of a
    group (``["lr"]``); None where there is not one such line."""
    return only(_rate_lines(places, name, ran(places))) or only(
        _rate_lines(places, name, codes_of(places))  # a function that calls nothing of torch's
    )


def _rate_lines(places: Places, name: str, codes: Iterable[CodeType]) -> Iterator[Site]:
    for code in codes:
        if RATE in (*code.co_names, *code.co_consts):
            tree = syntax_tree(code.co_filename)
            lines = lines_of(code)
            for node in ast.walk(tree) if tree is not None else ():
                if not isinstance(node, ast.Assign | ast.AugAssign) or node.lineno not in lines:
                    continue
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(_sets(target, name) for target in targets):
                    yield places.line(code, node.lineno)


def _sets(target: ast.AST, name: str) -> bool:
    if name == GROUPS:
        return (
            isinstance(target, ast.Subscript)
            and isinstance(target.slice, ast.Constant)
            and target.slice.value == RATE
            and not (isinstance(target.value, ast.Attribute) and target.value.attr == "defaults")
        )
    if name.startswith(".defaults"):
        return (
            isinstance(target, ast.Subscript)
            and isinstance(target.value, ast.Attribute)
            and target.value.attr == "defaults"
            and isinstance(target.slice, ast.Constant)
            and target.slice.value == RATE
        )
    return (
        isinstance(target, ast.Attribute)
        and target.attr == RATE
        and not (isinstance(target.value, ast.Name) and target.value.id == "self")
    )
