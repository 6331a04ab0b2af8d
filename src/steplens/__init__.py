"""steplens shows what every call in a training program does to its state, and says when that is not
what was meant.

``watch`` a block, ``load`` a saved Report, ``allow`` what is meant, take a ``snapshot``. torch is
imported only when something is watched.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Report", "allow", "load", "snapshot", "watch"]

if TYPE_CHECKING:
    from steplens.check.allow import allow
    from steplens.check.lens import watch
    from steplens.check.reporting import Report, load
    from steplens.check.states import snapshot

_HOMES = {
    "watch": "check.lens",
    "load": "check.reporting",
    "Report": "check.reporting",
    "allow": "check.allow",
    "snapshot": "check.states",
    # `%load_ext steplens` asks for these
    "load_ipython_extension": "adapters.ipython",
    "unload_ipython_extension": "adapters.ipython",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that ``import steplens`` costs nothing."""
    if name not in _HOMES:
        known = ", ".join(__all__)
        raise AttributeError(f"module `steplens` has no attribute `{name}`; it has {known}")
    import importlib

    return getattr(importlib.import_module(f"steplens.{_HOMES[name]}"), name)
