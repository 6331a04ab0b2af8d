"""Causes: a finding of values that another finding explains is told as its consequence."""

import re
from collections.abc import Iterable

import msgspec

from steplens.model.finding import Finding, Severity
from steplens.rules.origins import OWN_CAUSE
from steplens.rules.rates import BELOW
from steplens.rules.unstepped import IN_ITS_PLACE

# What each cause can lead to; those of SHARED only for the same tensors. SL201 and SL206 make steps
# too large, SL304 throws new values by old moments, a loss of the wrong kind gives gradients of the
# wrong size or none at all.
RUINED = ("SL601", "SL602")
STILL = ("SL603", "SL604", "SL606", "SL607")
EXPLAINS: dict[str, tuple[str, ...]] = {
    "SL101": ("SL107",),
    "SL201": (*RUINED, "SL604", "SL205"),
    "SL203": ("SL303",),
    "SL204": ("SL201", "SL203"),  # where another optimizer stepped in its place
    "SL303": ("SL214",),  # where one line ends the graph
    "SL205": RUINED,
    "SL206": RUINED,
    "SL208": (*RUINED, "SL604"),
    "SL304": (*RUINED, "SL604"),
    "SL306": ("SL606", *RUINED),  # these where the rate is below 0
    "SL309": RUINED,
    "SL311": ("SL606",),
    "SL501": STILL,
    "SL502": (*RUINED, *STILL),
    "SL503": (*RUINED, *STILL),
    "SL510": (*RUINED, *STILL),
    "SL504": RUINED,
    "SL512": (*RUINED, *STILL),
    "SL515": ("SL514", *RUINED),
    "SL521": ("SL603",),
    "SL602": ("SL601", "SL604", "SL607"),
    "SL604": ("SL603", "SL607"),
    "SL605": ("SL603", "SL604", "SL607"),
    "SL607": ("SL603", "SL604", "SL606"),
    "SL608": STILL,
    "SL609": (*RUINED, *STILL),
}
# what SL515 leads to as well, where the method was named and not called
UNCALLED = {
    "eval": ("SL102", "SL103"),
    "train": ("SL101",),
    "zero_grad": ("SL201", *RUINED),
    "step": ("SL204", "SL203", "SL307"),
    "backward": ("SL203", "SL204"),
}
NAMED = re.compile(r"`[^`]*\.(\w+)` names a method")
NUMBERED = re.compile(r"`\w+(#\d+)?\.")  # a model's name before a tensor's, with its number
SHARED = ("SL205", "SL303")  # whichever of the two was seen first


def settle(findings: Iterable[Finding]) -> list[Finding]:
    """The findings less those that another one explains; their codes stand in its
    ``consequences``.

    What was found again at the same lines is told once: an optimizer or a model made anew for each
    fold or restart. A cause explains what was first seen no earlier than itself. A gradient that is
    not finite under a finite loss has a cause of its own (a `sqrt` at 0) and stays. Notes explain
    nothing.
    """
    found = _once(findings)
    causes = [each for each in found if each.code in EXPLAINS and each.severity != Severity.NOTE]
    if not causes:
        return found
    kept: list[Finding] = []
    led: dict[int, list[str]] = {}
    for finding in found:
        cause = next((each for each in causes if _explains(each, finding)), None)
        if cause is None:
            kept.append(finding)
        else:
            led.setdefault(id(cause), []).append(finding.code)
    return [
        msgspec.structs.replace(
            finding,
            consequences=tuple(dict.fromkeys((*finding.consequences, *led[id(finding)]))),
        )
        if id(finding) in led
        else finding
        for finding in kept
    ]


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """Those of one code at the same lines, or of the same words about a model of another number, as
    one."""
    kept: list[Finding] = []
    for finding in findings:
        place = next((n for n, each in enumerate(kept) if _again(each, finding)), None)
        if place is None:
            kept.append(finding)
            continue
        first = kept[place]
        kept[place] = msgspec.structs.replace(
            first,
            last_step=max(first.last_step, finding.last_step),
            count=first.count + finding.count,
            tensors=tuple(dict.fromkeys((*first.tensors, *finding.tensors))),
        )
    return kept


def _again(first: Finding, finding: Finding) -> bool:
    if first.code != finding.code or first.severity != finding.severity or finding.at is None:
        return False
    lines = {mark.at for mark in finding.because}
    if first.at == finding.at and {mark.at for mark in first.because} == lines:
        return True
    told = {first.at, *(mark.at for mark in first.because)}
    same = NUMBERED.sub("`", first.message) == NUMBERED.sub("`", finding.message)
    return same and told >= {finding.at, *lines}


def _explains(cause: Finding, finding: Finding) -> bool:
    named = NAMED.match(cause.message)
    led = UNCALLED.get(named[1], ()) if named is not None else EXPLAINS[cause.code]
    if cause is finding or finding.code not in led:
        return False
    if named is not None:  # a line that does nothing is heard of at a look, later than what it does
        return True
    if finding.code == "SL214":
        return cause.at == finding.at
    if cause.code == "SL204":
        return any(m.label == IN_ITS_PLACE and m.at == finding.at for m in cause.because)
    if finding.code in SHARED:
        return bool(finding.tensors) and {*finding.tensors} <= {*cause.tensors}
    if cause.code == "SL306" and finding.code in RUINED and BELOW not in cause.message:
        return False
    return cause.first_step <= finding.first_step and OWN_CAUSE not in finding.message
