"""Completing: what the shell may put after a word of the command line. Imports no torch."""

from collections.abc import Callable, Iterable
from typing import Any

from click.shell_completion import CompletionItem

Completer = Callable[[Any, Any, str], list[CompletionItem]]


def words(known: Iterable[str]) -> Completer:
    """Completes one of some words."""
    return lambda context, parameter, begun: [
        CompletionItem(word) for word in known if word.startswith(begun.lower())
    ]


def rules(context: Any, parameter: Any, begun: str) -> list[CompletionItem]:
    """Names of rules, or codes where one has been begun; after a comma those of a list."""
    from steplens.rules import RULES

    before, comma, last = begun.rpartition(",")
    coded = last[:2].upper() == "SL"
    known = [(rule.code, rule.name) if coded else (rule.name, rule.code) for rule in RULES]
    begins = last.upper() if coded else last.lower()
    return [
        CompletionItem(before + comma + word, help=other)
        for word, other in known
        if word.startswith(begins)
    ]


def reports(context: Any, parameter: Any, begun: str) -> list[CompletionItem]:
    """Files, and the saved reports of this folder before them."""
    from pathlib import Path

    saved = sorted(map(str, Path(".steplens").glob("*.json")), reverse=True)
    known = [path for path in saved if path.startswith(begun) or begun in Path(path).name]
    return [CompletionItem(path) for path in known] or files(context, parameter, begun)


def files(context: Any, parameter: Any, begun: str) -> list[CompletionItem]:
    """Files, as the shell completes them."""
    return [CompletionItem(begun, type="file")]
