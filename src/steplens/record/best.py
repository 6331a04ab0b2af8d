"""Best: statements that are to keep the best model of a loop, and keep the model itself."""

import ast
from collections.abc import Iterator
from opcode import opmap
from types import CodeType

from steplens.record.chosen import compared

TRAINS = "backward"
USES = frozenset(("parameters", "named_parameters", "train", "eval", "state_dict"))
LEAVES = (ast.Break, ast.Return)
LOAD = "load_state_dict"
DEEP = 3  # functions of the file that call one another down to the backward

Function = ast.FunctionDef | ast.AsyncFunctionDef


JUMPS = [opmap[name] for name in ("FOR_ITER", "JUMP_BACKWARD") if name in opmap]


def may_keep(code: CodeType) -> bool:
    """Whether code has what such a statement stands in, a loop and a comparison: a file of none
    is not parsed for it."""
    operations = code.co_code[::2]
    return opmap["COMPARE_OP"] in operations and any(jump in operations for jump in JUMPS)


def best(tree: ast.Module) -> Iterator[ast.Assign]:
    """``best_model = model``, or a ``copy.copy`` of it, under an ``if`` that keeps the best of
    something, in a loop that trains and never binds ``model`` anew, where ``best_model`` is read
    later: it is the last model then.

    Not where the loop is left at once, where what is kept is used at once (saved), or where a state
    is loaded into it.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    names = training(functions)
    tested: set[ast.If] = set()
    for scope in (*functions, tree):  # what is in a function is not the module's
        for loop in ast.walk(scope):
            if isinstance(loop, ast.For | ast.While) and trains(loop, names):
                for node in ast.walk(loop):
                    if (
                        isinstance(node, ast.If)
                        and node not in tested
                        and (sides := compared(node))
                    ):
                        tested.add(node)
                        yield from _kept(tree, scope, loop, node, sides)


def _kept(
    tree: ast.Module, scope: ast.AST, loop: ast.For | ast.While, test: ast.If, sides: set[str]
) -> Iterator[ast.Assign]:
    body = [each for part in test.body for each in ast.walk(part)]
    if any(isinstance(each, LEAVES) for each in body):
        return
    for node in test.body:
        for target, value in pairs(node):
            name, held = ast.unparse(target), ast.unparse(value)
            if not isinstance(node, ast.Assign) or name in sides or held in sides:
                continue
            own = isinstance(target, ast.Name) and isinstance(value, ast.Name)
            where: ast.AST = scope if own else tree
            if is_model(where, held) and not bound_anew(tree, loop, value):
                read = [each for each in ast.walk(where) if _reads(each, name)]
                loaded = any(_reaches(each, name, LOAD) for each in ast.walk(where))
                if read and not loaded and not any(each in body for each in read):
                    yield node


def pairs(node: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What an assignment binds to what, where both are plain names or attributes."""
    for one, bound in bindings(node):
        other = _uncopied(bound)
        if all(isinstance(each, ast.Name | ast.Attribute) for each in (one, other)):
            yield one, other


def bindings(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What an assignment binds to what; of tuples, each."""
    for whole in node.targets if isinstance(node, ast.Assign) else ():
        value = node.value if isinstance(node, ast.Assign) else whole
        both = isinstance(whole, ast.Tuple) and isinstance(value, ast.Tuple)
        targets = whole.elts if isinstance(whole, ast.Tuple) and both else [whole]
        values = value.elts if isinstance(value, ast.Tuple) and both else [value]
        yield from zip(targets, values, strict=False)


def _uncopied(value: ast.expr) -> ast.expr:
    """What a `copy.copy` is of: a module's copy has the module's own parameters."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "copy.copy" and value.args:
        return value.args[0]
    return value


def is_model(where: ast.AST, name: str) -> bool:
    """Whether something of this name is called, and asked for what modules have."""
    nodes = list(ast.walk(where))
    called = any(isinstance(n, ast.Call) and ast.unparse(n.func) == name for n in nodes)
    return called or any(_reaches(n, name, use) for n in nodes for use in USES)


def _reaches(node: ast.AST, name: str, method: str) -> bool:
    return (
        isinstance(node, ast.Attribute) and node.attr == method and ast.unparse(node.value) == name
    )


def _reads(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Name | ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and ast.unparse(node) == name
    )


def bound_anew(tree: ast.Module, loop: ast.For | ast.While, value: ast.expr) -> bool:
    """Whether a name may stand for another model in another round: an attribute, if it is set at
    more than one place."""
    name = ast.unparse(value)
    attribute = isinstance(value, ast.Attribute)
    stores = [
        each
        for each in ast.walk(tree if attribute else loop)
        if isinstance(each, ast.Name | ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and ast.unparse(each) == name
    ]
    return len(stores) > (1 if attribute else 0)


def training(functions: list[Function]) -> set[str]:
    """The names of functions of a file that run a backward, by way of others of it as well."""
    found: set[str] = set()
    for _ in range(DEEP):
        found |= {function.name for function in functions if trains(function, found)}
    return found


def trains(node: ast.AST, names: set[str]) -> bool:
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            called = each.func
            name = called.attr if isinstance(called, ast.Attribute) else ""
            name = called.id if isinstance(called, ast.Name) else name
            if name == TRAINS or name in names:
                return True
    return False
