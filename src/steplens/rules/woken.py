"""Woken: who put a model into train mode, and whether an evaluation in it may be meant."""

from itertools import product

from steplens.model.event import Backward, Forward, Mode, Step
from steplens.model.newest import Newest
from steplens.rules.trees import Trees

RECENT = 64  # training forwards whose outputs are followed into other models


class Woken:
    """Follows the ``train()`` calls, the training forwards, and what these feed."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.calls: dict[int, Mode] = {}  # module -> newest train() on it
        self.trained_at: dict[int, int] = {}  # module -> its newest training forward
        self.recent = Newest[int, int](RECENT)  # training forward -> its module
        self.actors = Newest[int, int](RECENT)  # training forward -> the part of it that ran
        # the modules of other optimizers that a module's training output goes into
        self.fed: dict[int, set[int]] = {}
        self.feeders: dict[int, set[int]] = {}  # module -> those whose outputs it trains on
        self.raw: set[int] = set()  # modules that have trained on what no other module gave them
        self.inputs = Newest[int, tuple[int, ...]](RECENT)  # training forward -> who fed it
        self.ran: dict[int, int] = {}  # module -> its newest forward
        self.stepped = -1  # the newest step
        self.sampled = Newest[int, None](8 * RECENT)  # forwards that were asked for samples
        self.inner: set[int] = set()  # parts that ran within a training forward of the whole
        self.asked: dict[int, int] = {}  # root -> the newest forward in it that gives no sample
        self.users = Newest[int, set[int]](RECENT)  # backward -> the optimizers that stepped on it
        self.acts: dict[int, int] = {}  # module -> the one part of it that its forwards ran
        self.together: set[tuple[int, int]] = set()  # optimizers that stepped on one backward

    def mode(self, event: Mode) -> None:
        """A mode was switched."""
        if event.training:
            self.calls[event.module] = event

    def forward(self, event: Forward) -> None:
        """Any forward: is it asked for a sample? A module that trains on what other modules make of
        their inputs, and on nothing else, is now given something else, and none of those has run
        since the newest step: a decoder that is given noise. So is what is made of a sample."""
        module, entry = event.module, self.trees.roster.modules.get(event.module)
        root = entry.root if entry is not None and entry.root >= 0 else module
        feeders = self.feeders.get(module, ())
        sampled = all(index in self.sampled for index in event.fed_by)
        if not event.fed_by:
            sampled = bool(feeders) or (module in self.inner and root != module)
            sampled &= all(self.ran.get(one, -1) < self.stepped for one in feeders)
        if sampled and module not in self.raw and self.asked.get(root, -1) < self.stepped:
            self.sampled[event.index] = None
        else:
            self.asked[root] = event.index
        self.ran[module] = event.index

    def backward(self, event: Backward) -> None:
        """These forwards were for training."""
        for index in event.forwards:
            module = self.recent.get(index)
            if module is None:
                continue
            sources = {self.recent.get(each, module) for each in self.inputs.get(index, ())}
            if sources - {module}:
                self.feeders.setdefault(module, set()).update(sources - {module})
            else:
                self.raw.add(module)

    def samples(self, event: Forward) -> bool:
        """Whether a forward was asked for a sample."""
        return event.index in self.sampled

    def training(self, event: Forward) -> None:
        """A forward that recorded a graph."""
        self.inputs[event.index] = event.fed_by
        if event.raw is not None:
            self.inner.update(event.ran or ())
            self.raw.update(module for module in event.raw if module != event.module)
        self.trained_at[event.module] = event.index
        self.recent[event.index] = event.module
        self.actors[event.index] = module = self._acting(event)
        for index in event.fed_by:
            source = self.actors.get(index, module)
            if source != module and self.trees.apart(source, module):
                self.fed.setdefault(source, set()).add(module)

    def step(self, event: Step) -> None:
        """A step on a backward, which another optimizer may have stepped on as well."""
        self.stepped = event.index
        for backward in {share.holds[-1].backward for share in event.uses}:
            users = self.users.get(backward)
            if users is None:
                users = self.users[backward] = set()
            users.add(event.optimizer)
            if len(users) > 1:
                self.together.update(product(users, users))

    def generates(self, module: int) -> bool:
        """Whether a module is trained through another model, which does not step on the same
        backward (an encoder and a decoder with an optimizer each do)."""
        trains, module = self.trees.trains, self.acts.get(module, module)
        return any(
            not any(trains(one, module) and trains(two, sink) for one, two in self.together)
            for sink in self.fed.get(module, ())
        )

    def _acting(self, event: Forward) -> int:
        """The part that ran, where a module's forward is that of one of its children alone: the
        generator of a module that holds both networks."""
        module, modules = event.module, self.trees.roster.modules
        if event.ran is not None and module in modules and not modules[module].tensors:
            parts = {each for each in event.ran if modules[each].parent == module}
            part = parts.pop() if len(parts) == 1 else module
            if self.acts.setdefault(module, part) != part:
                self.acts[module] = module
        return self.acts.get(module, module)

    def call(self, module: int) -> Mode | None:
        """The newest ``train()`` on a module or one that holds it."""
        calls = [self.calls[m] for m in self.trees.above(module) if m in self.calls]
        return max(calls, key=lambda call: call.index, default=None)

    def at(self, module: int) -> int:
        """The index of that call, -1 for none."""
        call = self.call(module)
        return call.index if call is not None else -1

    def meant(self, event: Forward) -> bool:
        """Whether ``train()`` was called after the last training forward of the model."""
        return self.at(event.module) > self.trained_at.get(event.module, event.index)
