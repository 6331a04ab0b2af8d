"""Every rule on every program: the comments say what must be found, and nothing else may be."""

from pathlib import Path

import pytest
import torch

import agreement
import watching
from steplens.rules import RULES

SHAPES = hasattr(torch.ones(1, requires_grad=True).sum().grad_fn, "_input_metadata")  # not in 2.4
FILES = sorted(watching.PROGRAMS.glob("*.py"))
CASES = [(path, name) for path in FILES for name in watching.functions(path)]
WITHOUT_PROGRAM = {
    "SL001",
    "SL701",
    "SL703",
    "SL704",
}  # tested with the suppressions, and on two ranks
NOTES = {
    "fine_samples_of_a_decoder_that_was_given_noise",
    "fine_word_vectors_copied_and_left_out",
    "fine_word_vectors_written_row_by_row",
    "fine_word_vectors_in_an_arrays_memory",
    "fine_attention_across_samples_by_hand",
    "fine_several_heads_across_samples_by_hand",
    "fine_features_of_pictures_joined_across_samples",
    "bad_frozen_by_no_grad_yet_held",
    "bad_spare_layer_judged_without_recording",
}

DROPPED = {"bad_fed_to_a_helper_under_a_decorator", "bad_graph_dropped_by_a_block"}


@pytest.mark.parametrize(
    ("path", "name"), CASES, ids=[f"{path.stem}-{name}" for path, name in CASES]
)
def test_findings_are_those_announced_and_the_account_agrees(path: Path, name: str) -> None:
    function = getattr(watching.load(path), name)
    report = watching.watched(function)
    found, expected = watching.found(report), watching.expected(path, function)
    if SHAPES:
        assert found == expected, report.text("full")
    else:  # some causes cannot be found then; nothing else may be but the NaN they led to
        assert {code for _, code in found - expected} <= {"SL601"}, report.text("full")
    assert len(report.findings) == len(found), report.text("full")  # one for each
    assert not agreement.disagreements(report), report.text("full")
    assert agreement.survives(report)


@pytest.mark.parametrize(
    ("path", "name"),
    [(path, name) for path, name in CASES if name in NOTES],
    ids=[name for _, name in CASES if name in NOTES],
)
def test_what_may_be_meant_is_a_note(path: Path, name: str) -> None:
    findings = watching.watched(getattr(watching.load(path), name)).findings
    assert [finding.severity for finding in findings] == ["note"] or not (SHAPES or findings)


@pytest.mark.parametrize(
    ("path", "name"),
    [(path, name) for path, name in CASES if name in DROPPED],
    ids=[name for _, name in CASES if name in DROPPED],
)
def test_what_cannot_be_meant_is_no_note(path: Path, name: str) -> None:
    findings = watching.watched(getattr(watching.load(path), name)).findings
    assert [finding.severity for finding in findings] == ["warning"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_every_rule_has_a_bad_a_good_and_a_fine_program(rule) -> None:
    if rule.code in WITHOUT_PROGRAM:
        return
    path = watching.PROGRAMS / f"{rule.name.replace('-', '_')}.py"
    kinds = {name.partition("_")[0] for name in watching.functions(path)}
    assert kinds == {"bad", "good", "fine"}


def test_codes_and_names_are_distinct() -> None:
    assert len({rule.code for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
