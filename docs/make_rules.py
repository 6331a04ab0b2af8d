"""Writes docs/rules and docs/zh/rules from the rules' own pages, with a table of all rules each.

With ``--check`` nothing is written, and the exit status is 1 when a file is out of date.
"""

import re
import sys
from pathlib import Path

from writing import put

from steplens.lab import recorded
from steplens.rules import RULES, pages
from steplens.rules.base import Rule

DOCS = Path(__file__).resolve().parent
FOLDERS = {"en": DOCS / "rules", "zh": DOCS / "zh" / "rules"}
MADE = {
    "en": "<!-- Made by docs/make_rules.py from the rule's docstring. -->",
    "zh": "<!-- 由 docs/make_rules.py 根据 src/steplens/rules/zh 生成。 -->",
}
TITLES = {"en": "The rules", "zh": "规则一览"}
INTRO = {
    "en": "`steplens explain SL201` prints the page of a rule, `steplens rules` this list. "
    "[中文](../zh/rules/README.md)",
    "zh": "`steplens explain SL201 --lang zh` 显示一条规则的说明，`steplens rules --lang zh` "
    "列出全部规则。[English](../../rules/README.md)",
}
TREE = """```{toctree}
:hidden:
:glob:

SL*
```
"""  # the site's tree of pages
COLUMNS = {"en": ("code", "name", "severity", "finds"), "zh": ("代码", "名称", "级别", "发现什么")}
OTHER = {"en": ("zh", "中文", "../zh/rules/"), "zh": ("en", "English", "../../rules/")}


def made() -> dict[Path, str]:
    """All files, with their text."""
    files: dict[Path, str] = {}
    for lang, folder in FOLDERS.items():
        files[folder / "README.md"] = index(lang)
        for rule in RULES:
            files[folder / name(rule)] = page(rule, lang)
    return files


def name(rule: Rule) -> str:
    return f"{rule.code}-{rule.name}.md"


def page(rule: Rule, lang: str) -> str:
    _, word, folder = OTHER[lang]
    head = (
        f"{MADE[lang]}\n# {rule.code} {rule.name}\n\n"
        f"{pages.severity(rule, lang)} · {pages.family(rule, lang)} · "
        f"[{TITLES[lang]}](README.md) · [{word}]({folder}{name(rule)})\n"
    )
    if rule.claims:
        links = (f"[{each}](../lab/{recorded.group_of(each)}.md#{each})" for each in rule.claims)
        head += f"\n{pages.RESTS[lang]}{', '.join(links)}\n"
    return f"{head}\n{fenced(pages.page(rule, lang))}\n"


def index(lang: str) -> str:
    rows = [MADE[lang], f"# {TITLES[lang]}", "", INTRO[lang]]
    family = ""
    for rule in RULES:
        if pages.family(rule, lang) != family:
            family = pages.family(rule, lang)
            rows += ["", f"## {family}", "", row(*COLUMNS[lang]), row(*["---"] * 4)]
        told = pages.summary(rule, lang)
        link = f"[{rule.name}]({name(rule)})"
        rows.append(row(rule.code, link, pages.severity(rule, lang), told))
    return "\n".join([*rows, "", TREE])


def row(*words: str) -> str:
    return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |"


def fenced(text: str) -> str:
    """A page's indented code as fenced code, with a blank line around headings and code."""

    def fence(match: re.Match[str]) -> str:
        code = re.sub(r"^    ", "", match[0].rstrip("\n"), flags=re.MULTILINE)
        return f"```python\n{code}\n```\n"

    text = re.sub(r"(?:^ {4}.*\n?|^\n(?= {4}))+", fence, text, flags=re.MULTILINE)
    return re.sub(r"^(## .+)\n(?!\n)", r"\1\n\n", text, flags=re.MULTILINE).rstrip()


def main() -> int:
    files = made()
    return put(files, FOLDERS.values(), "make_rules.py")


if __name__ == "__main__":
    sys.exit(main())
