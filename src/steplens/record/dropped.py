"""Dropped: statements that make a new tensor of one that is used on, and drop it."""

import ast
from collections.abc import Iterator

# Methods that tensors alone have, and that write nothing.
METHODS = frozenset((
    "masked_fill", "masked_scatter", "index_fill", "index_add", "index_copy", "scatter_add",
    "unsqueeze",
))  # fmt: skip
FUNCTIONS = METHODS | {
    "clamp", "relu", "gelu", "sigmoid", "tanh", "softmax", "log_softmax", "dropout", "normalize",
    "permute", "transpose", "squeeze", "layer_norm", "leaky_relu",
}  # fmt: skip
OWNERS = ("torch", "F", "functional")
INPLACE = ("out", "inplace")
WHOLE = 2  # positional arguments; a further one may be `inplace`


def dropped(tree: ast.Module) -> Iterator[ast.Expr]:
    """The statements of functions whose value is such a new tensor, where the one it is made of is
    read again further down."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        nodes = list(ast.walk(function))
        made = {
            node: source
            for node in nodes
            if isinstance(node, ast.Expr) and (source := _source(node.value)) is not None
        }
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
    library = ast.unparse(owner).rpartition(".")[2] in OWNERS
    if library:
        if made not in FUNCTIONS or not 0 < len(value.args) <= WHOLE + (made in METHODS):
            return None
        owner = value.args[0]
    elif made not in METHODS:
        return None
    return ast.unparse(owner) if isinstance(owner, ast.Name | ast.Attribute) else None
