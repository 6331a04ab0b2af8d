"""Suppressions: ignore comments, per-file ignores and allowed regions, applied to findings."""

import re
import tokenize
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from io import StringIO
from pathlib import PurePosixPath

from steplens.check.allow import Region
from steplens.errors import BadSetting
from steplens.model.finding import Evidence, Finding
from steplens.model.site import Site
from steplens.rules import RULES, selection
from steplens.rules.base import Rule
from steplens.rules.unused_suppression import UnusedSuppression

COMMENT = re.compile(r"#\s*steplens:\s*ignore\b(?:\s*\[([^\]]*)\])?\s*(.*)")
KEY = re.compile(r"(.*)\[(\d+)\]")  # a notebook's source is named lab.ipynb[4]
MAGIC = ("%", "!", "?")
LAYOUT = (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT)
SL001: Rule = UnusedSuppression  # the decorator made a Rule of the class


@dataclass(frozen=True, slots=True)
class Ignore:
    """An ignore comment: where it stands, the lines of its statement, the rules it names, why."""

    at: Site
    first_line: int
    last_line: int
    words: tuple[str, ...]
    reason: str

    def covers(self, at: Site) -> bool:
        """Whether a finding at this place is at the comment's statement."""
        same = (at.file, at.cell) == (self.at.file, self.at.cell)
        return same and self.first_line <= at.line <= self.last_line


@dataclass(frozen=True, slots=True)
class Verdict:
    """Findings that are shown, with notes on unused comments among them, and those that are not."""

    kept: list[Finding]
    suppressed: list[Finding]


def apply(
    findings: Iterable[Finding],
    sources: Mapping[str, str],
    *,
    per_file: Mapping[str, Sequence[str]] | None = None,
    regions: Iterable[Region] = (),
    ran: Collection[str] = (),
    selected: Sequence[Rule] = RULES,
) -> Verdict:
    """Part the findings into shown and suppressed.

    ``sources`` are the texts of the program's files by ``Site.file`` or ``file[cell]``, ``ran`` the
    codes of the rules that had something to look at. SL001 notes are made only when SL001 is
    among the ``selected`` rules.
    """
    comments = [comment for key, text in sources.items() for comment in ignores(key, text)]
    regions = tuple(regions)
    used: set[Ignore] = set()
    kept: list[Finding] = []
    suppressed: list[Finding] = []
    for finding in findings:
        at = finding.at
        here = [c for c in comments if at and c.covers(at) and _meant(finding, c.words)]
        used.update(here)
        quiet = (
            here
            or _in_file(finding, per_file or {})
            or any(_in_region(finding, r) for r in regions)
        )
        (suppressed if quiet else kept).append(finding)
    if SL001.code in {rule.code for rule in selected}:
        notes = [note for comment in comments if (note := _unused(comment, comment in used, ran))]
        for note in notes:
            (suppressed if _in_file(note, per_file or {}) else kept).append(note)
    return Verdict(kept, suppressed)


def ignores(key: str, text: str) -> list[Ignore]:
    """The ignore comments of one file or cell; words in strings are not comments."""
    if "steplens:" not in text:
        return []
    found: list[tuple[tokenize.TokenInfo, int]] = []  # comment, first line of its statement
    closed: list[tuple[int, int]] = []  # statements: first and last line
    first = 0
    for token in _tokens(text):
        if token.type == tokenize.COMMENT and COMMENT.search(token.string):
            found.append((token, first or token.start[0]))
        if token.type == tokenize.NEWLINE:
            closed.append((first, token.start[0]))
            first = 0
        elif token.type not in LAYOUT and not first:
            first = token.start[0]
    return [_ignore(key, token, begin, closed) for token, begin in found]


def _ignore(
    key: str, token: tokenize.TokenInfo, first: int, closed: list[tuple[int, int]]
) -> Ignore:
    match = COMMENT.search(token.string)
    assert match is not None
    line = token.start[0]
    spans = [span for span in closed if span[0] <= line <= span[1]]
    begin, end = spans[-1] if spans else (first, line)
    named = KEY.fullmatch(key)
    file, cell = (named[1], int(named[2])) if named else (key, 0)
    column, stop = token.start[1] + 1 + match.start(), token.end[1] + 1
    at = Site(file, line, column, line, stop, "", cell)
    words = tuple(word.strip() for word in (match[1] or "").split(",") if word.strip())
    return Ignore(at, begin, end, words, match[2].strip())


def _tokens(text: str) -> list[tokenize.TokenInfo]:
    """The tokens of Python source; where a notebook's magics cannot be read, they are left out."""
    tokens, whole = _read(text)
    if whole:
        return tokens
    lines = text.splitlines(keepends=True)
    bare = ["pass\n" if line.lstrip().startswith(MAGIC) else line for line in lines]
    return _read("".join(bare))[0]


def _read(text: str) -> tuple[list[tokenize.TokenInfo], bool]:
    """The tokens up to the first that is none, and whether that was all."""
    tokens: list[tokenize.TokenInfo] = []
    try:
        for token in tokenize.generate_tokens(StringIO(text).readline):
            tokens.append(token)
    except (tokenize.TokenError, SyntaxError):
        return tokens, False
    return tokens, True


def _meant(finding: Finding, words: Iterable[str]) -> bool:
    return any(word.upper() == finding.code or word.lower() == finding.name for word in words)


def _in_file(finding: Finding, per_file: Mapping[str, Sequence[str]]) -> bool:
    if finding.at is None:
        return False
    path = PurePosixPath(finding.at.file.replace("\\", "/"))
    for pattern, words in per_file.items():
        if fnmatch(str(path), pattern) or fnmatch(path.name, pattern):
            prefixes = tuple(
                "SL" if word.upper() == selection.EVERYTHING else word for word in words
            )
            if _meant(finding, words) or finding.code.startswith(tuple(map(str.upper, prefixes))):
                return True
    return False


def _in_region(finding: Finding, region: Region) -> bool:
    return _meant(finding, region.names) and region.covers(finding.at, finding.event)


def _unused(comment: Ignore, used: bool, ran: Collection[str]) -> Finding | None:
    """The note on a comment that suppressed nothing; None when it did, or might have."""
    if any(word.upper() == SL001.code or word.lower() == SL001.name for word in comment.words):
        return None
    rules, wrong = _named(comment.words)
    if wrong:
        return _note(
            comment, wrong, "write the code or the name of a rule; `steplens rules` lists them"
        )
    if not comment.words:
        said = "an `ignore` comment that names no rule suppresses nothing"
        return _note(comment, said, "write `# steplens: ignore[NAME] reason`")
    if used or not all(rule.code in ran for rule in rules):
        return None
    named = ", ".join(f"`{word}`" for word in comment.words)
    return _note(comment, f"this line has no finding of {named} to ignore", "take the comment out")


def _named(words: Iterable[str]) -> tuple[list[Rule], str]:
    """The rules that words name, and what is wrong with the first that names none."""
    rules: list[Rule] = []
    for word in words:
        try:
            rules.append(selection.one(word))
        except BadSetting as error:
            return rules, str(error).partition("; `steplens rules`")[0]
    return rules, ""


def _note(comment: Ignore, message: str, help: str) -> Finding:
    reason = (Evidence("reason given", comment.reason),) if comment.reason else ()
    return Finding(
        code=SL001.code,
        name=SL001.name,
        severity=SL001.severity,
        message=message,
        at=comment.at,
        label="suppresses nothing",
        evidence=reason,
        help=help,
    )
