"""Writes docs/lab, docs/zh/lab and examples/lab.ipynb from the claims, and what they came to here.

With ``--check`` nothing is written, and the exit status is 1 when a file is out of date. With
``--record`` the verdicts of the installed torch are recorded in verdicts.toml, and nothing else.
"""

import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from writing import put

from steplens.lab import recorded, shown, watching
from steplens.lab.claims import CLAIMS, GROUPS, MODULES
from steplens.lab.command import outcomes
from steplens.lab.running import Outcome
from steplens.lab.words import HELPERS, SAID, VERDICTS, intro, note, title, words
from steplens.rules import RULES

DOCS = Path(__file__).resolve().parent
FOLDERS = {"en": DOCS / "lab", "zh": DOCS / "zh" / "lab"}
NOTEBOOK = DOCS.parent / "examples" / "lab.ipynb"
VERSION = ".".join(torch.__version__.split(".")[:2])
HEAD = """\
# What each claim of the lab came to: first torch version measured -> verdict, which holds up to
# the next version named. `python docs/make_lab.py --record` adds what is new on this torch.
"""
MADE = {
    "en": "<!-- Made by docs/make_lab.py from the claims in src/steplens/lab/claims. -->",
    "zh": "<!-- 由 docs/make_lab.py 根据 src/steplens/lab/claims 生成。 -->",
}
TITLES = {"en": "The lab", "zh": "实验室"}
INTRO = {
    "en": "Claims about torch's training state, each decided by an experiment. `steplens lab` "
    "decides all of them on the torch that is installed, `steplens lab NAME` tells one whole "
    "story, with what each line changed, and the notebook `examples/lab.ipynb` "
    "walks through them in Jupyter. What stands here was measured on torch {version}. "
    "[中文](../zh/lab/README.md)",
    "zh": "关于 torch 训练状态的论断，每一条都由实验判定。`steplens lab --lang zh` 在已安装的 "
    "torch 上判定全部，`steplens lab NAME --lang zh` 讲完整的一条，以及每一行改变了什么；"
    "笔记本 `examples/lab.ipynb` 在 Jupyter 里逐条演示。"
    "这里的结果是在 torch {version} 上测得的。[English](../../lab/README.md)",
}
OTHER = {"en": ("中文", "../zh/lab/"), "zh": ("English", "../../lab/")}
COLUMNS = {"en": ("claim", "verdict", "measured"), "zh": ("论断", "结论", "测得")}


def made(found: Mapping[str, Outcome]) -> dict[Path, str]:
    """All files, with their text."""
    files = {NOTEBOOK: notebook()}
    for lang, folder in FOLDERS.items():
        files[folder / "README.md"] = index(found, lang)
        for group in GROUPS:
            files[folder / f"{group}.md"] = page(group, found, lang)
    return files


def index(found: Mapping[str, Outcome], lang: str) -> str:
    rows = [MADE[lang], f"# {TITLES[lang]}", "", INTRO[lang].format(version=VERSION)]
    for group in GROUPS:
        rows += ["", f"## [{title(group, lang)}]({group}.md)", "", row(*COLUMNS[lang])]
        rows.append(row(*["---"] * 3))
        for outcome in (found[name] for name in recorded.groups()[group]):
            name = outcome.claim.name
            told = words(outcome.claim, lang).sentence
            rows.append(row(f"[{told}]({group}.md#{name})", verdict(outcome, lang),
                            shown.sentence(outcome, lang)))  # fmt: skip
    tree = ["```{toctree}", ":hidden:", "", *GROUPS, "```"]  # the site's tree of pages
    return "\n".join([*rows, "", *tree]) + "\n"


def page(group: str, found: Mapping[str, Outcome], lang: str) -> str:
    module = MODULES[GROUPS.index(group)]
    other, folder = OTHER[lang]
    links = f"[{TITLES[lang]}](README.md) · [{other}]({folder}{group}.md)"
    about = intro(group, module.__doc__ or "", lang)
    rows = [MADE[lang], f"# {title(group, lang)}", "", f"{about} {links}"]
    for name in recorded.groups()[group]:
        rows += ["", *section(found[name], lang)]
    return "\n".join(rows) + "\n"


def section(outcome: Outcome, lang: str) -> list[str]:
    """One claim: sentence, note, experiment, numbers, verdict, truth, rules."""
    claim, said = outcome.claim, SAID[lang]
    told = words(claim, lang)
    rows = [f"## {claim.name}", "", f"**{told.sentence}**", ""]
    if claim.note is not None and note(claim.note, lang) != told.sentence:
        label = said["author"].format(n=claim.note)
        rows += [f"> {label}{said['colon']}{note(claim.note, lang)}", ""]
    elif claim.note is not None:
        rows += [f"> {said['in words'].format(n=claim.note)}", ""]
    rows += ["```python", watching.source(claim).rstrip(), "```", ""]
    facts = [(said["measured"], shown.sentence(outcome, lang))]
    asked = watching.criteria(claim)
    both = len(asked) > 1
    keys = (("holds", "where"), ("elsewhere", "elsewhere"))
    sides = [
        f"`{asked[key]}`" + (said["bracket"].format(said[word]) if both else "")
        for key, word in keys
        if key in asked
    ]
    facts.append((said["decided by"], said["join"].join(sides)))
    facts.append((said["verdict"], f"**{verdict(outcome, lang)}**"))
    facts.append((said["truth"], told.truth))
    rules = [rule for rule in RULES if claim.name in rule.claims]
    links = [f"[{r.code} {r.name}](../rules/{r.code}-{r.name}.md)" for r in rules]
    if links:
        facts.append((said["rules"], said["join"].join(links)))
    rows += [f"- {label}{said['colon']}{text}" for label, text in facts]
    return rows


