"""Which rules run, on a list of rules made for the test."""

import pytest

from steplens.errors import BadSetting
from steplens.rules import RULES, selection
from steplens.rules.base import SECTIONS, rule

PAGE = "A rule.\n\n" + "".join(f"    ## {section}\n    x\n" for section in SECTIONS)


def made(code, name, opinion=False):
    fold = type("Fold", (), {"__doc__": PAGE, "end": lambda self, event: None})
    return rule(code, name, "note", needs=("end",), opinion=opinion)(fold)


KNOWN = (
    made("SL101", "step-in-eval-mode"),
    made("SL201", "gradients-never-cleared"),
    made("SL202", "gradients-cleared-before-step"),
    made("SL901", "training-unshuffled", opinion=True),
)


def codes(*sets):
    return [each.code[2:] for each in selection.select(*sets, rules=KNOWN)]


def test_all_runs_everything_but_opinions():
    assert codes(("ALL",)) == ["101", "201", "202"]
    assert codes(("SL",)) == ["101", "201", "202"]


def test_codes_prefixes_and_names_select_in_any_case():
    assert codes(("sl2",)) == ["201", "202"]
    assert codes(("Step-In-Eval-Mode", "SL202")) == ["101", "202"]


def test_opinions_run_when_named():
    assert codes(("SL9",)) == ["901"]
    assert codes(("ALL",), (), ("training-unshuffled",)) == ["101", "201", "202", "901"]


def test_the_more_exact_word_wins_and_between_equals_the_ignore():
    assert codes(("ALL",), ("SL2",)) == ["101"]
    assert codes(("ALL",), ("SL2",), ("SL201",)) == ["101", "201"]
    assert codes(("gradients-never-cleared",), ("SL2",)) == ["201"]
    assert codes(("SL201",), ("gradients-never-cleared",)) == []
    assert codes(("ALL",), ("ALL",)) == []


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("gradient-never-cleared", "did you mean `gradients-never-cleared`?"),
        ("SL2011", "did you mean `SL201`?"),
        ("nonsense", "accepted is a code (SL201), the beginning of one (SL2), a name"),
    ],
)
def test_an_unknown_rule_is_refused_with_the_nearest_name(word, near):
    with pytest.raises(BadSetting) as caught:
        codes((word,))
    assert near in str(caught.value)
    assert f"no rule is called `{word}`" in str(caught.value)


def test_one_rule_is_found_by_code_or_name_and_never_by_prefix():
    assert selection.one("sl101", KNOWN).name == "step-in-eval-mode"
    with pytest.raises(BadSetting):
        selection.one("SL2", KNOWN)


def test_codes_and_names_are_each_used_once():
    assert len({each.code for each in RULES}) == len({each.name for each in RULES}) == len(RULES)
