"""Newest: a dict that keeps so many entries."""

from steplens.model.newest import Newest


def test_the_oldest_goes_when_a_new_key_comes():
    newest = Newest[str, int](2)
    for place, key in enumerate("abc"):
        newest[key] = place
    assert dict(newest) == {"b": 1, "c": 2}


def test_a_key_that_is_there_keeps_its_place():
    newest = Newest[str, int](2)
    newest["a"] = newest["b"] = 0
    newest["a"] = 1
    assert list(newest.items()) == [("a", 1), ("b", 0)]
    newest["c"] = 0
    assert list(newest) == ["b", "c"]


def test_popped_and_set_again_it_is_the_newest():
    newest = Newest[str, int](2)
    newest["a"] = newest["b"] = 0
    newest["a"] = newest.pop("a") + 1
    newest["c"] = 0
    assert list(newest.items()) == [("a", 1), ("c", 0)]