def verdict(outcome: Outcome, lang: str) -> str:
    only_if = words(outcome.claim, lang).only_if
    text = VERDICTS[lang][outcome.verdict]
    if outcome.verdict != "holds only if":
        return text
    return f"{text} {only_if}" if lang == "en" else f"{text}{SAID[lang]['colon']}{only_if}"


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def notebook() -> str:
    """The claims as a notebook: each experiment as a cell that can be changed and run again."""
    cells = [
        markdown(
            "# The lab\n\nEvery claim below is a sentence about torch that could be wrong. Guess "
            "first: does it hold? Then run the cell: it makes the experiment, decides the claim by "
            "what was measured, and says what is true. Change an experiment and run it again.\n\n"
            "`steplens lab NAME` tells the same story in a terminal, with what each line changed."
        ),
        code(imports()),
        markdown("The experiments share a few helpers:\n\n" + "\n".join(
            f"- `{name}`: {text}" for name, text in HELPERS["en"].items()
        )),
    ]  # fmt: skip
    for group, module in zip(GROUPS, MODULES, strict=True):
        about = intro(group, module.__doc__ or "")
        cells.append(markdown(f"## {title(group).capitalize()}\n\n{about}"))
        claims = [claim for claim in CLAIMS if claim.group == group]
        for claim in claims:
            told = f"### {claim.name}\n\n{claim.sentence}"
            if claim.note is not None:
                told += f"\n\n*Note {claim.note} of the reference notebook.*"
            if claim.ranks:
                told += f"\n\n```python\n{watching.source(claim).rstrip()}\n```"
            cells.append(markdown(told))
            if not claim.ranks:
                cells.append(code(experiment(claim.experiment.__name__, watching.source(claim))))
        ranked = [claim.name for claim in claims if claim.ranks]
        if ranked:
            cells.append(markdown(
                "These need several processes, which the lab starts itself; it takes some seconds."
            ))  # fmt: skip
            cells.append(code("lab.decide(\n" + "".join(f'    "{n}",\n' for n in ranked) + ")"))
    for number, cell in enumerate(cells):
        cell["id"] = f"lab-{number:03}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def experiment(name: str, source: str) -> str:
    body = "".join(f"    {line}".rstrip() + "\n" for line in source.splitlines())
    return f"def {name}():\n{body}\n\nlab.decide({name})"


def imports() -> str:
    """What the claims' modules import, each line once."""
    found: dict[str, None] = {}
    helpers: set[str] = set()
    for module in MODULES:
        for node in ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module == "steplens.lab.helpers":
                helpers |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Import):
                found[ast.unparse(node)] = None
            elif isinstance(node, ast.ImportFrom) and node.module != "steplens.lab.base":
                for alias in node.names:
                    found[f"from {node.module} import {ast.unparse(alias)}"] = None
    first = [line for line in found if line.split()[1].split(".")[0] in sys.stdlib_module_names]
    rest = [line for line in found if line not in first]
    ours = (
        f"from steplens import lab\nfrom steplens.lab.helpers import {', '.join(sorted(helpers))}"
    )
    return "\n".join(sorted(first)) + "\n\n" + "\n".join(sorted(rest)) + "\n\n" + ours


def markdown(text: str) -> dict[str, object]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def code(text: str) -> dict[str, object]:
    return {
        "cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [],
        "source": text.splitlines(keepends=True),
    }  # fmt: skip


def record(found: Mapping[str, Outcome]) -> str:
    """verdicts.toml, with the verdicts that are new on this torch."""
    rows = [HEAD.rstrip()]
    for group in GROUPS:
        rows += ["", f"[{group}]"]
        for claim in (claim for claim in CLAIMS if claim.group == group):
            known = dict(recorded.history(claim.name))
            outcome = found[claim.name]
            fresh = not (outcome.expected.own and outcome.as_recorded)
            if not outcome.fault and fresh:
                known[VERSION] = outcome.verdict.value
            told = ", ".join(f'"{at}" = "{verdict}"' for at, verdict in known.items())
            rows.append(f"{claim.name} = {{ {told} }}")
    return "\n".join(rows) + "\n"


def main() -> int:
    found = {each.claim.name: each for each in outcomes([claim.name for claim in CLAIMS])}
    for outcome in found.values():
        if outcome.fault:
            print(f"{outcome.claim.name}: {outcome.fault}", file=sys.stderr)
            return 2
    if "--record" in sys.argv[1:]:
        recorded.FILE.write_text(record(found), encoding="utf-8")
        return 0  # the names are read once: run again for the pages
    files = made(found)
    return put(files, FOLDERS.values(), "make_lab.py")


if __name__ == "__main__":
    sys.exit(main())
