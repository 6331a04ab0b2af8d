"""The lab: every claim is complete, is decided by what it measures, and leaves nothing behind."""

import random
import re

import numpy
import pytest
import torch

from steplens.errors import SteplensError
from steplens.lab import base, recorded, running, watching, words
from steplens.lab.base import Verdict, claim
from steplens.lab.claims import BY_NAME, CLAIMS, GROUPS, MODULES
from steplens.lab.isolation import as_it_was
from steplens.lab.notes import NOTES
from steplens.rules import RULES

HERE = [each for each in CLAIMS if not each.ranks]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def code(text):
    return set(re.findall(r"`([^`]+)`", text))


def state():
    """What an experiment has to leave as it was."""
    return (
        torch.get_rng_state().tolist(), random.getstate(), numpy.random.get_state()[1].tolist(),
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(),
        torch.get_num_threads(), torch.is_autocast_enabled("cpu"), torch.is_anomaly_enabled(),
    )  # fmt: skip


@pytest.mark.parametrize("each", HERE, ids=lambda each: each.name)
def test_a_claim_comes_to_its_recorded_verdict_and_leaves_no_trace(each):
    before = state()
    outcome = running.run(each)
    assert not outcome.fault
    assert outcome.verdict == outcome.expected.verdict, outcome.measured
    assert outcome.as_recorded
    assert state() == before


def test_there_are_enough_claims_and_every_note_is_decided():
    assert len(CLAIMS) >= 40
    assert {each.note for each in CLAIMS} - {None} == set(NOTES) == set(range(1, 14))


def test_the_notes_that_are_wrong_come_out_wrong():
    def verdict(name):
        return running.run(BY_NAME[name]).verdict

    assert verdict("eval-skips-the-backward-pass") is Verdict.NOT  # note 3
    assert verdict("backward-under-no-grad-raises") is Verdict.ONLY_IF  # note 7
    assert verdict("step-clears-the-gradients") is Verdict.NOT  # note 8
    assert verdict("model-and-optimizer-clear-the-same") is Verdict.NOT  # note 13
    stale = running.run(BY_NAME["moments-outlive-values"]).measured["stale"]
    assert stale == pytest.approx(0.4826, abs=1e-4)  # the notebook's last number, 0.5174


def test_the_list_and_the_record_name_the_same_claims():
    assert recorded.names() == tuple(each.name for each in CLAIMS)
    assert tuple(recorded.groups()) == GROUPS
    assert len(BY_NAME) == len(CLAIMS)


def test_every_claim_that_a_rule_rests_on_exists():
    missing = {(rule.code, name) for rule in RULES for name in rule.claims if name not in BY_NAME}
    assert not missing


@pytest.mark.parametrize("each", CLAIMS, ids=lambda each: each.name)
def test_a_claim_is_complete_in_both_languages(each):
    told = words._texts(each.group, "zh")[each.name]
    fields = {"sentence", "number", "truth"} | ({"only_if"} if each.only_if else set())
    assert set(told) == fields
    assert all(CHINESE.search(told[field]) for field in fields - {"number"})
    assert base.fields(told["number"]) == base.fields(each.number)
    for field in fields - {"number"}:
        assert code(getattr(each, field)) <= code(told[field])
    assert set(watching.criteria(each)) == {"holds"} | ({"elsewhere"} if each.only_if else set())
    lines = [line for line in watching.source(each).splitlines() if line.strip()]
    assert len(lines) < 10


def test_no_translation_is_left_without_its_claim():
    for group, module in zip(GROUPS, MODULES, strict=True):
        named = set(words._texts(group, "zh")) - {"group"}
        assert named == {each.name for each in CLAIMS if each.group == group}
        assert CHINESE.search(words.intro(group, module.__doc__, "zh"))
    assert {int(number) for number in words._texts("notes", "zh")} == set(NOTES)
    assert set(words.SAID["zh"]) == set(words.SAID["en"])
    assert set(words.HELPERS["zh"]) == set(words.HELPERS["en"])


