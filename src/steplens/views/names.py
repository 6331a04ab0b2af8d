"""Many tensors in one short name."""

from collections.abc import Iterable

from steplens.model.roster import Roster


def gathered(tensors: Iterable[int], roster: Roster, most: int = 3) -> str:
    """Tensor names as they are when few, else by common prefix: ``encoder.*, head.*``."""
    names = [roster.name(tensor) for tensor in tensors if tensor in roster.tensors]
    if len(names) <= 2:
        return ", ".join(names)
    parts = [name.split(".") for name in names]
    depth = 0
    while all(len(part) > depth + 1 and part[depth] == parts[0][depth] for part in parts):
        depth += 1
    if depth:
        return ".".join(parts[0][:depth]) + ".*"
    groups = {part[0] if len(part) == 1 else part[0] + ".*": None for part in parts}
    shown = list(groups)[:most]
    rest = len(groups) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
