"""Metrics: what a number in the user's code was computed from, read from the source: the loss that
goes backward, or the count of right answers."""

import ast
from collections.abc import Iterator

from steplens.record.source import Scope, scope_of, spans

LOSS, HITS, OTHER = "loss", "hits", "other"
DEPTH = 12  # names and functions followed
KEEPING = frozenset((
    "item", "detach", "cpu", "mean", "sum", "float", "double", "numpy", "tolist", "append", "all",
))  # fmt: skip
FUNCTIONS = frozenset((
    "float", "sum", "np.mean", "numpy.mean", "torch.mean", "torch.tensor", "torch.stack",
    "statistics.mean", "mean", "round", "np.average",
))  # fmt: skip
SIZES = frozenset(("len", "size", "numel", "max"))
FUNCTIONAL = ("F.", "nn.functional.", "torch.nn.functional.", "functional.")


def kind_of(tree: ast.Module, line: int, method: str) -> tuple[str, str]:
    """What the one argument of the call of this method on this line is, by what it was computed
    from: loss, hits, or other where that is not sure; and how it is written."""
    scope = scope_of(tree, line)
    for node in _inside(scope):
        if not isinstance(node, ast.Call) or not spans(node, line):
            continue
        if ast.unparse(node.func).rpartition(".")[2] != method:
            continue
        given = [*node.args, *(word.value for word in node.keywords)]
        if len(given) == 1:
            kinds = Sources(tree).of(given[0], scope, DEPTH)
            return (kinds.pop() if len(kinds) == 1 else OTHER), ast.unparse(given[0])
    return OTHER, ""


class Sources:
    """Follows names to what made them, in one file."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.seen: set[tuple[int, str]] = set()
        self.losses = {  # names of loss modules, as `criterion = nn.MSELoss()` makes them
            ast.unparse(target)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
            for target in node.targets
            if ast.unparse(node.value.func).endswith("Loss")
        }

    def of(self, node: ast.expr, scope: Scope, left: int) -> set[str]:
        """The kinds of what an expression is computed from; empty for numbers alone."""
        if left <= 0:
            return {OTHER}
        if isinstance(node, ast.Constant):
            return set()
        if isinstance(node, ast.Name):
            return self._name(node.id, scope, left)
        if isinstance(node, ast.Compare):
            equal = len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq)
            return {HITS} if equal and _alike(node.left, node.comparators[0]) else {OTHER}
        if isinstance(node, ast.BinOp):
            return self._sum(node, scope, left)
        if isinstance(node, ast.Call):
            return self._call(node, scope, left)
        if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
            return self.of(node.elt, scope, left - 1)
        if isinstance(node, (ast.List, ast.Tuple)):
            return set[str]().union(*(self.of(part, scope, left - 1) for part in node.elts))
        return {OTHER}

    def _sum(self, node: ast.BinOp, scope: Scope, left: int) -> set[str]:
        if isinstance(node.op, ast.Div):
            return self.of(node.left, scope, left - 1)
        if isinstance(node.op, (ast.Add, ast.Mult)):
            sizes = (isinstance(part, ast.Call) and _size(part) for part in (node.left, node.right))
            parts = (node.left, node.right)
            kept = [part for part, size in zip(parts, sizes, strict=True) if not size]
            return set[str]().union(*(self.of(part, scope, left - 1) for part in kept))
        return {OTHER}

    def _name(self, name: str, scope: Scope, left: int) -> set[str]:
        if (id(scope), name) in self.seen:
            return set()
        self.seen.add((id(scope), name))
        nodes = list(_inside(scope))
        if any(_backward(node, name) for node in nodes):
            return {LOSS}
        found: list[set[str]] = []
        for node in nodes:
            for value, place in _given(node, name):
                if place >= 0:
                    found.append(self._returned(value, place, left))
                else:
                    found.append(self.of(value, scope, left - 1))
        return set[str]().union(*found) if found else {OTHER}

    def _call(self, node: ast.Call, scope: Scope, left: int) -> set[str]:
        text = ast.unparse(node.func)
        if text in self.losses or (text.startswith(FUNCTIONAL) and text.endswith(("loss", "ropy"))):
            return {LOSS}
        if text.endswith("binary_cross_entropy_with_logits"):
            return {LOSS}
        if _size(node):
            return set()
        if text in FUNCTIONS and node.args:
            return self.of(node.args[0], scope, left - 1)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "eq" and len(node.args) == 1:
            return {HITS} if _alike(node.func.value, node.args[0]) else {OTHER}
        if isinstance(node.func, ast.Attribute) and node.func.attr in KEEPING:
            return self.of(node.func.value, scope, left - 1)
        return self._returned(node, -1, left)

    def _returned(self, node: ast.expr, place: int, left: int) -> set[str]:
        """What the function of this file that a call runs returns, or one part of that."""
        name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
        defined = [
            each
            for each in ast.walk(self.tree)
            if isinstance(each, ast.FunctionDef) and each.name == name
        ]
        if len(defined) != 1 or left <= 0:
            return {OTHER}
        kinds: set[str] = set()
        for each in _inside(defined[0]):
            if isinstance(each, ast.Return) and each.value is not None:
                value = each.value
                if isinstance(value, ast.Tuple) != (place >= 0):
                    return {OTHER}
                if isinstance(value, ast.Tuple):
                    value = value.elts[place] if place < len(value.elts) else ast.Constant(0)
                kinds |= self.of(value, defined[0], left - 1)
        return kinds


def _inside(scope: Scope) -> Iterator[ast.AST]:
    """The nodes of a function or file, without those of functions in it."""
    waiting: list[ast.AST] = list(scope.body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            yield node
            waiting += ast.iter_child_nodes(node)


def _alike(one: ast.expr, other: ast.expr) -> bool:
    """Whether answers may be compared with labels here: not with one value (`predicted == 1`), nor
    where something else is equal (`predicted[labels == 0] == labels[labels == 0]`)."""
    if isinstance(one, ast.Constant) or isinstance(other, ast.Constant):
        return False
    inner = (each for side in (one, other) for each in ast.walk(side))
    equals = (ast.Eq, ast.NotEq)
    return not any(isinstance(n, ast.Compare) and isinstance(n.ops[0], equals) for n in inner)


def _size(node: ast.Call) -> bool:
    return ast.unparse(node.func).rpartition(".")[2] in SIZES


def _backward(node: ast.AST, name: str) -> bool:
    """Whether this is ``name.backward()``, or of what a scaler makes of it."""
    called = node.func if isinstance(node, ast.Call) else None
    if not isinstance(called, ast.Attribute) or called.attr != "backward":
        return False
    owner = called.value
    if isinstance(owner, ast.Call) and len(owner.args) == 1:  # `scaler.scale(loss)`
        owner = owner.args[0]
    return isinstance(owner, ast.Name) and owner.id == name


def _given(node: ast.AST, name: str) -> Iterator[tuple[ast.expr, int]]:
    """What a statement binds to a name, adds to it or appends; with its place, where the name is
    one of several that a call gives at once."""
    if isinstance(node, ast.AugAssign) and ast.unparse(node.target) == name:
        yield (node.value, -1) if isinstance(node.op, (ast.Add, ast.Div)) else (ast.Name(""), -1)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if ast.unparse(target) == name:
                yield node.value, -1
            elif isinstance(target, ast.Tuple):
                names = [ast.unparse(part) for part in target.elts]
                if name in names and isinstance(node.value, ast.Tuple):
                    yield node.value.elts[names.index(name)], -1
                elif name in names:
                    yield node.value, names.index(name)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == f"{name}.append" and node.args:
        yield node.args[0], -1
