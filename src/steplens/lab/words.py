"""What the lab says in each language: a claim's own words, and the views'. No torch."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from steplens.lab.base import Claim, Verdict
from steplens.lab.notes import NOTES

FOLDER = Path(__file__).parent / "claims"


@dataclass(frozen=True, slots=True)
class Words:
    """A claim's sentence, number, truth and condition in one language."""

    sentence: str
    number: str
    truth: str
    only_if: str


VERDICTS = {
    "en": {
        Verdict.HOLDS: "holds",
        Verdict.ONLY_IF: "holds only if",
        Verdict.NOT: "does not hold",
        Verdict.UNDECIDED: "not decided",
    },
    "zh": {
        Verdict.HOLDS: "成立",
        Verdict.ONLY_IF: "有条件成立",
        Verdict.NOT: "不成立",
        Verdict.UNDECIDED: "未判定",
    },
}
SHORT = {
    "en": {
        Verdict.HOLDS: "holds",
        Verdict.ONLY_IF: "only if",
        Verdict.NOT: "not so",
        Verdict.UNDECIDED: "unknown",
    },
    "zh": {
        Verdict.HOLDS: "成立",
        Verdict.ONLY_IF: "有条件",
        Verdict.NOT: "不成立",
        Verdict.UNDECIDED: "未判定",
    },
}
HELPERS = {
    "en": {
        "TestModel": "the reference notebook's model: `nn.Linear(2, 1)` named `mlp`, weights 1, "
        "bias 0; `reset()` puts them back",
        "X": "`torch.tensor([[0.0, 2.0]])`",
        "Y": "`torch.tensor([[1.0]])`",
        "raised": "the error that a call raises, or `no error`",
        "nodes": "the number of nodes in the graph behind a result",
        "cleared": "how many of the parameters hold no gradient",
    },
    "zh": {
        "TestModel": "参考笔记本里的模型：名为 `mlp` 的 `nn.Linear(2, 1)`，权重为 1，偏置为 0；"
        "`reset()` 恢复原值",
        "X": "`torch.tensor([[0.0, 2.0]])`",
        "Y": "`torch.tensor([[1.0]])`",
        "raised": "一次调用抛出的错误，没有则为 `no error`",
        "nodes": "结果背后的计算图有多少个节点",
        "cleared": "有多少个参数没有梯度",
    },
}
SAID = {
    "en": {
        "author": "author's note {n}",
        "in words": "author's note {n}, word for word",
        "bracket": " ({})",
        "experiment": "experiment, with what each line changed",
        "unwatched": "experiment",
        "rank": "experiment on {world} processes of its own (gloo, CPU), with what each line "
        "changed on rank 0",
        "no lines": "its lines were not followed: a debugger or a coverage tool traces "
        "this process",
        "run": "run {n}",
        "runs left": "... {n} more runs",
        "changes left": "... and {n} more",
        "measured": "measured",
        "decided by": "decided by",
        "yes": "yes",
        "no": "no",
        "where": "where the condition is met",
        "elsewhere": "where it is not",
        "verdict": "verdict",
        "truth": "what is true",
        "rules": "rules on it",
        "found": "a watched run",
        "finding": "finds {rule} at line {line}",
        "recorded": "as recorded for torch {version}",
        "newest": "as recorded for torch {version}; there is no record for this one",
        "news": "news: recorded for torch {version} is `{verdict}`",
        "unrecorded": "news: nothing is recorded for this claim",
        "no error": "no error",
        "both": "{value} on each rank",
        "of rank": "{value} on rank {n}",
        "join": ", ",
        "counts": "{n} claims on torch {torch}: {holds} hold, {only_if} hold only under a "
        "condition, {no} do not hold",
        "undecided": ", {n} could not be decided here",
        "all as recorded": "all as recorded for torch {version}",
        "all as newest": "all as recorded for torch {version}; there is no record for this one",
        "not as recorded": "{n} not as recorded: {names}",
        "gpus": "not tried: several GPUs (this machine has {n}); the claims on ranks ran on "
        "{world} processes with gloo on the CPU",
        "gpus unused": "not tried: several GPUs (this machine has {n}); every experiment ran on "
        "the CPU",
        "next": "next: `steplens lab {name}` tells one whole story; `steplens lab {group}` lists "
        "one group",
        "waiting": "waiting for the {world} processes that decide the claims on ranks ...",
        "colon": ": ",
    },
    "zh": {
        "author": "作者的笔记 {n}",
        "in words": "作者的笔记 {n}，原文",
        "bracket": "（{}）",
        "experiment": "实验，以及每一行改变了什么",
        "unwatched": "实验",
        "rank": "实验，在 {world} 个独立进程上（gloo，CPU），以及每一行在 rank 0 上改变了什么",
        "no lines": "没有逐行跟踪：调试器或覆盖率工具正在跟踪本进程",
        "run": "第 {n} 次",
        "runs left": "……另有 {n} 次",
        "changes left": "……另有 {n} 项",
        "measured": "测得",
        "decided by": "判据",
        "yes": "是",
        "no": "否",
        "where": "满足条件时",
        "elsewhere": "不满足时",
        "verdict": "结论",
        "truth": "实际情况",
        "rules": "依据它的规则",
        "found": "被观察时",
        "finding": "第 {line} 行会发现 {rule}",
        "recorded": "与 torch {version} 的记录一致",
        "newest": "与 torch {version} 的记录一致；本版本尚无记录",
        "news": "新情况：torch {version} 的记录是“{verdict}”",
        "unrecorded": "新情况：这条论断没有记录",
        "no error": "没有报错",
        "both": "每个 rank 上都是 {value}",
        "of rank": "rank {n} 上是 {value}",
        "join": "，",
        "counts": "torch {torch} 上的 {n} 条论断："
        "{holds} 条成立，{only_if} 条有条件成立，{no} 条不成立",
        "undecided": "，{n} 条在这里无法判定",
        "all as recorded": "全部与 torch {version} 的记录一致",
        "all as newest": "全部与 torch {version} 的记录一致；本版本尚无记录",
        "not as recorded": "{n} 条与记录不一致：{names}",
        "gpus": "没有试的：多块 GPU（本机有 {n} 块）；"
        "关于多进程的论断在 CPU 上用 gloo 跑了 {world} 个进程",
        "gpus unused": "没有试的：多块 GPU（本机有 {n} 块）；所有实验都在 CPU 上进行",
        "next": "下一步：`steplens lab {name}` 讲完整的一条；`steplens lab {group}` 列出一组",
        "waiting": "正在等待判定多进程论断的 {world} 个进程……",
        "colon": "：",
    },
}


