"""When values are read: the looks that are free, whatever the machine does in between."""

from collections.abc import Callable, Collection

import pytest

from steplens.record.cadence import Cadence

FREE_STEPS = {10, 16, 25, 38, 58, 88, 133, 200}


def looks(
    cost: Callable[[int], float], budget: float = 1e-9, first_steps: Collection[int] = ()
) -> set[int]:
    """The steps from the tenth to the 200th that are looked at, when a look costs so much and the
    budget pays for none; some of them are an optimizer's first."""
    cadence = Cadence(10, budget)
    found: set[int] = set()
    for step in range(201):
        if cadence.looking:
            found.add(step)
            cadence.spend(cost(step))
        if step in first_steps:
            cadence.phase()
        cadence.advance()
    assert set(range(10)) <= found
    return {step for step in found if step >= 10}


def test_looks_are_free_at_steps_half_as_far_again_each_time() -> None:
    assert looks(lambda _: 1e-3) == FREE_STEPS


@pytest.mark.parametrize("step", [9, *sorted(FREE_STEPS - {200})])
def test_a_hiccup_in_one_look_leaves_the_others_free(step: int) -> None:
    assert looks(lambda at: 5.0 if at == step else 1e-3) == FREE_STEPS


def test_looks_begin_anew_with_an_optimizer_beyond_the_window() -> None:
    early = {step for step in FREE_STEPS if step < 120}
    late = {120 + after for after in (1, 2, 3, 5, 8, 12, 18, 27, 41, 62)}
    assert looks(lambda _: 1e-3, first_steps={5, 120}) == early | late


def test_looks_begin_anew_with_a_few_optimizers_only() -> None:
    assert len(looks(lambda _: 1e-3, first_steps=set(range(200)))) < 24


def test_dear_looks_are_not_free() -> None:
    assert looks(lambda _: 5.0) == set()


def test_looks_that_become_dear_are_free_no_longer() -> None:
    assert looks(lambda at: 1e-3 if at < 20 else 5.0) == {10, 16, 25, 38}


def test_no_budget_is_no_look() -> None:
    assert looks(lambda _: 1e-3, budget=0.0) == set()
