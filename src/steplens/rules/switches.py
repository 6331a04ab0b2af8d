"""Switches: who put a module to sleep, and whether that can have been meant for training."""

from steplens.model.event import Forward, Mode
from steplens.model.roster import ModeReading
from steplens.rules.trees import Trees


class Switches:
    """The first call of ``train()`` or ``eval()`` from each line on each module, as
    ``ModeReading.switched`` names it."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.modes: dict[int, Mode] = {}
        self.known: set[tuple[int, bool, object]] = set()
        self.woken: dict[int, int] = {}  # module -> first train() call on it
        self.readings: set[int] = set()  # those that ran without training what sleeps in them
        self.tested: set[int] = set()  # switches after which such a forward ran

    def mode(self, event: Mode) -> None:
        """A call of ``train()`` or ``eval()``."""
        key = (event.module, event.training, event.site)
        if key not in self.known and len(self.known) < 4096:
            self.known.add(key)
            self.modes[event.index] = event
        if event.training:
            self.woken.setdefault(event.module, event.index)

    def before(self, mode: Mode) -> Mode | None:
        """The newest line before this call that woke the same module, or one that holds it."""
        woke = (
            each
            for each in self.modes.values()
            if each.training
            and each.index < mode.index
            and each.module in self.trees.above(mode.module)
        )
        return max(woke, key=lambda each: each.index, default=None)

    def rested(self, place: int, reading: ModeReading) -> None:
        """A forward with this reading did not train what sleeps in it."""
        if place not in self.readings:
            self.readings.add(place)
            self.tested.update(reading.switched.values())

    def verdict(self, module: int, reading: ModeReading, forward: Forward) -> bool | None:
        """Of a module asleep in a training forward: True when nobody can have meant it, False when
        somebody may have, None when it is fine.

        Fine are calls on the norm or dropout itself, and flags written by hand below a model in
        train mode. A part may be meant that was put to sleep while the model around it had been
        woken, and that trained at once.
        """
        switch = reading.switched.get(module, -1)
        mode = self.modes.get(switch)
        if mode is None or mode.training:
            return None if forward.training else True
        target = mode.module
        learns = self.trees.tensors(target) - self._norms(reading)
        if target in self.trees.above(forward.module):
            return True if learns or target != module else None
        if not learns:
            return None
        awake = any(self.woken.get(m, switch) < switch for m in self.trees.above(target))
        return not awake or switch in self.tested

    def _norms(self, reading: ModeReading) -> set[int]:
        modules = self.trees.roster.modules
        sensitive = [modules[m] for m in (*reading.asleep, *reading.awake)]
        return {tensor for module in sensitive if module.norm for tensor in module.tensors}
