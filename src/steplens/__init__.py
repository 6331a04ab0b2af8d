"""steplens shows what every call in a training program does to its state, and says when that is not
what was meant.

``watch`` a block, ``load`` a saved Report, ``allow`` what is meant. torch is imported only when
something is watched.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Report", "allow", "load", "watch"]

if TYPE_CHECKING:
    from steplens.check.allow import allow
    from steplens.check.lens import watch
    from steplens.check.reporting import Report, load

_HOMES = {"watch": "lens", "load": "reporting", "Report": "reporting", "allow": "allow"}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that ``import steplens`` costs nothing."""
    if name not in _HOMES:
        known = ", ".join(__all__)
        raise AttributeError(f"module `steplens` has no attribute `{name}`; it has {known}")
    import importlib

    return getattr(importlib.import_module(f"steplens.check.{_HOMES[name]}"), name)
