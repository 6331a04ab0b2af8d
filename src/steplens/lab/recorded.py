"""The recorded verdicts: which claims there are, and what each came to on which torch. No torch."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from steplens.errors import SteplensError

FILE = Path(__file__).parent / "verdicts.toml"


@dataclass(frozen=True, slots=True)
class Record:
    """The verdict recorded for a claim, and the torch version from which on it was measured.

    ``own`` says that the record is of this torch or of an older one; otherwise it is the newest
    there is.
    """

    torch: str
    verdict: str
    own: bool


@cache
def groups() -> dict[str, tuple[str, ...]]:
    """The names of the claims by group, in order."""
    return {group: tuple(names) for group, names in _table().items()}


@cache
def names() -> tuple[str, ...]:
    """The names of all claims, in order."""
    return tuple(name for named in groups().values() for name in named)


def group_of(name: str) -> str:
    """The group of a claim. Raises KeyError for an unknown one."""
    return next((group for group, named in groups().items() if name in named), "") or _missing(name)


def expected(name: str, torch: str) -> Record:
    """What the claim is expected to come to on this version of torch."""
    found = history(name)
    if not found:
        return Record("", "", own=False)
    versions = sorted(found, key=_order)
    known = [version for version in versions if _order(version) <= _order(torch)]
    version = known[-1] if known else versions[-1]
    return Record(version, found[version], own=bool(known))


def history(name: str) -> dict[str, str]:
    """The verdicts of a claim by the torch version from which on they were measured."""
    return next((table[name] for table in _table().values() if name in table), {})


def chosen(words: tuple[str, ...]) -> tuple[str, ...]:
    """The claims named, by name or by group, each once; all for no word.

    Raises SteplensError for an unknown word, with the nearest known one.
    """
    found: dict[str, None] = {} if words else dict.fromkeys(names())
    for word in words:
        key = _key(word)
        if key in groups():
            found |= dict.fromkeys(groups()[key])
        elif key in names():
            found[key] = None
        else:
            from steplens.config import nearest

            near = nearest(key, [*names(), *groups()]) or "; `steplens lab` lists them"
            raise SteplensError(f"no claim or group `{word}`{near}")
    return tuple(found)


def is_claim(word: str) -> bool:
    """Whether the word names a claim, rather than a group."""
    return _key(word) in names()


def _key(word: str) -> str:
    return word.strip().lower().replace("_", "-")


def _missing(name: str) -> str:
    raise KeyError(name)


def _order(version: str) -> tuple[int, int]:
    """A torch version as numbers that can be compared: `2.13.0+cpu` is (2, 13)."""
    major, minor, *_ = [*version.partition("+")[0].split("."), "0"]
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)


@cache
def _table() -> dict[str, dict[str, dict[str, str]]]:
    """Group -> claim -> first torch version measured -> verdict."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))
