"""Probe of torch's autograd errors: what was going on when a backward failed."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from steplens.model.event import Failure, Forward
from steplens.model.site import Site

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

KINDS = {
    "no-graph": re.compile(r"does not require grad and does not have a grad_fn"),
    "second-backward": re.compile(r"backward through the graph a second time"),
    "overwritten": re.compile(r"modified by an inplace operation"),
}


class Failures:
    """The facts about the last failed backward, kept until it is known whether the program dies of
    it."""

    def __init__(self) -> None:
        self.error = 0  # id of the exception
        self.facts: dict[str, Any] = {}
        self.earlier: list[
            tuple[int, Site | None, list[int]]
        ] = []  # recent backward passes and their nodes
        self.forward: Forward | None = None  # the newest forward


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Nothing to wrap: the passes probe tells of failures."""
    return []


def classify(error: BaseException) -> str:
    """Which of torch's autograd errors this is, '' for any other."""
    text = str(error) if isinstance(error, RuntimeError) else ""
    return next((name for name, pattern in KINDS.items() if pattern.search(text)), "")


def passed(recorder: "Recorder", index: int, numbers: list[int]) -> None:
    """Remember which nodes a backward went through."""
    earlier = recorder.failures.earlier
    earlier.append((index, recorder.site(), numbers))
    del earlier[:-4]


def failed(recorder: "Recorder", numbers: list[int], error: BaseException) -> None:
    """A backward raised: keep what explains it."""
    kind = classify(error)
    if not kind:
        return
    failures = recorder.failures
    failures.error = id(error)
    facts: dict[str, Any] = {"explains": kind, "at": recorder.site()}
    if kind == "no-graph" and failures.forward is not None:
        facts |= {"cause": failures.forward.index, "where": failures.forward.site}
    elif kind == "second-backward":
        nodes = set(numbers)
        for index, site, held in failures.earlier:
            shared = nodes.intersection(held)
            if shared:
                made = recorder.detail.site_of(max(shared)) or _forward_site(recorder, max(shared))
                facts |= {
                    "cause": index,
                    "where": made,
                    "earlier": site,
                    "detail": f"{len(shared)} of {len(nodes)}",
                }
                break
    failures.facts = facts


def _forward_site(recorder: "Recorder", number: int) -> Site | None:
    return recorder.forwards.sites.get(recorder.forwards.of(number))


def died(recorder: "Recorder", error: BaseException, site: Site | None) -> None:
    """The program ends with this exception: say so, with what was learnt of it."""
    failures = recorder.failures
    facts = failures.facts if failures.error == id(error) else {}
    try:
        message = str(error)
    except Exception as broken:
        message = f"(its text cannot be read: {type(broken).__name__})"
    recorder.emit(
        Failure(
            recorder.index(),
            recorder.step,
            facts.get("at") or site,
            type(error).__name__,
            message[:2000],
            facts.get("explains", ""),
            facts.get("cause", -1),
            facts.get("where"),
            facts.get("detail", ""),
        )
    )
