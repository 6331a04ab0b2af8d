"""Vain: lines of the user's code that change nothing, though they look as if: a clip whose result
nothing takes, an average bound to a loop's variable or dropped, a learning rate set where no step
reads it."""

import ast
from collections.abc import Callable, Iterable, Iterator
from linecache import getlines
from types import CodeType
from typing import TYPE_CHECKING, Any

from steplens.model.event import Vain
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.best import TRAINS, best, may_keep
from steplens.record.bound_anew import bound_anew
from steplens.record.copied import Copied
from steplens.record.dropped import FUNCTIONS, UNCALLED, dropped, uncalled, unset
from steplens.record.inverted import inverted
from steplens.record.keepers import keepers, loops
from steplens.record.places import Places
from steplens.record.settings import codes_of, lines_of, only, ran
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

OWNERS = frozenset(("grad", "data"))
CLIPS = frozenset(("clamp", "clip", "clamp_min", "clamp_max"))
TENSORS_ALONE = frozenset(("mul", "lerp", "sub", "div", "addcmul", "addcdiv"))  # no set has these
MAKING = TENSORS_ALONE | {"add"}
WALKS = frozenset(("parameters", "named_parameters", "state_dict"))
# kinds of lines, and what code must name to have one: of each group a name at least
SIGNS = {
    "clip": (CLIPS, OWNERS),
    "name": (frozenset(("parameters",)),),
    "bind": (frozenset(("zip",)),),
    "drop": (MAKING, WALKS),
    "made": (FUNCTIONS,),
    "own": (),
    "uncalled": (UNCALLED,),
    "best": (),
}
# a file that has none of these words has no tensors, models and optimizers either
ABOUT_TORCH = ("torch", "zero_grad", TRAINS, "state_dict", "parameters()")
RATE = "lr"
GROUPS = f'["{RATE}"]'
FAINT = 1e-6  # of the largest rate of an optimizer: nothing moves any more
WHOLE = 2  # a loop's only statement, with one target
MOST = 256  # optimizers
FILES = 512  # whose statements are remembered
Found = dict[str, list[tuple[int, str]]]  # kind -> lines, and what they say
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
    find = _kept if what == "best" else _idle
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
        words = ABOUT_TORCH if find is _idle else (TRAINS,)
        about = any(word in line for line in lines for word in words)
        tree = syntax_tree(filename) if about else None
        _files[key] = find(tree) if tree is not None else None
    return _files[key]


def _handed(tree: ast.Module) -> list[tuple[int, str, int]]:
    return [(node.lineno, ast.unparse(node), loop) for node, loop in keepers(tree)]


def _kept(tree: ast.Module) -> Found:
    """The statements of a file that keep the model itself where the best one was to be kept."""
    return {"best": [(node.lineno, ast.unparse(node)) for node in best(tree)]}


def _idle(tree: ast.Module) -> Found:
    """The statements of a file that change nothing, by kind, each with its line: a ``clip`` of a
    gradient, or of a parameter's data, by a method without the underscore, and nothing else; a
    ``name``, the loop's own variable, bound to a value computed from it in a loop over parameters
    (``p = 0.9 * p + 0.1 * q``), or one of two variables that go through lists together, bound to
    the other by all that is in the loop (``bind``); new values of a tensor that are taken nowhere,
    in such a loop (``drop``); a new tensor made of one that is used on (``made``); or a new value
    of an attribute that no method sets (``own``); or a method that is only named
    (``uncalled``)."""
    nodes = list(ast.walk(tree))
    found: Found = {what: [] for what in SIGNS if what != "best"}
    loops = [node for node in nodes if isinstance(node, ast.For)]
    parameters = {
        name.id
        for loop in loops
        if "parameters()" in ast.unparse(loop.iter)
        for name in ast.walk(loop.target)
        if isinstance(name, ast.Name)
    }
    for node in nodes:
        if isinstance(node, ast.Expr) and _clips(node.value, parameters):
            found["clip"].append((node.lineno, ast.unparse(node.value)))
    found["made"] = [(node.lineno, ast.unparse(node)) for node in dropped(nodes)]
    found["uncalled"] = [(node.lineno, ast.unparse(node)) for node in uncalled(nodes)]
    found["own"] = [(node.lineno, ast.unparse(node.targets[0])) for node in unset(nodes)]
    for loop in loops:
        if _rebinds(loop, nodes):
            found["bind"].append((loop.body[0].lineno, ast.unparse(loop.body[0])))
        if _over_parameters(loop):
            found["name"] += [(node.lineno, ast.unparse(node)) for node in _bound(loop)]
        if any(f".{name}()" in ast.unparse(loop.iter) for name in WALKS):
            found["drop"] += [(node.lineno, ast.unparse(node)) for node in _dropped(loop)]
    return found


