"""The account that opens every report: what trained, what did not, in which order and modes."""

from collections import Counter

from steplens.model import event as ev
from steplens.model.report import Report
from steplens.views.names import gathered
from steplens.views.summary import counted
from steplens.views.values import number

Fate = list[str]  # heading, names, count, and what is said of them
ORDER = (ev.Clear, ev.Forward, ev.Backward, ev.Step)


def account_lines(report: Report) -> list[str]:
    """The account as lines; none for a run that neither stepped nor ran a backward pass."""
    events = report.timeline.events
    if not any(isinstance(event, ev.Step | ev.Backward) for event in events):
        return []
    steps = [event for event in events if isinstance(event, ev.Step) and not event.skipped]
    used = _used(steps)
    fates = [
        *_trained(report, steps, used),
        *_by_hand(report, used),
        *_unchanged(report, used),
        *_frozen(report, used),
    ]
    lines = [
        *_aligned(fates),
        *_order(report, events, len(steps)),
        *_modes(report, events, len(steps)),
    ]
    unseen = ", ".join(report.not_seen) or "nothing that steplens knows of"
    return [*lines, _line("not seen", unseen)]


def _line(head: str, said: str) -> str:
    return f"{head:<10} {said}"


def _aligned(fates: list[Fate]) -> list[str]:
    """Fates of tensors, names and counts one under the other."""
    names = max((len(fate[1]) for fate in fates), default=0)
    counts = max((len(fate[2]) for fate in fates), default=0)
    return [
        _line(head, "   ".join([f"{name:<{names}}", f"{count:>{counts}}", *filter(None, said)]))
        for head, name, count, *said in fates
    ]


def _used(steps: list[ev.Step]) -> Counter[int]:
    """How many steps used a gradient of each tensor."""
    used: Counter[int] = Counter()
    for step in steps:
        held = {tensor for share in step.uses for tensor in share.tensors}
        used.update(held | set(step.unknown))
    return used


def _trained(report: Report, steps: list[ev.Step], used: Counter[int]) -> list[Fate]:
    groups: dict[tuple[int, int], list[int]] = {}
    for number_, entry in report.roster.optimizers.items():
        for tensor in entry.tensors:
            if used[tensor]:
                groups.setdefault((number_, used[tensor]), []).append(tensor)
    lines: list[Fate] = []
    for (optimizer, count), tensors in groups.items():
        own = [step for step in steps if step.optimizer == optimizer]
        moved = f"{count} of {counted(len(own), 'step')} used their gradients"
        rates = dict.fromkeys(number(rate) for rate in own[-1].lrs) if own else {}
        lr = "lr " + ", ".join(rates) if rates else ""
        lines.append(_fate("trained", tensors, report, moved, lr, _ratio(own, set(tensors))))
    return lines


def _ratio(steps: list[ev.Step], tensors: set[int]) -> str:
    for step in reversed(steps):
        read = [update for update in step.updates if update.tensor in tensors]
        weight = sum(update.weight**2 for update in read) ** 0.5
        if weight:
            ratio = sum(update.update**2 for update in read) ** 0.5 / weight
            return f"|update|/|weight| {number(float(f'{ratio:.2g}'))}"
    return ""


def _by_hand(report: Report, used: Counter[int]) -> list[Fate]:
    """Parameters that no optimizer moved and the program's own code wrote."""
    writes: dict[int, int] = {}
    for event in report.timeline.events:
        if isinstance(event, ev.Write) and event.how == "hand" and not used[event.tensor]:
            writes[event.tensor] = writes.get(event.tensor, 0) + 1
    entries = report.roster.tensors
    parameters = [n for n in writes if n in entries and entries[n].role == "parameter"]
    groups: dict[int, list[int]] = {}
    for tensor in parameters:
        groups.setdefault(writes[tensor], []).append(tensor)
    return [
        _fate("by hand", tensors, report, f"written by the program, {counted(count, 'time')}")
        for count, tensors in groups.items()
    ]


