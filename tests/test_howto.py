"""The blocks of code in the README and the docs: they parse, and those of the how-tos do what is
said of them. (What commands print is tested in test_readme, the workflow in test_preflight.)"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from steplens import config
from steplens.errors import SteplensError

ROOT = Path(__file__).parent.parent
# a page of the lab shows parts of functions, which test_lab runs
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if "lab" not in p.parts),
]
PARSERS = {
    "python": lambda text: compile(text, "<block>", "exec"),
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "json": json.loads,
}
# what the tests of the how-to take for granted
TESTED = """
import pytest
import torch
from torch import nn

def train_one_epoch(accumulate=1):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        for _ in range(accumulate):
            model(torch.randn(4, 3)).pow(2).mean().backward()
        optimizer.step()

@pytest.fixture
def model():
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.bias.fill_(0.1204)
    return model

@pytest.fixture
def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)

def evaluate(model):
    model.eval()
    with torch.no_grad():
        model(torch.ones(1, 3))
    model.train()
"""
CARELESS = """
def evaluate(model):
    model.eval()
    with torch.no_grad():
        model.bias += 1
"""


def blocks(page: Path) -> list[tuple[int, str, str]]:
    """The fenced blocks of a page: line, language and text."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [
        (t.map[0] + 1, t.info.strip(), t.content) for t in tokens if t.type == "fence" and t.map
    ]


def howto(name: str, language: str) -> list[str]:
    return [text for _, said, text in blocks(ROOT / "docs/howto" / name) if said == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_parse_in_the_language_they_are_marked_with(page):
    wrong = []
    for line, language, text in blocks(page):
        if language in PARSERS:
            try:
                PARSERS[language](text)
            except (SyntaxError, ValueError, yaml.YAMLError) as error:
                wrong.append(f"line {line}: {error}")
    assert not wrong


def pytested(folder: Path, source: str) -> str:
    (folder / "test_block.py").write_text(source)
    words = ["-p", "steplens.adapters.pytest", "-p", "no:cacheprovider", "--color=no"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "test_block.py"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "PATH": "",
             "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )  # fmt: skip
    return done.stdout


def test_the_howto_on_pytest_runs_as_written(tmp_path):
    tests = "".join(howto("pytest.md", "python"))
    assert "4 passed" in pytested(tmp_path, TESTED + tests)


def test_the_howto_on_pytest_shows_what_a_failing_assert_prints(tmp_path):
    _, snapshots = howto("pytest.md", "python")
    (shown,) = howto("pytest.md", "")
    said = pytested(tmp_path, TESTED + CARELESS + snapshots)
    assert shown in said


def test_the_settings_shown_are_accepted_and_the_error_is_the_one_shown(tmp_path):
    (shown,) = howto("settings.md", "toml")
    project = tmp_path / "pyproject.toml"
    project.write_text(shown)
    assert config.load({}, {}, tmp_path).lines == 20
    project.write_text(re.sub(r"^fail-on ", "fail_on_ ", shown, flags=re.MULTILINE))
    with pytest.raises(SteplensError) as caught:
        config.load({}, {}, tmp_path)
    said = f"steplens: {caught.value}".replace(str(project), "pyproject.toml")
    assert said in [text.strip() for text in howto("settings.md", "")]
