"""Many tensors in one short name."""

from collections.abc import Collection, Iterable

from steplens.views.speech import ENGLISH, Speech

MOST = 3  # prefixes shown


class Names:
    """The names of a run's tensors, and short names for many of them.

    ``encoder.*`` stands for everything below ``encoder``; where some of it fares otherwise, the
    count is given: ``encoder.* (12 of 30)``.
    """

    def __init__(self, titles: dict[int, str], speech: Speech = ENGLISH) -> None:
        self.titles = titles
        self.say = speech.say
        self.sizes: dict[tuple[str, ...], int] = {}
        for title in titles.values():
            parts = tuple(title.split("."))
            for depth in range(len(parts) + 1):
                self.sizes[parts[:depth]] = self.sizes.get(parts[:depth], 0) + 1

    def short(self, tensors: Collection[int]) -> str:
        """These tensors in a few words."""
        titles = [self.titles[tensor] for tensor in tensors if tensor in self.titles]
        if len(titles) <= 2:
            return ", ".join(titles)
        if len(titles) == len(self.titles) and len(self._below((), titles)) > MOST:
            return self.say("all-parameters")
        cover = self._cover((), titles)
        if len(cover) > MOST:
            cover = [self._counted(prefix, held) for prefix, held in self._below((), titles)]
        rest = len(cover) - MOST
        names = ", ".join(cover[:MOST])
        return self.say("and-more", names=names, n=rest) if rest > 0 else names

    def _cover(self, prefix: tuple[str, ...], titles: list[str]) -> list[str]:
        """The fewest prefixes that stand for exactly these tensors."""
        found: list[str] = []
        for below, held in self._below(prefix, titles):
            whole = len(held) == self.sizes.get(below, 0)
            if len(set(held)) == 1:
                found.append(held[0])
            elif whole or below == prefix:
                found.append(".".join(below) + ".*")
            else:
                found += self._cover(below, held)
        return found

    def _below(
        self, prefix: tuple[str, ...], titles: Iterable[str]
    ) -> list[tuple[tuple[str, ...], list[str]]]:
        """The tensors below a prefix by their next part; a lone next part is passed over."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for title in titles:
            parts = tuple(title.split("."))
            groups.setdefault(parts[: len(prefix) + 1], []).append(title)
        return list(groups.items())

    def _counted(self, prefix: tuple[str, ...], held: list[str]) -> str:
        whole = self.sizes.get(prefix, 0)
        if len(set(held)) == 1:
            return held[0]
        name = ".".join(prefix) + ".*"
        if len(held) == whole:
            return name
        return self.say("some-of", name=name, n=len(held), of=whole)
