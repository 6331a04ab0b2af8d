"""The order of the calls that lead to each step, and the modes they ran in, in rows."""

from steplens.model.chronicle import Cycle, Evaluation, Part
from steplens.model.report import Report
from steplens.views.speech import ENGLISH, Speech

ROWS = 4  # orders shown
ORDER = ("SL201", "SL202", "SL203", "SL204", "SL205", "SL206")
MODES = ("SL101", "SL102")


def verdict(report: Report, family: str, rules: tuple[str, ...]) -> str:
    """`fine` when all these rules looked and no rule of their family found anything, the codes of
    those that did, or of what led to findings of theirs, or '' when not all of them looked."""
    found = [
        f.code
        for f in (*report.findings, *report.suppressed)
        if f.code.startswith(family) or not {*rules}.isdisjoint(f.consequences)
    ]
    if found:
        return " ".join(dict.fromkeys(found))
    looked = {*report.rules.ran, *report.rules.nothing_to_look_at}
    whole = all(code in looked for code in rules) and not report.faults
    return "fine" if whole else ""


def order(report: Report, speech: Speech = ENGLISH) -> list[str]:
    """The orders, the most frequent first."""
    say, cycles = speech.say, report.account.cycles
    if not cycles:
        return [say("order.none", n=report.account.backwards)]
    several = len({cycle.optimizers for cycle in cycles if cycle.parts}) > 1
    total = sum(cycle.times for cycle in cycles)
    alone = len(cycles) == 1
    rows: list[str] = []
    for cycle in cycles[:ROWS]:
        who = say("order.who", names=_who(cycle, report, speech)) if several and cycle.parts else ""
        same = say("order.same") if alone and cycle.times > 1 and _fixed(cycle) else ""
        calls, times = _calls(cycle, speech), say("n.times", n=cycle.times)
        passes = _passes(cycle, speech)
        rows.append(say("order.row", who=who, calls=calls, times=times, same=same, passes=passes))
    if len(cycles) > ROWS:
        rest = sum(cycle.times for cycle in cycles[ROWS:])
        rows.append(say("order.others", n=len(cycles) - ROWS, rest=rest, total=total))
    return rows


def _who(cycle: Cycle, report: Report, speech: Speech) -> str:
    entries = (report.roster.optimizers.get(number) for number in cycle.optimizers)
    names = [entry.label or entry.type for entry in entries if entry is not None]
    first, rest = ", ".join(names[:3]), len(names) - 3
    return speech.say("and-more", names=first, n=rest) if rest > 0 else first


def _calls(cycle: Cycle, speech: Speech) -> str:
    if not cycle.parts:
        return speech.say("order.other-orders")
    calls = " -> ".join(_part(part, speech) for part in cycle.parts)
    if cycle.form == "plain":
        return calls
    return speech.say(f"order.{cycle.form}", calls=calls, n=len(cycle.optimizers))


def _part(part: Part, speech: Speech) -> str:
    words = [
        speech.say(f"order.{word}") + _times(*span, speech)
        for word, span in zip(part.words, part.each, strict=True)
    ]
    joined = " -> ".join(words)
    return joined if len(words) == 1 else f"({joined}){_times(part.least, part.most, speech)}"


def _times(least: int, most: int, speech: Speech) -> str:
    if least == most:
        return f" x {most}" if most > 1 else ""
    return f" x {_range(least, most, speech)}"


def _range(least: int, most: int, speech: Speech) -> object:
    return least if least == most else speech.say("range", least=least, most=most)


def _fixed(cycle: Cycle) -> bool:
    return all(
        part.least == part.most and all(low == high for low, high in part.each)
        for part in cycle.parts
    )


def _passes(cycle: Cycle, speech: Speech) -> str:
    """How many backward passes a step takes, where it is more than one."""
    least = most = 0
    for part in cycle.parts:
        for word, (low, high) in zip(part.words, part.each, strict=True):
            if word == "backward":
                least, most = least + low * part.least, most + high * part.most
    if most <= 1 or len(cycle.optimizers) > 1 or cycle.form != "plain":
        return ""
    return speech.say("order.passes", passes=_range(least, most, speech))


def modes(report: Report, speech: Speech = ENGLISH) -> str:
    """The modes of training forwards and of evaluations in one row; '' when there were none."""
    say, found = speech.say, report.account.modes
    trained = found.awake + found.parted + found.asleep
    words: list[str] = []
    if found.asleep:
        words.append(say("modes.asleep", asleep=found.asleep, n=trained))
    elif found.parted:
        words.append(say("modes.parted", n=found.parts))
    elif found.awake:
        words.append(say("modes.awake"))
    elif found.indifferent:
        words.append(say("modes.indifferent"))
    words += [_evaluated(each, speech) for each in found.evaluations]
    return say("semicolon").join(words)


def _evaluated(found: Evaluation, speech: Speech) -> str:
    say = speech.say
    return say(
        "modes.evaluated",
        mode=say("modes.train" if found.training else "modes.eval") if found.sensitive else "",
        grad=say("modes.grad" if found.grad else "modes.no-grad"),
        n=found.times,
        passes=say("modes.passes", n=found.forwards) if found.forwards > found.times else "",
    )
