"""The rules' pages in each language: English from the docstrings, Chinese from ``zh/``."""

from functools import cache
from pathlib import Path

from steplens.rules.base import SECTIONS, Rule

HEADINGS = {
    "en": SECTIONS,
    "zh": ("它做什么", "为什么不好", "示例", "应该这样写", "何时没有问题"),
}
FAMILIES = {
    "en": {
        "SL0": "steplens itself",
        "SL1": "modes",
        "SL2": "gradients",
        "SL3": "optimizer and schedule",
        "SL4": "graph and memory",
        "SL5": "loss and data",
        "SL6": "numerics",
        "SL7": "ranks",
        "SL8": "saved state",
        "SL9": "opinions",
    },
    "zh": {
        "SL0": "steplens 自身",
        "SL1": "模式",
        "SL2": "梯度",
        "SL3": "优化器与学习率调度",
        "SL4": "计算图与显存",
        "SL5": "损失与数据",
        "SL6": "数值",
        "SL7": "多进程",
        "SL8": "保存与恢复",
        "SL9": "个人偏好",
    },
}
SEVERITY_WORDS = {
    "en": {"error": "error", "warning": "warning", "note": "note"},
    "zh": {"error": "错误", "warning": "警告", "note": "提示"},
}
RESTS = {"en": "Rests on what the lab decides: ", "zh": "依据实验室判定的论断："}
OPINION = {"en": "off by default", "zh": "默认关闭"}


def page(rule: Rule, lang: str = "en") -> str:
    """A rule's page; the English one where a language has none yet."""
    return (_translated(rule.name, lang) if lang != "en" else "") or rule.page


def summary(rule: Rule, lang: str = "en") -> str:
    """The page's first line: the rule in one sentence."""
    return page(rule, lang).partition("\n")[0]


def file(name: str, lang: str) -> Path:
    """Where the page of a translated rule lies."""
    return Path(__file__).parent / lang / f"{name.replace('-', '_')}.md"


def family(rule: Rule, lang: str = "en") -> str:
    """What a rule is about, as ``SL2 gradients``."""
    code = rule.code[:3]
    return f"{code} {FAMILIES[lang].get(code, '')}".rstrip()


def severity(rule: Rule, lang: str = "en") -> str:
    """The severity in words, with a word for rules that are off by default."""
    word = SEVERITY_WORDS[lang][rule.severity.value]
    comma = {"en": ", ", "zh": "，"}[lang]
    return f"{word}{comma}{OPINION[lang]}" if rule.opinion else word


@cache
def _translated(name: str, lang: str) -> str:
    try:
        return file(name, lang).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
