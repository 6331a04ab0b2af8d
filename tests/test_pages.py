"""Every rule has its page in Chinese, and the pages in docs/ are those of the rules."""

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from click.testing import CliRunner

from steplens import cli
from steplens.rules import RULES, catalogue, pages

ROOT = Path(__file__).parent.parent
CHINESE = re.compile(r"[\u4e00-\u9fff]")
PROSE = (0, 1, 4)  # of the five sections; the others are code


def parts(page):
    """The page's summary, its headings, and the text under each."""
    summary, *rest = re.split(r"^## ", page, flags=re.MULTILINE)
    split = [part.partition("\n") for part in rest]
    return summary.strip(), tuple(head for head, _, _ in split), [text for _, _, text in split]


def blocks(page):
    """The page's code blocks, each as its tokens without comments."""
    found = re.findall(r"(?:^ {4}.*\n?)+", page, flags=re.MULTILINE)
    return [tokens(re.sub(r"^    ", "", block, flags=re.MULTILINE)) for block in found]


def tokens(code):
    skipped = (tokenize.COMMENT, tokenize.NL)
    return [
        each.string
        for each in tokenize.generate_tokens(io.StringIO(code).readline)
        if each.type not in skipped
    ]


def names(page):
    return {" ".join(name.split()) for name in re.findall(r"`([^`]+)`", page)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_chinese_page_says_what_the_english_one_says(rule):
    english, chinese = rule.page, pages.page(rule, "zh")
    assert pages.file(rule.name, "zh").is_file()
    summary, headings, texts = parts(chinese)
    assert headings == pages.HEADINGS["zh"]
    assert [CHINESE.search(said) is not None for said in (summary, *(texts[i] for i in PROSE))] == [
        True
    ] * 4
    assert len(blocks(english)) >= 2
    assert blocks(chinese) == blocks(english)
    missing = names(english) - names(chinese)
    assert not missing


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_summary_is_one_sentence_on_a_line_of_its_own(rule, lang):
    first, second, *_ = pages.page(rule, lang).splitlines()
    assert first == pages.summary(rule, lang)
    assert first.endswith({"en": ".", "zh": "。"}[lang])
    assert second == ""
    assert catalogue.cells(first) <= 100


def test_no_page_is_left_without_its_rule():
    known = {pages.file(rule.name, "zh") for rule in RULES}
    assert set(pages.file("x", "zh").parent.iterdir()) <= known


def test_a_page_that_is_missing_is_shown_in_english(monkeypatch):
    monkeypatch.setattr(pages, "file", lambda name, lang: Path("nowhere"))
    pages._translated.cache_clear()
    assert pages.page(RULES[0], "zh") == RULES[0].page
    pages._translated.cache_clear()


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_page_fits_the_terminal_and_keeps_every_word(rule, lang):
    shown = catalogue.explained(rule, lang, 80)
    prose = [line for line in shown.splitlines() if not line.startswith("    ")]
    assert max(map(catalogue.cells, prose)) <= 82  # closing marks may hang
    assert "".join(pages.page(rule, lang).split()) in "".join(shown.split())


@pytest.mark.parametrize(
    "environ", [{"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, {"STEPLENS_LANG": "zh"}]
)
def test_the_language_of_the_locale_is_spoken(environ):
    run = CliRunner(env={"LC_ALL": "C.UTF-8", "LC_MESSAGES": "", **environ})
    assert "## 它做什么" in run.invoke(cli.cli, ["explain", "SL201"]).output
    assert "SL2 梯度" in run.invoke(cli.cli, ["rules"]).output
    assert "SL2 gradients" in run.invoke(cli.cli, ["rules", "--lang", "en"]).output


def test_a_chinese_line_breaks_between_letters_but_not_before_a_full_stop():
    assert catalogue.wrapped("梯度没有清零。", 8) == ["梯度没有", "清零。"]
    assert catalogue.wrapped("调用 `a b` 之后", 9) == ["调用", "`a b` 之", "后"]


def test_the_pages_in_docs_are_those_of_the_rules():
    command = [sys.executable, "docs/make_rules.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
