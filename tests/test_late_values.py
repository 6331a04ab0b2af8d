"""Values that arrive later, as from a GPU: the same is found, on the same lines."""

from pathlib import Path

import pytest
import torch

from steplens.record import cadence, values
from watching import PROGRAMS, expected, found, functions, load, watched

RULES = (
    "not_finite", "grad_mode_left_off", "constant_loss", "exploding_gradients",
    "vanishing_gradients", "gradients_cleared_before_step", "symmetric_weights",
)  # fmt: skip
# a loss that is NaN for one step between looks, and leaves the parameters as they are
ONLY_AT_ONCE = {"bad_every_label_ignored_after_the_window", "bad_nothing_selected"}
CASES = [
    pytest.param(path, name, id=f"{path.stem}-{name}")
    for path in sorted(PROGRAMS.glob("*.py"))
    if path.stem in RULES
    for name in functions(path)
]


def far(_: torch.Tensor) -> bool:
    """Nothing is read without waiting."""
    return False


@pytest.mark.parametrize(("path", "name"), CASES)
def test_what_arrives_later_is_told_of_the_step_it_belongs_to(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (cadence, values):
        monkeypatch.setattr(module, "near", far)
    function = getattr(load(path), name)
    told = found(watched(function))
    assert told == (set() if name in ONLY_AT_ONCE else expected(path, function))
