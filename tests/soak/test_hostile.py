"""Report files that were damaged, or made to do harm: one clear line, or a view that does none."""

import json
import os
import time
from functools import cache
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn

import steplens
from steplens.errors import BadReport
from steplens.model import codec
from steplens.views import VIEWS, show
from steplens.views.values import nested

SOAK = bool(os.environ.get("STEPLENS_SOAK"))
INPUTS = 100_000 if SOAK else 300
SECONDS = 60  # within which any file is read and shown, on the slowest machine
SETTINGS = settings(
    max_examples=INPUTS // 2,
    deadline=None,
    database=None,
    derandomize=not SOAK,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
HOSTILE: tuple[Any, ...] = (
    -1, 10**6, 2**63, -(2**63), 10**400, 1e308, -0.0, True, None, "", [], {}, [[]], {"": {}},
    "\x1b[2J\x1b]0;title\x07", "\x00", "\r\x1b[1A", "\u202eabc", "\ud7ff", "</script><b>", "%n%s",
    "../../etc/passwd", "a" * 5000, {"kind": "step"}, {"kind": "none"}, ["x"] * 300,
)  # fmt: skip
TERMINAL = ("full", "concise", "timeline", "github")


@cache
def whole() -> bytes:
    """A report with findings, lines, two models and what else a run can leave."""
    torch.manual_seed(0)
    with steplens.watch(search=False, lines=3) as lens:
        model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.2), nn.Linear(4, 2))
        other = nn.Linear(2, 1)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        torch.optim.lr_scheduler.StepLR(optimizer, 2)
        for number in range(4):
            model.train(number != 2)
            loss = other(model(torch.randn(5, 4)).softmax(0)).mean()
            loss.backward()
            optimizer.step()
    return codec.encode(lens.report)


@cache
def places() -> tuple[tuple[Any, ...], ...]:
    """The paths of all values in that report."""
    found: list[tuple[Any, ...]] = []

    def walk(value: Any, path: tuple[Any, ...]) -> None:
        found.append(path)
        if isinstance(value, dict):
            inner: Any = value.items()
        else:
            inner = enumerate(value) if isinstance(value, list) else ()
        for key, part in inner:
            walk(part, (*path, key))

    walk(msgspec.json.decode(whole()), ())
    return tuple(found[1:])


def changed(changes: list[tuple[int, Any]]) -> bytes:
    """The report with values put in the places of others."""
    tree = msgspec.json.decode(whole())
    for place, value in changes:
        path = places()[place % len(places())]
        try:
            owner = tree
            for key in path[:-1]:
                owner = owner[key]
            owner[path[-1]] = value
        except (KeyError, IndexError, TypeError):  # an earlier change has taken it away
            continue
    return json_of(tree)


def json_of(tree: Any) -> bytes:
    """JSON, huge numbers included."""
    return json.dumps(tree).encode()


def tried(data: bytes) -> None:
    """Read the bytes and show them in every view: a Report that does no harm, or one clear line."""
    began = time.monotonic()
    try:
        report = codec.decode(data, "file.json")
    except BadReport as error:
        _clear(str(error))
        return
    for name in VIEWS:
        try:
            text = show(report, name)
        except BadReport as error:
            _clear(str(error))
            continue
        if name in TERMINAL:
            acts = [each for each in text if (each < " " and each not in "\n\t") or each == "\x1b"]
            assert acts == [], (name, acts)
    assert time.monotonic() - began < SECONDS


def _clear(line: str) -> None:
    assert line
    assert "\n" not in line
    assert "\x1b" not in line
    assert len(line) < 1000


@SETTINGS
@given(
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(("cut", "flip", "insert", "double")),
    st.binary(max_size=20),
)
def test_damaged_bytes_get_one_clear_line(one: int, other: int, how: str, bits: bytes) -> None:
    data = whole()
    one, other = one % len(data), other % len(data)
    tried(
        {
            "cut": data[:one],
            "flip": data[:one] + bits + data[one + len(bits) :],
            "insert": data[:one] + bits + data[one:],
            "double": data[: max(one, other)] + data[min(one, other) :],
        }[how]
    )


@SETTINGS
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6),
            st.one_of(st.sampled_from(HOSTILE), st.integers(-2, 60), st.text(max_size=8)),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_hostile_values_get_one_clear_line_or_a_harmless_view(changes: list[Any]) -> None:
    tried(changed(changes))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"format": 1, "timeline": ' + b'{"a":' * 100_000,
        b'{"format": ' + b"9" * 100_000 + b', "timeline": {}}',
        b'{"format": 1, "timeline": {}, "steps": NaN}',
        b"\x00" * (100_000_000 if SOAK else 10_000_000),
        b'{"format": 2, "timeline": {}}',
    ],
    ids=["empty", "not-utf-8", "deep", "deep-timeline", "huge", "nan", "zeros", "later"],
)
def test_files_that_are_no_reports_get_one_clear_line(data: bytes) -> None:
    with pytest.raises(BadReport) as caught:
        codec.decode(data, "file.json")
    _clear(str(caught.value))


def test_modules_that_hold_each_other_do_not_hang_a_view() -> None:
    tree = msgspec.json.decode(whole())
    for entry in tree["roster"]["modules"].values():
        entry["parent"] = entry["root"] = entry["number"]
    tried(json_of(tree))
    for entry in tree["roster"]["modules"].values():
        entry["parent"] = (entry["number"] + 1) % len(tree["roster"]["modules"])
    tried(json_of(tree))


@pytest.mark.parametrize("sizes", [[10**9], [10**9, 0], [2**40, 2], [-5], [3, 3]])
def test_a_shape_that_its_values_do_not_fill_does_not_hang_a_view(sizes: list[int]) -> None:
    assert len(nested((1.0, 2.0), sizes)) < 100
    assert len(nested((), sizes)) < 100
