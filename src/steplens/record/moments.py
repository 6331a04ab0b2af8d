"""Moments: two optimizers of different parameters whose state lies in one memory, as a
`load_state_dict` of another's state leaves it, which copies nothing."""

import weakref
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Load
from steplens.model.site import Site
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 16  # pairs watched


class Pair:
    """An optimizer that was given another's state, and which of the two have stepped since."""

    __slots__ = ("refs", "numbers", "site", "stepped")

    def __init__(self, given: Any, owner: Any, numbers: tuple[int, int], site: Site | None) -> None:
        self.refs = weakref.ref(given), weakref.ref(owner)
        self.numbers = numbers  # of the one given it, and of its owner
        self.site = site
        self.stepped: list[int] = []  # numbers, each step that is another's than the one before


class Moments:
    """The pairs that share some of their state; told of once they have stepped in turn: where one
    hands its state over, it steps no more."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []

    def loaded(self, recorder: "Recorder", optimizer: Any, number: int) -> None:
        """A state was loaded into an optimizer: is it that of another one alive?"""
        own = _places(optimizer)
        for ref, other in list(recorder.census.optimizers.values()) if own else ():
            owner = ref()
            if owner is None or other == number or len(self.pairs) >= MOST:
                continue
            if own.isdisjoint(_places(owner)) or _held(optimizer) & _held(owner):
                continue
            pair = Pair(optimizer, owner, (number, other), recorder.site())
            self.pairs.append(pair)

    def stepped(self, recorder: "Recorder", number: int) -> None:
        """An optimizer has stepped, perhaps one of a pair, in its turn."""
        for pair in list(self.pairs):
            if number not in pair.numbers:
                continue
            if pair.stepped[-1:] != [number]:
                pair.stepped.append(number)
            if len(pair.stepped) < 3:  # A, B and A again
                continue
            self.pairs.remove(pair)
            given, owner = pair.refs[0](), pair.refs[1]()
            if given is None or owner is None:
                continue
            shared = _places(given) & _places(owner)
            if shared:
                at = recorder.index(), recorder.step, pair.site
                recorder.emit(
                    Load(*at, "moments", pair.numbers[0], (), len(shared), pair.numbers[1])
                )


def _places(optimizer: Any) -> set[int]:
    """Where the tensors of an optimizer's state lie."""
    states = [state for state in list(optimizer.state.values()) if isinstance(state, dict)]
    values = [value for state in states for value in state.values()]
    return {pointer(value) for value in values if isinstance(value, torch.Tensor)} - {0}


def _held(optimizer: Any) -> set[int]:
    return {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
