"""The lab's outcomes as JSON, for programs."""

import math
import sys
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import torch

from steplens import __version__
from steplens.lab import listing, shown, watching
from steplens.lab.ranks import WORLD
from steplens.lab.running import Outcome
from steplens.lab.words import note, title, words
from steplens.rules import RULES

FORMAT = 1


def render(outcomes: Sequence[Outcome], lang: str) -> str:
    """All that is known of each outcome. Numbers that are not finite are given as words."""
    document = {
        "format": FORMAT,
        "steplens": __version__,
        "torch": str(torch.__version__),
        "python": sys.version.split()[0],
        "processes": WORLD,
        "gpus": torch.cuda.device_count(),
        "not_tried": listing.gpus(outcomes, lang),
        "as_recorded": all(outcome.as_recorded for outcome in outcomes),
        "claims": [_entry(outcome, lang) for outcome in outcomes],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _entry(outcome: Outcome, lang: str) -> dict[str, Any]:
    claim, told = outcome.claim, words(outcome.claim, lang)
    entry: dict[str, Any] = {
        "name": claim.name,
        "group": claim.group,
        "title": title(claim.group, lang),
        "sentence": told.sentence,
        "note": {"number": claim.note, "text": note(claim.note, lang)} if claim.note else None,
        "experiment": watching.source(claim),
        "ranks": claim.ranks,
        "measured": _finite(dict(outcome.measured)),
        "number": shown.sentence(outcome, lang),
        "decided_by": watching.criteria(claim),
        "verdict": outcome.verdict.value,
        "only_if": told.only_if,
        "truth": told.truth,
        "recorded": {"torch": outcome.expected.torch, "verdict": outcome.expected.verdict},
        "as_recorded": outcome.as_recorded,
        "fault": outcome.fault,
        "seconds": round(outcome.seconds, 4),
        "rules": [rule.code for rule in RULES if claim.name in rule.claims],
    }
    if outcome.report is not None:
        entry["timeline"] = outcome.report.timeline
    return entry


def _finite(item: Any) -> Any:
    if isinstance(item, float) and not math.isfinite(item):
        return str(item)
    if isinstance(item, dict):
        return {name: _finite(each) for name, each in cast("dict[str, Any]", item).items()}
    if isinstance(item, list):
        return [_finite(each) for each in cast("list[Any]", item)]
    return item
