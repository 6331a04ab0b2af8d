"""Idle lines: statements of a file that change nothing, though they look as if."""

import ast
from collections.abc import Iterator

from steplens.record.best import bindings
from steplens.record.dropped import FUNCTIONS, UNCALLED, dropped, uncalled, unset

OWNERS = frozenset(("grad", "data"))
CLIPS = frozenset(("clamp", "clip", "clamp_min", "clamp_max"))
TENSORS_ALONE = frozenset(("mul", "lerp", "sub", "div", "addcmul", "addcdiv"))  # no set has these
MAKING = TENSORS_ALONE | {"add"}
WALKS = frozenset(("parameters", "named_parameters", "state_dict"))
# kinds of lines, and what code must name to have one: of each group a name at least
SIGNS = {
    "clip": (CLIPS, OWNERS),
    "name": (frozenset(("parameters", "zip")),),
    "bind": (frozenset(("zip",)),),
    "drop": (MAKING, WALKS),
    "made": (FUNCTIONS,),
    "own": (),
    "uncalled": (UNCALLED,),
    "best": (),
}
WHOLE = 2  # a loop's only statement, with one target
Found = dict[str, list[tuple[int, str]]]  # kind -> lines, and what they say


def idle(tree: ast.Module) -> Found:
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
        if _over_parameters(loop, nodes):
            found["name"] += [(node.lineno, ast.unparse(node)) for node in _bound(loop)]
        if any(f".{name}()" in ast.unparse(loop.iter) for name in WALKS):
            found["drop"] += [(node.lineno, ast.unparse(node)) for node in _dropped(loop)]
    return found


def _over_parameters(loop: ast.For, nodes: list[ast.AST]) -> bool:
    """Whether the loop's variables are parameters, each; also those of lists that are bound to
    nothing else among the ``nodes`` of the file."""
    through = loop.iter
    zipped = isinstance(through, ast.Call) and ast.unparse(through.func) == "zip"
    parts = through.args if isinstance(through, ast.Call) and zipped else [through]
    return all(_walks(part) or (zipped and _lists(part, nodes)) for part in parts)


def _walks(value: ast.expr) -> bool:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "parameters"
    )


def _lists(part: ast.expr, nodes: list[ast.AST]) -> bool:
    """Whether a name, or an attribute, is bound to lists of a model's parameters alone."""
    if not isinstance(part, ast.Name | ast.Attribute):
        return False
    name = ast.unparse(part)
    values = [
        value
        for node in nodes
        for target, value in bindings(node)
        if isinstance(target, type(part)) and ast.unparse(target) == name
    ]
    return bool(values) and all(
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in ("list", "tuple")
        and len(value.args) == 1
        and _walks(value.args[0])
        for value in values
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
        elif isinstance(node, ast.Expr) and _unwritten(node.value, own, _over_parameters(loop, [])):
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
