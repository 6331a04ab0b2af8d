"""Mistaken: ``eval()`` on a model that then did not run, while a copy of it answered in train
mode."""

from collections.abc import Callable

from steplens.model.event import End, Forward, Mode
from steplens.model.site import Site
from steplens.rules.trees import Trees

MOST = 64


class Answer:
    """The forwards without grad of a copy, since ``eval()`` was called on the model; ``woke`` is
    the ``train()`` that had been called on the copy before, ``times`` how often this was seen, for
    the last time at ``step``."""

    __slots__ = ("first", "model", "call", "woke", "times", "step")

    def __init__(self, first: Forward, model: int, call: Mode, woke: Mode | None) -> None:
        self.first = first
        self.model = model
        self.call = call
        self.woke = woke
        self.times = 1
        self.step = first.step


class Mistaken:
    """Tells (``tell``) of them when the model is woken again, or the run has ended, with no forward
    of it in between.

    A copy on which the program calls ``train()`` in its training steps may make noisy targets on
    purpose, for losses to come. Of one that answers at a line at which it makes none in a step this
    is told at the end of the run alone, if no backward came after the last answers.
    """

    def __init__(self, trees: Trees, tell: Callable[[int, Answer], None]) -> None:
        self.trees = trees
        self.tell = tell
        self.asked: dict[int, Mode] = {}  # model -> eval() on it, and no forward since
        self.answers: dict[int, Answer] = {}  # copy -> its forwards
        self.woke: dict[int, Mode] = {}  # module -> the newest train() on it
        self.trained = -1  # index of the newest forward that a backward may go through
        self.taught: dict[int, set[Site | None]] = {}  # copy -> where it ran for a loss
        self.parked: dict[int, Answer] = {}  # copy that train() was called on -> its answers

    def mode(self, event: Mode) -> None:
        """A call of ``train`` or ``eval``."""
        if not event.training:
            self.answers.clear()
            if event.switched and len(self.asked) < MOST:
                self.asked[event.module] = event
            return
        self.woke[event.module] = event
        if event.module in self.asked:
            self._over([c for c, a in self.answers.items() if a.model == event.module])
            del self.asked[event.module]

    def end(self, event: End) -> None:
        """The run is over."""
        if event.status != "done":
            return
        for copy, answer in self.answers.items():
            self._park(copy, answer)
            self.tell(copy, self.parked.pop(copy, answer))

    def _over(self, copies: list[int]) -> None:
        for copy in copies:
            answer = self.answers.pop(copy)
            if answer.woke is None:
                self.tell(copy, answer)
            else:
                self._park(copy, answer)

    def _park(self, copy: int, answer: Answer) -> None:
        """Keep the answers of a copy that was woken by the program, until the run is over."""
        known = self.parked.get(copy)
        if answer.woke is None:
            return
        if known is None or known.first.site != answer.first.site:
            self.parked[copy] = answer
        else:
            known.times, known.step = known.times + 1, answer.step

    def backward(self) -> None:
        """A loss may be made of what a copy has just answered."""
        for copy, answer in list(self.answers.items()) if self.answers else ():
            if answer.woke is not None:
                self._teaches(copy, answer.first.site)

    def _teaches(self, copy: int, site: Site | None) -> None:
        self.answers.pop(copy, None)
        if len(self.taught) < MOST:
            self.taught.setdefault(copy, set()).add(site)

    def ran(self, event: Forward) -> None:
        """Any forward: the model it is of has answered for itself."""
        if event.grad and event.recorded:
            self.trained = event.index
        for model in list(self.asked) if self.asked else ():
            if not self.trees.tensors(model).isdisjoint(self.trees.tensors(event.module)):
                del self.asked[model]
                self.answers = {c: a for c, a in self.answers.items() if a.model != model}

    def forward(self, event: Forward) -> None:
        """A forward without grad, with modules in train mode; of interest if it moved or drew
        something."""
        if not event.training or not (event.statistics or event.drew):
            return
        copy = event.module
        calls = [self.woke[module] for module in self.trees.above(copy) if module in self.woke]
        woke = max(calls, key=lambda call: call.index, default=None)
        asked = {m: call for m, call in self.asked.items() if self._copied(m, copy)}
        if woke is not None and not asked:
            self._teaches(copy, event.site)
        for model, call in asked.items():
            if woke is None or self._unmeant(copy, woke, event):
                self.answers.setdefault(copy, Answer(event, model, call, woke))

    def _unmeant(self, copy: int, woke: Mode, event: Forward) -> bool:
        """Whether a copy was woken for the training steps, and answers elsewhere than there."""
        taught = self.taught.get(copy, ())
        return woke.index < self.trained and bool(taught) and event.site not in taught

    def _copied(self, model: int, other: int) -> bool:
        """Whether a module that nothing trains has the parameters of one that is trained, tensor
        for tensor."""
        roster, trees = self.trees.roster, self.trees
        one, two = trees.tensors(model), trees.tensors(other)
        if len(one) < 2 or len(one) != len(two):
            return False
        if any(trees.trains(number, other) for number in roster.optimizers):
            return False
        if not any(trees.trains(number, model) for number in roster.optimizers):
            return False
        shapes = [[roster.tensors[n].shape for n in sorted(numbers)] for numbers in (one, two)]
        return shapes[0] == shapes[1]
