"""Anew: layers that are made within each forward, get a gradient once, and are gone."""

from steplens.model.event import Backward
from steplens.model.roster import ModuleEntry, Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, seen

TIMES = 3  # backward passes, each of which reached another layer made at the same line


class Anew:
    """The lines in forwards that make layers, and the layers of each that backward passes
    reached."""

    def __init__(self, roster: Roster, hosts: dict[int, int]) -> None:
        self.roster = roster
        self.hosts = hosts  # outermost module -> the one in whose forward it ran
        self.made: dict[Site, dict[int, int]] = {}  # line -> layer -> backward that reached it
        self.kept: set[Site] = set()  # lines whose layers come back, or that an optimizer holds
        self.held: set[int] = set()
        self.optimizers = -1

    def backward(self, event: Backward) -> list[tuple[Site, ModuleEntry, tuple[int, ...]]]:
        """The lines that have now made ``TIMES`` layers, each with the newest and its tensors."""
        if len(self.roster.optimizers) != self.optimizers:
            self.optimizers = len(self.roster.optimizers)
            self.held = {t for o in self.roster.optimizers.values() for t in o.tensors}
        reached: dict[int, list[int]] = {}
        for tensor in event.leaves:
            entry = self.roster.tensors[tensor]
            if entry.role == "parameter" and entry.root in self.hosts:
                reached.setdefault(entry.root, []).append(tensor)
        found: list[tuple[Site, ModuleEntry, tuple[int, ...]]] = []
        for root, tensors in reached.items():
            layer = self.roster.modules[root]
            if layer.site is None or layer.site in self.kept:
                continue
            layers = self.made.setdefault(layer.site, {})
            if layers.setdefault(root, event.index) != event.index or not self.held.isdisjoint(
                tensors
            ):
                self.kept.add(layer.site)
                del self.made[layer.site]
            elif len(set(layers.values())) == TIMES:
                found.append((layer.site, layer, tuple(tensors)))
                self.kept.add(layer.site)
        return found


def tell(
    cases: Cases,
    event: Backward,
    line: Site,
    layer: ModuleEntry,
    outer: str,
    tensors: tuple[int, ...],
) -> None:
    """Say that a layer is made in each forward of the model ``outer``."""
    cases.open(
        ("anew", line),
        event.step + 1,
        line,
        f"`{layer.type}` is made anew in each forward of `{outer}`: its parameters get one "
        "gradient and are gone before a step",
        label="made here, in the forward",
        because=because("this backward reached the newest", event.site),
        evidence=[
            seen("of these that backward passes reached", TIMES, 1),
            seen("parameters of each, in no optimizer", len(tensors), 0),
        ],
        help="make it in `__init__`, as an attribute of the module, and call it in `forward`",
        severity="note" if "Norm" in layer.type else None,
        event=event.index,
        tensors=tensors,
    )