def _unchanged(report: Report, used: Counter[int]) -> list[Fate]:
    roster = report.roster
    written = {
        e.tensor for e in report.timeline.events if isinstance(e, ev.Write) and e.how == "hand"
    }
    holders = {tensor: entry for entry in roster.optimizers.values() for tensor in entry.tensors}
    groups: dict[str, list[int]] = {}
    for tensor, entry in roster.tensors.items():
        if entry.role != "parameter" or not entry.trainable or used[tensor] or tensor in written:
            continue
        holder = holders.get(tensor)
        why = (
            f"in {holder.label or holder.type}, no step used a gradient"
            if holder
            else "in no optimizer"
        )
        groups.setdefault(why, []).append(tensor)
    return [_fate("unchanged", tensors, report, why) for why, tensors in groups.items()]


def _frozen(report: Report, used: Counter[int]) -> list[Fate]:
    entries = report.roster.tensors.values()
    held = [e for e in entries if e.role == "parameter" and not e.trainable and not used[e.number]]
    numbers = [entry.number for entry in held]
    return [_fate("frozen", numbers, report, "requires_grad is False")] if numbers else []


def _fate(head: str, tensors: list[int], report: Report, *said: str) -> Fate:
    return [head, gathered(tensors, report.roster), counted(len(tensors), "tensor"), *said]


def _order(report: Report, events: list[ev.Event], steps: int) -> list[str]:
    """The calls that led to each step, when one order holds for most of them."""
    if not steps:
        return [_line("order", "no optimizer step")]
    orders: Counter[str] = Counter()
    since: list[str] = []
    for event in events:
        if isinstance(event, ORDER) and not (isinstance(event, ev.Forward) and not event.recorded):
            since.append(ev.kind(event))
        if isinstance(event, ev.Step):
            orders[" -> ".join(_folded(since))] += 1
            since = []
    said = [f"{order}, {counted(count, 'time')}" for order, count in orders.most_common(2)]
    rest = len(orders) - len(said)
    others = f"{counted(rest, 'other order')}" if rest else ""
    unjudged = "SL201" not in report.rules.ran
    wrong = unjudged or any(finding.code.startswith("SL2") for finding in report.findings)
    verdict = "" if wrong or len(orders) > 2 else "fine"
    return [
        _line(
            "order", "; ".join(filter(None, (*said, others))) + (f": {verdict}" if verdict else "")
        )
    ]


def _folded(kinds: list[str]) -> list[str]:
    """Kinds with repeats folded: forward, backward, forward, backward is (...) x 2."""
    out: list[str] = []
    at = 0
    while at < len(kinds):
        for width in (1, 2, 3):
            unit, times = kinds[at : at + width], 1
            while kinds[at + times * width : at + (times + 1) * width] == unit:
                times += 1
            if times > 1 and len(unit) == width:
                word = " -> ".join(unit)
                out.append(f"({word}) x {times}" if width > 1 else f"{word} x {times}")
                at += times * width
                break
        else:
            out.append(kinds[at])
            at += 1
    return out


def _modes(report: Report, events: list[ev.Event], steps: int) -> list[str]:
    forwards = {event.index: event for event in events if isinstance(event, ev.Forward)}
    led = [
        forwards[i]
        for e in events
        if isinstance(e, ev.Backward)
        for i in e.forwards
        if i in forwards
    ]
    if not led:
        return []
    asleep = sum(not forward.training for forward in led)
    if asleep:
        said = f"eval in {asleep} of {counted(len(led), 'forward')} behind a backward pass"
    else:
        said = f"train in all {counted(len(led), 'forward')} behind a backward pass"
    off = sum(not forward.grad for forward in forwards.values())
    aside = f", {counted(off, 'forward')} without grad" if off else ""
    wrong = any(finding.code.startswith("SL1") for finding in report.findings)
    return [_line("modes", said + aside + ("" if wrong or asleep else ": fine"))]