def _over_parameters(loop: ast.For) -> bool:
    """Whether the loop's variables are parameters, each."""
    through = loop.iter
    zipped = isinstance(through, ast.Call) and ast.unparse(through.func) == "zip"
    parts = through.args if isinstance(through, ast.Call) and zipped else [through]
    return all(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Attribute)
        and part.func.attr == "parameters"
        for part in parts
    )


def _rebinds(loop: ast.For, nodes: list[ast.AST]) -> bool:
    """Whether a loop through a ``zip`` does nothing but to bind one of its variables to another,
    which nothing reads further down in its file."""
    body = loop.body[0]
    if not isinstance(body, ast.Assign) or len(loop.body) + len(body.targets) > WHOLE:
        return False
    names = [ast.unparse(part) for part in (body.targets[0], body.value)]
    own = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    zipped = isinstance(loop.iter, ast.Call) and ast.unparse(loop.iter.func) == "zip"
    if not zipped or loop.orelse or not own.issuperset(names) or names[0] == names[1]:
        return False
    reads = (node for node in nodes if isinstance(node, ast.Name) and node.id == names[0])
    return not any(isinstance(n.ctx, ast.Load) and _follows(loop, n, nodes) for n in reads)


def _follows(loop: ast.For, read: ast.Name, nodes: list[ast.AST]) -> bool:
    """Whether a name is read after a loop, in the function around it."""
    end = loop.end_lineno or loop.lineno
    around = [
        node.end_lineno or 0
        for node in nodes
        if isinstance(node, ast.FunctionDef)
        and node.lineno <= loop.lineno <= (node.end_lineno or 0)
    ]
    rebound = any(
        isinstance(node, ast.Name)
        and node.id == read.id
        and isinstance(node.ctx, ast.Store)
        and end < node.lineno <= read.lineno
        for node in nodes
    )
    return end < read.lineno <= min(around, default=read.lineno) and not rebound


def _bound(loop: ast.For) -> Iterator[ast.Assign]:
    own = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    read = [
        node
        for part in loop.body
        for node in ast.walk(part)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    ]
    for node in loop.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.BinOp):
            continue
        if any(_may_write(each) for each in ast.walk(node.value)):
            continue
        target = node.targets[0]
        if not isinstance(target, ast.Name) or target.id not in own or len(node.targets) > 1:
            continue
        here = [each for each in ast.walk(node.value) if isinstance(each, ast.Name)]
        mine = any(each.id == target.id for each in here)
        if mine and not any(n.id == target.id and n not in here for n in read):
            yield node


def _dropped(loop: ast.For) -> Iterator[ast.Expr]:
    own = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    waiting: list[ast.stmt] = list(loop.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.If):
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.With):
            waiting += node.body
        elif isinstance(node, ast.Expr) and _unwritten(node.value, own, _over_parameters(loop)):
            yield node


def _unwritten(value: ast.expr, own: set[str], parameters: bool) -> bool:
    """Whether an expression is a chain of methods that make new tensors, on what a loop stands for,
    or on what is kept of it elsewhere. What is along a gradient is told by ``thrown``."""
    methods: set[str] = set()
    given: set[str] = set()
    if any(_may_write(each) or _reads_gradient(each) for each in ast.walk(value)):
        return False
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        if value.func.attr not in MAKING or any(word.arg == "out" for word in value.keywords):
            return False
        methods.add(value.func.attr)
        for arg in (*value.args, *(word.value for word in value.keywords)):
            given |= {each.id for each in ast.walk(arg) if isinstance(each, ast.Name)}
        value = value.func.value
    if isinstance(value, ast.Attribute) and value.attr == "data":
        value = value.value
    if isinstance(value, ast.Name) and value.id in own:
        return (parameters and bool(methods)) or not methods.isdisjoint(TENSORS_ALONE)
    kept = isinstance(value, ast.Subscript) and not own.isdisjoint(given)
    return kept and not methods.isdisjoint(TENSORS_ALONE)


def _reads_gradient(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "grad"


def _may_write(node: ast.AST) -> bool:
    """Whether this calls something that may write in place: a function of the user's, or one of
    torch's with an underscore."""
    if not isinstance(node, ast.Call):
        return False
    return not isinstance(node.func, ast.Attribute) or node.func.attr.endswith("_")


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


def _clips(value: ast.expr, parameters: set[str]) -> bool:
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return False
    if value.func.attr not in CLIPS or any(word.arg == "out" for word in value.keywords):
        return False
    owner = value.func.value
    if isinstance(owner, ast.Name) and owner.id == "torch" and value.args:
        owner = value.args[0]
    if not isinstance(owner, ast.Attribute):
        return False
    held = owner.value
    if owner.attr == "data" and not (isinstance(held, ast.Attribute) and held.attr == "grad"):
        if isinstance(held, ast.Attribute):
            return held.attr in ("weight", "bias")
        return isinstance(held, ast.Name) and held.id in parameters
    return owner.attr in ("grad", "data")
