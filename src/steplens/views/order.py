"""The order of the calls that lead to each step, and the modes they ran in, in rows."""

from steplens.model.chronicle import Cycle, Evaluation, Part
from steplens.model.report import Report
from steplens.views.summary import counted

ROWS = 4  # orders shown
ORDER = ("SL201", "SL202", "SL203", "SL204", "SL205", "SL206")
MODES = ("SL101", "SL102")


def verdict(report: Report, family: str, rules: tuple[str, ...]) -> str:
    """`fine` when all these rules looked and no rule of their family found anything, the codes of
    those that did, or '' when not all of them looked."""
    found = [f.code for f in (*report.findings, *report.suppressed) if f.code.startswith(family)]
    if found:
        return " ".join(dict.fromkeys(found))
    looked = {*report.rules.ran, *report.rules.nothing_to_look_at}
    whole = all(code in looked for code in rules) and not report.faults
    return "fine" if whole else ""


def order(report: Report) -> list[str]:
    """The orders, the most frequent first."""
    cycles = report.account.cycles
    if not cycles:
        backwards = report.account.backwards
        return [f"no optimizer step after {counted(backwards, 'backward pass', 'es')}"]
    several = len({cycle.optimizers for cycle in cycles if cycle.parts}) > 1
    total = sum(cycle.times for cycle in cycles)
    alone = len(cycles) == 1
    rows: list[str] = []
    for cycle in cycles[:ROWS]:
        who = f"{_who(cycle, report)}: " if several and cycle.parts else ""
        same = ", the same each time" if alone and cycle.times > 1 and _fixed(cycle) else ""
        rows.append(f"{who}{_calls(cycle)}, {counted(cycle.times, 'time')}{same}{_passes(cycle)}")
    if len(cycles) > ROWS:
        rest = sum(cycle.times for cycle in cycles[ROWS:])
        rows.append(f"{counted(len(cycles) - ROWS, 'other order')}, {rest} of {total} times")
    return rows


def _who(cycle: Cycle, report: Report) -> str:
    entries = (report.roster.optimizers.get(number) for number in cycle.optimizers)
    names = [entry.label or entry.type for entry in entries if entry is not None]
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest


def _calls(cycle: Cycle) -> str:
    if not cycle.parts:
        return "other orders"
    words = " -> ".join(map(_part, cycle.parts))
    if cycle.form == "closure":
        return f"{words}, all before it inside the step"
    if cycle.form == "inside":
        return f"{words} with {counted(len(cycle.optimizers), 'optimizer')} stepping inside"
    return words


def _part(part: Part) -> str:
    single = len(part.words) == 1
    words = [f"{word}{_times(*span)}" for word, span in zip(part.words, part.each, strict=True)]
    joined = " -> ".join(words)
    return joined if single else f"({joined}){_times(part.least, part.most)}"


def _times(least: int, most: int) -> str:
    if least == most:
        return f" x {most}" if most > 1 else ""
    return f" x {least} to {most}"


def _fixed(cycle: Cycle) -> bool:
    return all(
        part.least == part.most and all(low == high for low, high in part.each)
        for part in cycle.parts
    )


def _passes(cycle: Cycle) -> str:
    """How many backward passes a step takes, where it is more than one."""
    least = most = 0
    for part in cycle.parts:
        for word, (low, high) in zip(part.words, part.each, strict=True):
            if word == "backward":
                least, most = least + low * part.least, most + high * part.most
    if most <= 1 or len(cycle.optimizers) > 1 or cycle.form != "plain":
        return ""
    return f" ({least if least == most else f'{least} to {most}'} backward passes for each step)"


def modes(report: Report) -> str:
    """The modes of training forwards and of evaluations in one row; '' when there were none."""
    found = report.account.modes
    trained = found.awake + found.parted + found.asleep
    words = [
        f"eval in {found.asleep} of {counted(trained, 'forward')} behind a backward"
        if found.asleep
        else "",
        f"train at every step, with {counted(found.parts, 'module')} in eval"
        if found.parted and not found.asleep
        else "",
        "train at every step" if found.awake == trained and trained else "",
        "no module of it depends on the mode" if found.indifferent and not trained else "",
        *map(_evaluated, found.evaluations),
    ]
    return "; ".join(filter(None, words))


def _evaluated(found: Evaluation) -> str:
    mode = ("train" if found.training else "eval") + " and " if found.sensitive else ""
    grad = "grad" if found.grad else "no grad"
    passes = f" ({counted(found.forwards, 'forward')})" if found.forwards > found.times else ""
    return f"{mode}{grad} in {counted(found.times, 'evaluation')}{passes}"
