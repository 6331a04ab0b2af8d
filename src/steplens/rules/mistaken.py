"""Mistaken: ``eval()`` on a model that then did not run, while a copy of it answered in train
mode."""

from collections.abc import Callable

from steplens.model.event import End, Forward, Mode
from steplens.rules.trees import Trees

MOST = 64


class Answer:
    """The forwards without grad of a copy, since ``eval()`` was called on the model."""

    __slots__ = ("first", "model", "call", "count")

    def __init__(self, first: Forward, model: int, call: Mode) -> None:
        self.first = first
        self.model = model
        self.call = call
        self.count = 0


class Mistaken:
    """Tells (``tell``) of them when the model is woken again, or the run has ended, with no forward
    of it in between."""

    def __init__(self, trees: Trees, tell: Callable[[int, Answer], None]) -> None:
        self.trees = trees
        self.tell = tell
        self.asked: dict[int, Mode] = {}  # model -> eval() on it, and no forward since
        self.answers: dict[int, Answer] = {}  # copy -> its forwards
        self.meant: set[int] = set()  # modules on which train() was called

    def mode(self, event: Mode) -> None:
        """A call of ``train`` or ``eval``."""
        if not event.training:
            self.answers.clear()
            if event.switched and len(self.asked) < MOST:
                self.asked[event.module] = event
            return
        self.meant.add(event.module)
        if event.module in self.asked:
            self._over([c for c, a in self.answers.items() if a.model == event.module])
            del self.asked[event.module]

    def end(self, event: End) -> None:
        """The run is over."""
        if event.status == "done":
            self._over(list(self.answers))

    def _over(self, copies: list[int]) -> None:
        for copy in copies:
            self.tell(copy, self.answers.pop(copy))

    def ran(self, event: Forward) -> None:
        """Any forward: the model it is of has answered for itself."""
        for model in list(self.asked) if self.asked else ():
            if not self.trees.tensors(model).isdisjoint(self.trees.tensors(event.module)):
                del self.asked[model]
                self.answers = {c: a for c, a in self.answers.items() if a.model != model}

    def forward(self, event: Forward) -> None:
        """A forward without grad, with modules in train mode; of interest if it moved or drew
        something."""
        if not self.asked or not event.training or not (event.statistics or event.drew):
            return
        if not self.meant.isdisjoint(self.trees.above(event.module)):
            return
        for model, call in self.asked.items():
            if self._copied(model, event.module):
                answer = self.answers.get(event.module)
                if answer is None:
                    answer = self.answers[event.module] = Answer(event, model, call)
                answer.count += 1

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
