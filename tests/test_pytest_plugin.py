"""The pytest plugin: silent until asked; a finding fails the test with the text view."""

import re
import sys

import pytest

import steplens

pytest_plugins = ["pytester"]

TRAINING = """
import pytest
import torch
from torch import nn

def train(clear=True):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        if clear:
            optimizer.zero_grad()
        model(torch.randn(4, 3)).pow(2).mean().backward()
        optimizer.step()
    return model
"""


@pytest.fixture
def tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run a file of tests in a process of its own, with the plugin named: the entry point of a
    checkout may be another's."""
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(source: str, *words: str, training: bool = True) -> pytest.RunResult:
        pytester.makepyfile((TRAINING if training else "") + source)
        return pytester.runpytest_subprocess("-p", "steplens.adapters.pytest", *words)

    return run


def test_nothing_is_said_and_torch_is_not_imported_until_asked(tests):
    source = """
import sys
def test_plain():
    assert "torch" not in sys.modules
    assert "steplens.check.session" not in sys.modules
"""
    done = tests(source, training=False)
    done.assert_outcomes(passed=1)
    assert "lens" not in re.sub("plugins:.*|rootdir:.*", "", done.stdout.str())


MANY = """
def test_unasked():
    train(clear=False)

@pytest.mark.steplens
def test_marked():
    train(clear=False)

@pytest.mark.steplens(allow="gradients-never-cleared")
def test_allowed():
    train(clear=False)

@pytest.mark.steplens(select=["SL3"])
def test_not_selected():
    train(clear=False)

def test_fixture(steplens_watch):
    train()
    assert not steplens_watch.findings
    assert steplens_watch.report.steps == 3
    train(clear=False)
    assert [found.code for found in steplens_watch.findings] == ["SL201"]

@pytest.fixture
def trained():
    return train(clear=False)

@pytest.mark.steplens
def test_made_by_a_fixture(trained):
    assert trained

@pytest.mark.steplens
def test_that_fails_by_itself():
    train(clear=False)
    assert 1 == 2

@pytest.mark.steplens(severity="error")
def test_wrong_marker():
    pass

@pytest.mark.steplens
@pytest.mark.skip
def test_skipped():
    pass
"""


@pytest.mark.parametrize("words", [("-q",), ("-n", "2", "-p", "xdist.plugin")])
def test_a_finding_fails_the_test_that_asked(tests, words):
    done = tests(MANY, *words)
    done.assert_outcomes(passed=3, failed=4, errors=1, skipped=1)
    assert "steplens found SL201 gradients-never-cleared" in done.stdout.str()
    said = done.stdout.str()
    told = said.partition("short test summary info")[0]  # where CI is set, pytest tells it again
    assert told.count("error[SL201 gradients-never-cleared]") == 4
    assert "optimizer.step()" in said
    assert "assert 1 == 2" in said
    assert "the marker has no `severity`" in said
    for name in ("test_marked", "test_fixture", "test_made_by_a_fixture"):
        assert re.search(rf"FAILED \S*::{name}\b", said)


def test_all_tests_are_watched_on_request_at_the_severity_asked_for(tests):
    source = """
def test_one():
    train(clear=False)

def test_note():
    model = train()
    model.spare = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        model(torch.randn(4, 3)).pow(2).mean().backward(retain_graph=True)
        optimizer.step()
"""
    tests(source, "--steplens").assert_outcomes(failed=1, passed=1)
    done = tests(source, "--steplens", "--steplens-fail-on", "note")
    done.assert_outcomes(failed=2)


def test_snapshots_that_differ_are_told_apart(tests):
    source = """
import steplens
def test_evaluation_changes_nothing():
    model = train()
    before = steplens.snapshot(model)
    model.eval()
    with torch.no_grad():
        model.bias += 1
    assert steplens.snapshot(model) == before
"""
    done = tests(source, "-q")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        ["E*the training state differs in 2 places", "E*bias*->*", "E*Linear*eval -> train*"]
    )


def test_a_snapshot_equals_another_of_the_same_bits():
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0))
    optimizer = torch.optim.Adam(model.parameters())
    before = steplens.snapshot(model, optimizer)
    with torch.no_grad():
        model[0].bias += 0  # written, and the same
    assert steplens.snapshot(model, optimizer) == before
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    after = steplens.snapshot(model, optimizer)
    assert after != before
    changed = {change.subject for change in before.delta(after).changes}
    assert {"0.weight", "0.weight.grad", "Adam.step[0.bias]"} <= changed
