"""The pytest plugin: a finding fails the test. Silent, and without torch, until it is asked."""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from steplens.errors import SteplensError

if TYPE_CHECKING:
    from steplens.check.lens import Lens

FIXTURE, MARKER = "steplens_watch", "steplens"
MARK = (
    "steplens(select=(), ignore=(), allow=(), fail_on='warning'): watch the training in this test"
)
watching: pytest.StashKey[tuple["Lens", str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--steplens`` and ``--steplens-fail-on``."""
    group = parser.getgroup("steplens", "watching what tests do to training state")
    group.addoption("--steplens", action="store_true", help="watch every test")
    group.addoption(
        "--steplens-fail-on",
        choices=("error", "warning", "note"),
        default="warning",
        help="the least severity that fails a test (default: warning)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARK)


@pytest.fixture
def steplens_watch(request: pytest.FixtureRequest) -> "Lens":
    """The Lens that watches this test, from its first fixture to its end."""
    return request.node.stash[watching][0]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Begin to watch before the fixtures are made."""
    wrong = ""
    if _asked(item):
        try:
            item.stash[watching] = _begin(item)
        except SteplensError as error:
            wrong = str(error)
    result = yield
    if wrong:
        pytest.fail(f"steplens: {wrong}", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Run the test; fail it where something was found."""
    known = item.stash.get(watching, None)
    if known is None:
        return (yield)
    lens, bar = known
    try:
        result = yield
    except BaseException as error:
        lens.session.stop("failed", error)
        if lens.findings:
            item.add_report_section("call", "steplens", lens.told())
        raise
    lens.session.stop()
    if loud := lens.at_least(bar):
        named = ", ".join(dict.fromkeys(f"{each.code} {each.name}" for each in loud))
        pytest.fail(f"steplens found {named}\n\n{lens.told()}", pytrace=False)
    return result


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """A test that was skipped in its setup is watched no longer."""
    known = item.stash.get(watching, None)
    if known is not None and not known[0].session.report.complete:
        known[0].session.stop()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """What differs between two Snapshots, in the words of the timeline."""
    if op != "==" or type(left).__name__ != "Snapshot" or type(left) is not type(right):
        return None
    from steplens.views import values

    one: Any = left
    return values.differences(one.delta(right))


def _asked(item: pytest.Item) -> bool:
    return (
        item.config.getoption("--steplens")
        or item.get_closest_marker(MARKER) is not None
        or FIXTURE in getattr(item, "fixturenames", ())
    )


def _begin(item: pytest.Item) -> "tuple[Lens, str]":
    from steplens.check import hosting, lens

    words: dict[str, Any] = {"fail_on": item.config.getoption("--steplens-fail-on")}
    for marker in reversed(list(item.iter_markers(MARKER))):  # the nearest one has the last word
        words |= marker.kwargs
    flags, bar = hosting.wanted(words)
    file = item.path.relative_to(Path.cwd()) if item.path.is_relative_to(Path.cwd()) else item.path
    session = hosting.guest(f"{file}::{item.name}", flags)
    session.own(str(item.path))
    session.start()
    return lens.Lens(session, ()), bar