def made(**changes):
    def small_claim():
        return {"x": 1}

    given = {"number": "{x}", "truth": "It is so.", "holds": lambda x: x == 1} | changes
    return claim(given.pop("sentence", "It is."), **given)(small_claim)


def test_a_verdict_is_computed_from_what_is_measured():
    assert made().decide({"x": 1}) is Verdict.HOLDS
    assert made().decide({"x": 2}) is Verdict.NOT
    partly = made(only_if="x is 1", elsewhere=lambda y: y == 1)
    assert partly.decide({"x": 1, "y": 2}) is Verdict.ONLY_IF
    assert partly.decide({"x": 1, "y": 1}) is Verdict.HOLDS
    assert partly.decide({"x": 2, "y": 1}) is Verdict.NOT


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sentence": "no stop"}, "its sentence is 'no stop'"),
        ({"truth": ""}, "its truth is ''"),
        ({"number": "always 3"}, "it names what is measured"),
        ({"only_if": "x is 1"}, "`only_if` and `elsewhere` go together"),
    ],
)
def test_a_claim_that_is_not_complete_is_refused(changes, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        made(**changes)


def test_an_experiment_that_is_too_long_is_refused():
    body = "\n".join(f"    x{number} = {number}" for number in range(10))
    names = {"__name__": "long"}
    exec(f"def long():\n{body}", names)
    with pytest.raises(ValueError, match="10 lines; at most 9"):
        claim("It is.", number="{x}", truth="So.", holds=lambda x: x)(names["long"])


def test_an_experiment_that_fails_is_no_verdict_and_is_news():
    def fails():
        raise RuntimeError("no such luck")

    outcome = running.run(BY_NAME["step-skips-none"], fails)
    assert (outcome.verdict, outcome.fault) == (Verdict.UNDECIDED, "RuntimeError: no such luck")
    assert not outcome.as_recorded


def test_what_this_torch_has_not_got_is_no_news():
    def lacks():
        from torch import nothing_of_that_name  # noqa: F401

    outcome = running.run(BY_NAME["step-skips-none"], lacks)
    assert outcome.verdict is Verdict.UNDECIDED
    assert outcome.as_recorded


def test_a_record_holds_until_the_next_version_named(monkeypatch):
    table = {"a": {"b": {"2.4": "holds", "2.10": "does not hold"}}}
    monkeypatch.setattr(recorded, "_table", lambda: table)
    found = [recorded.expected("b", torch) for torch in ("2.4.1", "2.9.0+cu128", "2.10.0", "3.0a0")]
    assert [each.verdict for each in found] == ["holds", "holds", *["does not hold"] * 2]
    assert all(each.own for each in found)
    assert recorded.expected("b", "2.3.0") == recorded.Record("2.10", "does not hold", own=False)


def test_an_unknown_claim_is_refused_with_the_nearest_name():
    with pytest.raises(SteplensError, match="did you mean `step-skips-none`"):
        recorded.chosen(("step-skips-nun",))
    assert recorded.chosen(("modes", "eval-is-not-no-grad")) == recorded.groups()["modes"]


def disturb():
    with as_it_was():
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(3)
        random.random()
        numpy.random.rand()
        raise KeyError


def test_a_block_that_fails_leaves_the_process_as_it_was():
    before = state()
    with pytest.raises(KeyError):
        disturb()
    assert state() == before


WATCHED = ("backward-adds-to-grad", "moments-outlive-values", "a-seed-fixes-the-weights",
           "no-grad-decorates-a-generator", "a-scaler-skips-infinite-steps")  # fmt: skip


@pytest.mark.parametrize("name", WATCHED)
def test_a_watched_experiment_measures_the_same_and_tells_what_its_lines_changed(name):
    plain, watched = running.run(BY_NAME[name]), watching.watch(BY_NAME[name])
    assert watched.measured == plain.measured
    assert watched.report.faults == []
    assert len(watched.report.timeline.events) >= 2  # the end, and what was seen before it
    lines = len(watching.source(BY_NAME[name]).splitlines())
    sites = [event.site for event in watched.report.timeline.events if event.site]
    assert all(1 <= site.line <= lines for site in sites)
