"""When values are read: the looks that are free, whatever the machine does in between."""

from collections.abc import Callable

import pytest

from steplens.record.cadence import Cadence

FREE_STEPS = {10, 16, 25, 38, 58, 88, 133, 200}


def looks(cost: Callable[[int], float], budget: float = 1e-9) -> set[int]:
    """The steps from the tenth to the 200th that are looked at, when a look costs so much and the
    budget pays for none."""
    cadence = Cadence(10, budget)
    found: set[int] = set()
    for step in range(201):
        if cadence.looking:
            found.add(step)
            cadence.spend(cost(step))
        cadence.advance()
    assert set(range(10)) <= found
    return {step for step in found if step >= 10}


def test_looks_are_free_at_steps_half_as_far_again_each_time() -> None:
    assert looks(lambda _: 1e-3) == FREE_STEPS


@pytest.mark.parametrize("step", [9, *sorted(FREE_STEPS - {200})])
def test_a_hiccup_in_one_look_leaves_the_others_free(step: int) -> None:
    assert looks(lambda at: 5.0 if at == step else 1e-3) == FREE_STEPS


def test_dear_looks_are_not_free() -> None:
    assert looks(lambda _: 5.0) == set()


def test_looks_that_become_dear_are_free_no_longer() -> None:
    assert looks(lambda at: 1e-3 if at < 20 else 5.0) == {10, 16, 25, 38}


def test_no_budget_is_no_look() -> None:
    assert looks(lambda _: 1e-3, budget=0.0) == set()
