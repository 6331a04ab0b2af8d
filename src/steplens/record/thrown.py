"""Thrown: an update by hand whose result the user's code throws away."""

import ast
from collections.abc import Iterator
from types import FrameType

from steplens.record.source import syntax_tree

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOPS = (ast.For, ast.AsyncFor)
MAKING = frozenset(("sub", "subtract", "add", "addcdiv", "addcmul", "lerp", "mul", "multiply"))


def thrown_update(frame: FrameType | None) -> tuple[FrameType, int] | None:
    """The line, in the code that runs or that it calls by name in the same file, that computes a
    new value of a tensor from its gradient and drops it; None when there is none.

    Either a loop's own variable is bound to it and not read again in the loop (``for p in
    parameters: p = p - lr * p.grad``), or it is the result of a method that does not write
    (``p.data.sub(lr * p.grad)``), which nothing takes.
    """
    if frame is None:
        return None
    tree = syntax_tree(frame.f_code.co_filename)
    for scope in _called(tree, frame) if tree is not None else ():
        for node in _own(scope):
            if isinstance(node, LOOPS):
                for line in _bound(node):
                    return frame, line
            if isinstance(node, ast.Expr) and _unheard(node.value):
                return frame, node.lineno
    return None


def _called(tree: ast.Module, frame: FrameType) -> list[ast.AST]:
    """The functions of a file that run now, and those whose names they read, and so on."""
    named: dict[str, list[ast.AST]] = {}
    begins: dict[int, ast.AST] = {}
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            named.setdefault(node.name, []).append(node)
            begins[min([node.lineno, *[each.lineno for each in node.decorator_list]])] = node
    found: list[ast.AST] = []
    running: FrameType | None = frame
    while running is not None:
        code = running.f_code
        if code.co_filename == frame.f_code.co_filename:
            own = tree if code.co_name == "<module>" else begins.get(code.co_firstlineno)
            found += [own] if own is not None else []
        running = running.f_back
    for scope in found:
        for node in _own(scope):
            name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
            found += [each for each in named.pop(name, ()) if each not in found]
    return found


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function or module without those of the functions in it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        if not isinstance(node, FUNCTIONS):
            yield node
            waiting += ast.iter_child_nodes(node)


def _bound(loop: ast.For | ast.AsyncFor) -> Iterator[int]:
    """The lines in a loop that bind its variable to an update of what it stood for."""
    own = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    for node in ast.walk(loop):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name, value = node.targets[0].id, node.value
        if name not in own or not isinstance(value, ast.BinOp):
            continue
        if ast.unparse(value.left) not in (name, f"{name}.data") or name not in _graded(value):
            continue
        if not any(
            isinstance(each, ast.Name) and each.id == name and each.lineno > (node.end_lineno or 0)
            for part in loop.body
            for each in ast.walk(part)
        ):
            yield node.lineno


def _unheard(value: ast.expr) -> bool:
    """Whether an expression is a call of a method that writes nothing, on the tensor whose gradient
    it is given."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return False
    if value.func.attr not in MAKING or any(word.arg == "out" for word in value.keywords):
        return False
    given = {base for arg in (*value.args, *(w.value for w in value.keywords))
             for base in _graded(arg)}  # fmt: skip
    owner = ast.unparse(value.func.value)
    return owner.removesuffix(".data") in given


def _graded(value: ast.AST) -> set[str]:
    """The tensors whose ``grad`` an expression reads."""
    return {
        ast.unparse(node.value)
        for node in ast.walk(value)
        if isinstance(node, ast.Attribute) and node.attr == "grad"
    }
