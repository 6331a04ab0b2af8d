"""Runs experiments and decides claims: Claim -> Outcome."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch

from steplens.lab import recorded
from steplens.lab.base import Claim, Measured, Verdict
from steplens.lab.isolation import as_it_was
from steplens.model.report import Report


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one claim came to on this machine.

    ``measured`` holds plain numbers, words and lists of them. ``report`` is what steplens saw of
    the experiment, when it was watched. ``fault`` says why there is no verdict; ``lacking`` that
    this torch or machine has not got what the experiment needs.
    """

    claim: Claim
    measured: Measured
    verdict: Verdict
    expected: recorded.Record
    seconds: float = 0.0
    report: Report | None = None
    fault: str = ""
    lacking: bool = False

    @property
    def as_recorded(self) -> bool:
        """Whether the verdict is the recorded one; a claim that cannot be tried here is no news."""
        return self.lacking or self.verdict == self.expected.verdict


def run(claim: Claim, experiment: Callable[[], Measured] | None = None) -> Outcome:
    """Run a claim's experiment, or one given in its place, in this process, and decide it."""
    begin = time.perf_counter()
    try:
        with as_it_was():
            measured = plain((experiment or claim.experiment)())
    except Exception as error:  # an experiment that fails is an answer, too
        return failed(claim, error, time.perf_counter() - begin)
    return decided(claim, measured, time.perf_counter() - begin)


def decided(
    claim: Claim, measured: Measured, seconds: float = 0.0, report: Report | None = None
) -> Outcome:
    """The Outcome of a claim for what was measured."""
    expected = recorded.expected(claim.name, torch.__version__)
    try:
        verdict = claim.decide(measured)
    except Exception as error:
        return failed(claim, error, seconds, report)
    return Outcome(claim, measured, verdict, expected, seconds, report)


def failed(
    claim: Claim, error: Exception | str, seconds: float = 0.0, report: Report | None = None
) -> Outcome:
    """The Outcome of an experiment that ended with an error, or of processes that did.

    What this torch has not got (an ImportError) is lacking, not news.
    """
    said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    lacking = said.startswith(("ImportError", "ModuleNotFoundError"))
    expected = recorded.expected(claim.name, torch.__version__)
    first = said.partition("\n")[0]
    return Outcome(claim, {}, Verdict.UNDECIDED, expected, seconds, report, first, lacking)


def plain(value: Any) -> Any:
    """What an experiment returned, without torch: tensors become numbers and lists."""
    if isinstance(value, torch.Tensor):
        return value.detach().tolist()
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: plain(item) for name, item in items}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    return value
