"""States: what an optimizer holds for each of its tensors, in order and under names."""

from typing import Any

import torch

from steplens.model.state import Whose
from steplens.record.census import Census, tensors_of
from steplens.record.shelf import Memory, Shelf


class States:
    """The state of one optimizer. What it holds is looked up by place, as to hash a tensor takes
    longer than to read its counter; nothing of it is kept."""

    def __init__(self, memory: Memory, number: int) -> None:
        self.number = number
        self.shelf = Shelf(memory)
        self.shape: tuple[Any, ...] = ()  # what the order was made of
        self.order: list[int] = []  # places in the state's own dictionary
        self.owners: list[int] = []  # the numbers of the tensors at these
        self.names: list[Any] = []
        self.kinds: list[bool] = []  # which values are tensors
        self.parts: list[tuple[tuple[str, str], Whose]] = []

    def values(self, optimizer: Any, census: Census, label: str) -> tuple[list[Any], bool]:
        """What the state holds now, and whether these are other parts than before."""
        state: dict[Any, Any] = optimizer.state
        tensors = tensors_of(optimizer)
        shape = (census.changes, list(map(id, tensors)), list(map(id, state)))
        anew = shape != self.shape
        if anew:
            self._arrange(tensors, state, census)
            self.shape = shape
        held = list(state.values())
        names = [key for place in self.order for key in held[place]]
        values = [value for place in self.order for value in held[place].values()]
        if anew or names != self.names:
            anew, self.names = True, names
            counts = [len(held[place]) for place in self.order]
            self._name(census, label, counts)
        kinds = [isinstance(value, torch.Tensor) for value in values]
        if kinds != self.kinds:
            anew, self.kinds = True, kinds
        return values, anew

    def _arrange(self, tensors: list[torch.Tensor], state: dict[Any, Any], census: Census) -> None:
        places = {id(key): place for place, key in enumerate(state)}
        self.order, self.owners = [], []
        for tensor in tensors:
            place = places.get(id(tensor), -1)
            account = census.known(tensor) if place >= 0 else None
            if account is not None:
                self.order.append(place)
                self.owners.append(account.number)

    def _name(self, census: Census, label: str, counts: list[int]) -> None:
        owners = [
            owner for owner, count in zip(self.owners, counts, strict=True) for _ in range(count)
        ]
        pairs = list(zip(owners, self.names, strict=True))
        titles = {owner: census.roster.name(owner) for owner in self.owners}
        self.parts = [
            (("optimizer", f"{label}.{key}[{titles[owner]}]"), Whose(owner, self.number, str(key)))
            for owner, key in pairs
        ]
        self.shelf.arrange(pairs)