def words(claim: Claim, lang: str = "en") -> Words:
    """The claim's words; the English ones where a language has none yet."""
    own = Words(claim.sentence, claim.number, claim.truth, claim.only_if)
    found = _texts(claim.group, lang).get(claim.name, {}) if lang != "en" else {}
    return Words(
        found.get("sentence", own.sentence),
        found.get("number", own.number),
        found.get("truth", own.truth),
        found.get("only_if", own.only_if),
    )


def title(group: str, lang: str = "en") -> str:
    """The group's name for people."""
    found = _texts(group, lang).get("group", {}) if lang != "en" else {}
    return found.get("title", group.replace("-", " "))


def intro(group: str, doc: str, lang: str = "en") -> str:
    """What the group is about: its module's docstring, or the translation."""
    found = _texts(group, lang).get("group", {}) if lang != "en" else {}
    return found.get("intro", " ".join(doc.split()))


def note(number: int, lang: str = "en") -> str:
    """A note of the reference notebook in the words of its author."""
    found = _texts("notes", lang) if lang != "en" else {}
    return found.get(str(number), NOTES[number])


def file(group: str, lang: str) -> Path:
    """Where the translated words of a group lie."""
    return FOLDER / lang / f"{group.replace('-', '_')}.toml"


@cache
def _texts(group: str, lang: str) -> dict[str, Any]:
    try:
        return tomllib.loads(file(group, lang).read_text(encoding="utf-8"))
    except OSError:
        return {}
