"""Whether the account of a report agrees with its findings, both ways."""

from collections import Counter
from collections.abc import Iterable

from steplens.check.reporting import Report
from steplens.model import codec
from steplens.prose import cells
from steplens.rules import RULES
from steplens.rules.frozen_tensors import FED
from steplens.views.account import account_lines
from steplens.views.speech import Speech

ORDER = {"SL201", "SL202", "SL203", "SL204", "SL205", "SL206"}
ENGLISH = {"the", "and", "of", "at", "in", "no", "by", "it", "them", "with", "to", "step", "steps"}
CODES = {rule.code for rule in RULES}


def about(report: Report, codes: Iterable[str]) -> set[int]:
    """The tensors that findings of these codes are about."""
    wanted = set(codes)
    return {t for f in report.findings if f.code in wanted for t in f.tensors}


def told(report: Report, *whys: str) -> set[int]:
    """The tensors whose fate is one of these."""
    return {t for f in report.account.fates if f.why in whys for t in f.tensors}


def line(report: Report, head: str) -> str:
    """The rows of the account under a heading, as one text."""
    found: list[str] = []
    inside = False
    for row in account_lines(report):
        inside = row.startswith(head) or (inside and row.startswith(" "))
        if inside:
            found.append(row.strip() if found else row)
    return " ".join(found)


def disagreements(report: Report) -> list[str]:
    """Every point at which the account and the findings differ."""
    found: list[str] = []
    fates = report.account.fates
    counts = Counter(tensor for fate in fates for tensor in fate.tensors)
    parameters = {n for n, e in report.roster.tensors.items() if e.role == "parameter"}
    if any(count != 1 for count in counts.values()) or not parameters <= set(counts):
        found.append("a parameter has no fate, or several")
    before = {n for n, e in report.roster.tensors.items() if e.thawed}  # trained, frozen, left out
    if not about(report, ["SL301"]) - before <= told(report, "in-no-optimizer"):
        found.append("SL301 is about a tensor that the account does not leave out")
    for code in ("SL301", "SL303", "SL204", "SL311"):
        carried = {t for fate in fates if code in fate.codes for t in fate.tensors}
        if carried != about(report, [code]):
            found.append(f"the account gives {code} to other tensors than the rule")
    if not about(report, ["SL204"]) <= told(report, "never-stepped", "in-no-optimizer"):
        found.append("SL204 is about a tensor that was stepped")
    trained = {t for fate in fates if fate.kind == "trained" for t in fate.tensors}
    briefly = {t for fate in fates if fate.moved <= FED for t in fate.tensors}
    if (trained - before) & about(report, ["SL204", "SL301", "SL310", "SL311"]):
        found.append("what a rule calls untrained has trained")
    if (trained - briefly) & about(report, ["SL303"]):
        found.append("what a rule calls untrained has trained")
    every = (*report.findings, *report.suppressed)
    codes = {code for finding in every for code in (finding.code, *finding.consequences)}
    if line(report, "order").endswith("fine") and codes & ORDER:
        found.append("the order is called fine")
    if line(report, "modes").endswith("fine") and codes & {"SL101", "SL102"}:
        found.append("the modes are called fine")
    if not codes & {c for c in CODES if c[:3] == "SL2"} and report.account.cycles:
        if not line(report, "order").endswith("fine"):
            found.append("the order is not called fine, and no rule says why")
    return found + _misshapen(report)


def _misshapen(report: Report) -> list[str]:
    """Rows that are too wide, and English ones in a Chinese account."""
    english, chinese = (account_lines(report, Speech(lang)) for lang in ("en", "zh"))
    found = [f"wider than 100 columns: {row}" for row in (*english, *chinese) if cells(row) > 100]
    return found + [f"not in Chinese: {row}" for row in chinese if ENGLISH & set(row.split())]


def survives(report: Report) -> bool:
    """Whether the account of the report read back from its file is the same."""
    return account_lines(codec.decode(codec.encode(report), "again")) == account_lines(report)
