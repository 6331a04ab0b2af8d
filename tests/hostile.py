"""A report in which every text of the user's tries to leave its place."""

from msgspec.structs import replace

import reports
from steplens.model import event as ev
from steplens.model.course import Surveyor
from steplens.model.finding import Because, Evidence
from steplens.model.site import Site
from steplens.model.state import Change

BREAKOUT = "</script><script>window.pwned=1</script>"
WORSE = "<!--<script>\"'`{{data}}<img src=x onerror=window.pwned=2><b id=planted>"
UNSEEN = "\u2028\u2029\u202e\u2066\x00\x07\ud800\ufeff"
NASTY = f"{BREAKOUT}{WORSE}{UNSEEN}"


def report():
    """Names, places, source, messages, options and faults, all of them nasty."""
    site = Site(f"{NASTY}.py", 1, 1, 1, 9, NASTY)
    finding = replace(
        reports.never_cleared(),
        name=NASTY,
        message=NASTY,
        label=NASTY,
        help=NASTY,
        at=site,
        because=(Because(NASTY, site),),
        evidence=(Evidence(NASTY, NASTY, NASTY),),
        consequences=(NASTY,),
    )
    found = reports.report(finding)
    found.program = f"{NASTY}.py"
    found.status = found.python = found.torch = NASTY
    found.faults, found.not_seen = [NASTY], [NASTY]
    found.sources = {f"{NASTY}.py": f"x = '{NASTY}'\n# {NASTY}\n"}
    for tensor in found.roster.tensors.values():
        tensor.name = f"{NASTY}.{tensor.number}"
        tensor.names = (NASTY, NASTY)
    for module in found.roster.modules.values():
        module.label, module.type = NASTY, NASTY
    for optimizer in found.roster.optimizers.values():
        optimizer.label, optimizer.type = NASTY, NASTY
        optimizer.groups = ({"lr": 0.5, NASTY: NASTY},)
        optimizer.site = site
    index = found.timeline.last_index + 1
    change = Change("parameter", f"{NASTY}.0", None, reports.digest(1.0, 2.0))
    for event in (
        ev.Line(index, 3, site, (change,)),
        ev.Failure(index + 1, 3, site, NASTY, NASTY),
    ):
        found.timeline.append(event)
        Surveyor(found.course).hear(event)
    return found
