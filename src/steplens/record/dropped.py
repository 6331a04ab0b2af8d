"""Dropped: statements that make a new tensor of one that is used on, and drop it; a new value of
an attribute that nothing sets; or that name a method and do not call it."""

import ast
from collections.abc import Iterable, Iterator

from steplens.record.source import spans

# Methods that tensors alone have, and that write nothing.
METHODS = frozenset((
    "masked_fill", "masked_scatter", "index_fill", "index_add", "index_copy", "scatter_add",
    "unsqueeze",
))  # fmt: skip
FUNCTIONS = METHODS | {
    "clamp", "relu", "gelu", "sigmoid", "tanh", "softmax", "log_softmax", "dropout", "normalize",
    "permute", "transpose", "squeeze", "layer_norm", "leaky_relu",
}  # fmt: skip
# Methods that a statement is there to call: to name one does nothing.
UNCALLED = frozenset((
    "requires_grad_", "zero_", "fill_", "clamp_", "normal_", "uniform_", "detach_", "unscale_",
    "copy_", "add_", "sub_", "mul_", "div_", "lerp_", "eval", "train", "zero_grad", "backward",
    "step",
))  # fmt: skip
OWNERS = ("torch", "F", "functional")
INPLACE = ("out", "inplace")
WHOLE = 2  # positional arguments; a further one may be `inplace`


def dropped(nodes: Iterable[ast.AST]) -> Iterator[ast.Expr]:
    """The statements in the functions of a file, of which these are all nodes, whose value is such
    a new tensor, where the one it is made of is read again further down."""
    functions = [each for each in nodes if isinstance(each, ast.FunctionDef)]
    every = {
        node: source
        for node in nodes
        if isinstance(node, ast.Expr) and (source := _source(node.value)) is not None
    }
    for function in functions:
        made = {node: source for node, source in every.items() if spans(function, node.lineno)}
        if not made:  # as in most functions, which need not be gone through
            continue
        nodes = list(ast.walk(function))
        own = {id(each) for node in made for each in ast.walk(node)}  # as in lines that are timed
        reads = [
            each
            for each in nodes
            if isinstance(each, ast.Name | ast.Attribute)
            and isinstance(each.ctx, ast.Load)
            and id(each) not in own
        ]
        for node, source in made.items():
            later = (each for each in reads if each.lineno > node.lineno)
            if any(ast.unparse(each) == source for each in later):
                yield node


def _source(value: ast.expr) -> str | None:
    """What a call makes a new tensor of: a name, or an attribute of one."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return None
    if any(word.arg in INPLACE for word in value.keywords):
        return None
    owner, made = value.func.value, value.func.attr
    if made not in FUNCTIONS:  # most, and need not be written out
        return None
    library = ast.unparse(owner).rpartition(".")[2] in OWNERS
    if library:
        if not 0 < len(value.args) <= WHOLE + (made in METHODS):
            return None
        owner = value.args[0]
    elif made not in METHODS:
        return None
    return ast.unparse(owner) if isinstance(owner, ast.Name | ast.Attribute) else None


def uncalled(nodes: Iterable[ast.AST]) -> Iterator[ast.Expr]:
    """The statements that only name such a method."""
    for node in nodes:
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Attribute):
            continue
        if node.value.attr in UNCALLED:
            yield node


def unset(nodes: Iterable[ast.AST]) -> Iterator[ast.Assign]:
    """Of all nodes of a file, the statements of methods that bind a sum with ``self.x`` in it to a
    variable ``x`` which nothing reads, where no method of the class but its ``__init__`` writes to
    ``self.x``."""
    for kind in nodes:
        if not isinstance(kind, ast.ClassDef):
            continue
        methods = [each for each in kind.body if isinstance(each, ast.FunctionDef)]
        for method in methods:
            for node in ast.walk(method):
                name = _own_sum(method, node) if isinstance(node, ast.Assign) else None
                if name is None or not isinstance(node, ast.Assign) or _reads(method, name):
                    continue
                later = [each for each in methods if each.name != "__init__"]
                if not any(_writes(each, name) for each in later):
                    yield node


def _own_sum(method: ast.FunctionDef, node: ast.Assign) -> str | None:
    """The variable, and attribute, of such a statement."""
    target, value = node.targets[0], node.value
    added = isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add)
    if not added or not isinstance(target, ast.Name) or len(node.targets) > 1:
        return None
    if not method.args.args:
        return None
    calls = (each for each in ast.walk(value) if isinstance(each, ast.Call))
    if any(ast.unparse(call.func).endswith("_") for call in calls):
        return None
    own = f"{method.args.args[0].arg}.{target.id}"
    parts = (each for each in ast.walk(value) if isinstance(each, ast.Attribute))
    return target.id if any(ast.unparse(part) == own for part in parts) else None


def _reads(method: ast.FunctionDef, name: str) -> bool:
    """Whether a method reads a variable, or may, or makes it another's."""
    return any(
        (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load))
        or isinstance(node, ast.Global | ast.Nonlocal)
        or (isinstance(node, ast.Name) and node.id in ("locals", "eval", "exec"))
        for node in ast.walk(method)
    )


def _writes(method: ast.FunctionDef, name: str) -> bool:
    """Whether a method sets an attribute of this name, or calls something on it that may write."""
    for node in ast.walk(method):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "vars"):
            return True
        if not isinstance(node, ast.Attribute | ast.Subscript):
            continue
        stored = not isinstance(node.ctx, ast.Load)
        if isinstance(node, ast.Attribute) and node.attr == name and stored:
            return True
        writes = stored or (isinstance(node, ast.Attribute) and node.attr.endswith("_"))
        inner = (each for each in ast.walk(node.value) if isinstance(each, ast.Attribute))
        if writes and any(each.attr == name for each in inner):
            return True
    return False
