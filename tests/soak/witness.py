"""Witness: the Ledger's account kept by brute force, from a copy of every gradient after every
call."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch

HAND = "written by hand"
ANY = "cannot be said"
Held = list[tuple[int, tuple[int, ...]]] | str
Key = int  # a parameter's place in the order in which it was made known


class Silent:
    """What a run is given that nobody keeps an account of."""

    def know(self, tensors: Iterable[torch.Tensor]) -> None:
        """These parameters are in the run."""

    @contextmanager
    def during(self, call: str, tensors: Iterable[torch.Tensor] = ()) -> Generator[None]:
        """A call of torch that writes gradients: backward, clear, step or write."""
        yield

    def stepped(self, optimizer: int, tensors: Iterable[torch.Tensor]) -> None:
        """An optimizer's step is at its end, or has just been held back."""


class Register(Silent):
    """Remembers the parameters only, so that their numbers can be asked for."""

    def __init__(self) -> None:
        self.tensors: list[torch.Tensor] = []
        self.keys: dict[int, Key] = {}

    def know(self, tensors: Iterable[torch.Tensor]) -> None:
        for tensor in tensors:
            if id(tensor) not in self.keys:
                self.keys[id(tensor)] = len(self.tensors)
                self.tensors.append(tensor)
                self.met(len(self.tensors) - 1, tensor)

    def met(self, key: Key, tensor: torch.Tensor) -> None:
        """A parameter is new."""


class Inside:
    """A step in progress."""

    def __init__(self, versions: dict[Key, int]) -> None:
        self.versions = versions  # the write counters of its tensors as it began
        self.inner = False  # whether another has begun inside it
        self.covered: set[Key] = set()  # tensors that those have dealt with


class Witness(Register):
    """Which backward passes each gradient holds, judged from values.

    torch's own post-accumulate hooks say which parameters a backward reached. Backward passes and
    steps are counted from 1; a contribution is ``(backward, steps that used it)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copies: dict[Key, tuple[int, torch.Tensor, int] | None] = {}
        self.held: dict[Key, Held] = {}
        self.touched: set[Key] = set()  # by hand, since the last clear
        self.backwards: list[set[Key]] = []
        self.void: set[int] = set()  # backward passes that raised
        self.steps: list[tuple[int, dict[Key, Held], set[Key]]] = []
        self.clears: list[tuple[dict[Key, Held], set[Key]]] = []
        self.by_hand: list[tuple[Key, Held]] = []
        self.nothing: set[tuple[int, Key]] = set()  # contributions that were zero everywhere
        self.running = 0
        self.inside: list[Inside] = []  # the steps in progress, innermost last

    def met(self, key: Key, tensor: torch.Tensor) -> None:
        self.copies[key], self.held[key] = None, []
        if tensor.is_leaf and tensor.requires_grad:
            tensor.register_post_accumulate_grad_hook(lambda _: self._reached(key))

    def _reached(self, key: Key) -> None:
        if not self.running:
            return
        gradient, before = self.tensors[key].grad, self.copies[key]
        if before is not None and not before[1].any():
            self._vain(key)
        held = self.held[key]
        assert gradient is not None
        if key not in self.backwards[self.running - 1]:
            self.backwards[self.running - 1].add(key)
            part = gradient.detach() - (before[1] if before is not None else 0)
            if not part.any():
                self.nothing.add((self.running, key))
            if not isinstance(held, str):
                held.append((self.running, ()))
        self._copy(key)

    def _vain(self, key: Key) -> None:
        """Zero stood there, whoever wrote it: the parts of before have cancelled, if there were
        any."""
        held = self.held[key]
        if isinstance(held, str):
            self.held[key] = [] if held == ANY else held
        else:
            self.nothing.update((backward, key) for backward, _ in held)

    def _copy(self, key: Key) -> None:
        gradient = self.tensors[key].grad
        self.copies[key] = (
            (id(gradient), gradient.detach().clone(), gradient._version)
            if gradient is not None
            else None
        )

    def look(self) -> None:
        """What was done by hand since the last call."""
        for key, tensor in enumerate(self.tensors):
            before, gradient = self.copies[key], tensor.grad
            if gradient is None:
                self._lost(key)
                self.touched.discard(key)
            elif before is None or not _same(gradient, before[1]) or before[0] != id(gradient):
                self.touched.add(key)
                fresh = self._fresh(key)
                if not gradient.any():
                    self._lost(key)
                elif before is None or before[0] != id(gradient) or not fresh:
                    self.held[key] = HAND
            elif before[2] != gradient._version and self.held[key] and not self._fresh(key):
                self._unclear(key)
            self._copy(key)

    def _unclear(self, key: Key) -> None:
        """Used before, and written by hand with the very values that stood there."""
        if self.held[key] != HAND:
            self.held[key] = ANY

    def _fresh(self, key: Key) -> bool:
        """Whether the gradient holds contributions that no step has used."""
        held = self.held[key]
        return bool(held) and not isinstance(held, str) and not any(used for _, used in held)

    def _lost(self, key: Key) -> None:
        held = self.held[key]
        if held and not isinstance(held, str):
            self.by_hand.append((key, list(held)))
        self.held[key] = []

    @contextmanager
    def during(self, call: str, tensors: Iterable[torch.Tensor] = ()) -> Generator[None]:
        self.look()
        keys = [self.keys[id(tensor)] for tensor in tensors]
        if call == "backward":
            self.backwards.append(set())
            outer, self.running = self.running, len(self.backwards)
        elif call == "step":
            for step in self.inside:
                step.inner = True
            self.inside.append(Inside({key: self.tensors[key]._version for key in keys}))
        number, done = len(self.backwards), False
        before = {key: _copied(self.held[key]) for key in keys}
        zero = self.zero(keys)
        try:
            yield
            done = True
        finally:
            if call == "backward":
                self.running = outer
                self._ended(number, done)
            elif call == "step":
                self.inside.pop()
            elif call == "clear" and done:
                self.clears.append((before, zero))
                for key in keys:
                    self.held[key] = []
                    self.touched.discard(key)
            for key in keys:
                self._copy(key)

    def _ended(self, number: int, done: bool) -> None:
        reached = self.backwards[number - 1]
        for key in reached:
            if not done:
                self.held[key] = ANY
            elif self.tensors[key].grad is None:
                self.held[key] = []
        if not done:
            self.void.add(number)

    def zero(self, keys: Iterable[Key]) -> set[Key]:
        """Those whose gradients are zero everywhere: cleared or not, they hold nothing."""
        return {k for k in keys if (g := self.tensors[k].grad) is not None and not g.any()}

    def stepped(self, optimizer: int, tensors: Iterable[torch.Tensor]) -> None:
        """An optimizer's step is at its end, or has just been held back. What steps inside it have
        done is theirs."""
        keys = [self.keys[id(tensor)] for tensor in tensors]
        own = self.inside[-1]
        if own.inner:
            wrote = [key for key in keys if self.tensors[key]._version != own.versions[key]]
            keys = [key for key in wrote if key not in own.covered]
            if not keys:
                return
        for step in self.inside[:-1]:
            step.covered.update(keys)
        number = len(self.steps) + 1
        held = {key: _copied(self.held[key]) for key in keys}
        self.steps.append((optimizer, held, self.zero(keys)))
        for key in keys:
            now = self.held[key]
            if not isinstance(now, str):
                self.held[key] = [(backward, (*used, number)) for backward, used in now]


def _copied(held: Held) -> Held:
    return held if isinstance(held, str) else list(held)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.equal(bits(one), bits(other))


def bits(tensor: Any) -> torch.Tensor:
    """The tensor's bytes."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
