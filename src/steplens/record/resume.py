"""Resume: the Ledger and the probes, brought to where the counted rounds have led."""

from threading import get_ident
from typing import TYPE_CHECKING, Any

from steplens.record.account import EMPTY, UNREAD, Account, Holding
from steplens.record.recent import FORWARDS_KEPT
from steplens.record.rounds import Call

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.steady import Steady


def bring_up(recorder: "Recorder", steady: "Steady", done: int) -> None:
    """Give every tensor the holding it has now, and each probe what it would have kept.

    At the end of each round all is as it was at the end of the last one told in full, with indices
    moved; the calls of the round begun are then gone through.
    """
    size, rounds = steady.size, steady.rounds
    recorder.forwards.counted.clear()
    if steady.steps:
        steady.here.numbers["old_before"] = steady.step_end
    touched = _touched(steady.round)
    if rounds and steady.earlier is steady.learnt:
        _move(touched, steady.newest, steady.base - size - steady.newest)
    elif rounds:  # it leaves nothing of those before
        for place, call in enumerate(steady.round):
            _again(call, steady.base - size + place)
    if not steady.steps:
        _made(recorder, steady, done)
    for place in (*range(done, size), *range(done)):  # the oldest index first
        times = rounds + steady.more[0] + (place < done)
        if times:
            _count(recorder, steady, steady.round[place], done, times)
    for place, call in enumerate(steady.round[:done]):
        _again(call, steady.base + place)
    order = steady.round[done:] + steady.round[:done] if rounds else steady.round[:done]
    _retain(recorder, next((c for c in reversed(order) if c.form == "backward"), None))
    # another thread may be setting a gradient just now, and torch would read a freed one
    mine = get_ident() == steady.owner
    for account in touched.values():
        tensor = account.ref() if mine else None
        gradient = tensor.grad if tensor is not None else None
        account.grad_id = 0 if gradient is None else id(gradient)
        account.grad_version = -1 if gradient is None else gradient._version
        if not mine:
            account.grad_version = UNREAD
    if steady.strange:
        _written_by_hand(steady, done)


def _move(touched: dict[int, Account], newest: int, by: int) -> None:
    """What the round from the event ``newest`` on did was done again, so many indices later. Of
    what a gradient has gathered longer only the newest part is kept."""
    moved: dict[Holding, Holding] = {EMPTY: EMPTY}
    for account in touched.values():
        held = account.holding
        if held not in moved:
            moved[held] = held.since(newest).moved(by)
        account.holding = moved[held]
        if account.clear >= newest:
            account.clear += by


def _touched(calls: tuple[Call, ...]) -> dict[int, Account]:
    return {account.number: account for call in calls for account in call.accounts}


def _step(steady: "Steady", call: Call, done: int) -> int:
    """The step at which a call was last made."""
    if call.place < done:
        since = steady.round[call.place : done]
    else:
        since = steady.round[call.place :] + steady.round[:done]
    return steady.step - sum(one.form == "step" for one in since)


def _period(steady: "Steady") -> int:
    """How many graph nodes are made in a round."""
    return sum(call.before + call.nodes for call in steady.round)


def _began(steady: "Steady", call: Call) -> int:
    """The sequence number at which a call last began that is done: not the one in progress."""
    return call.seq - (_period(steady) if call is steady.opened else 0)


def _nodes(steady: "Steady", call: Call) -> range:
    """The sequence numbers of the nodes that were made in the round until a backward."""
    made = sum(c.before + c.nodes for c in steady.round[: call.place + 1])
    return range(call.seq - made, call.seq)


def _count(recorder: "Recorder", steady: "Steady", call: Call, done: int, times: int) -> None:
    """What a probe counts over the run."""
    index = steady.base + call.place - (0 if call.place < done else steady.size)
    if call.form == "forward":
        start = _began(steady, call)
        span = start, start + call.nodes
        if call.nodes and steady.steps:
            recorder.forwards.ran(*span, index, call.event.site, steady.here.recent, steady.owner)
        tree = recorder.moves.trees.get(call.event.module)
        if tree is not None:
            tree.age += times
    elif call.form == "backward":
        recorder.bystanders.calls += times
        if call.flags and steady.here.latest is not None:
            steady.here.latest.step = _step(steady, call, done)
        for account in call.accounts:
            account.reached += times
        recorder.failures.earlier.append((index, _nodes(steady, call)))
        if call.event.scaled:
            steady.here.scaled.append(index)
    elif call.form == "step":
        number = call.event.optimizer
        recorder.steps.last[number] = index
        recorder.steps.counters[number] = sum(call.counters())
        recorder.steps.count[number] = recorder.steps.count.get(number, 0) + times


def _made(recorder: "Recorder", steady: "Steady", done: int) -> None:
    """Note the nodes of each forward of rounds without a step: a backward to come may reach all."""
    size, period = steady.size, _period(steady)
    found: list[tuple[int, int, Call]] = []
    for call in steady.round:
        index = steady.base + call.place - (0 if call.place < done else size)
        times = steady.rounds + (call.place < done) if call.nodes else 0
        for ago in range(min(times, FORWARDS_KEPT)):
            start = _began(steady, call) - ago * period
            found.append((start, index - ago * size, call))
    found.sort(key=lambda each: each[1])
    here = steady.here.recent, steady.owner
    for start, index, call in found[-FORWARDS_KEPT:]:
        recorder.forwards.ran(start, start + call.nodes, index, call.event.site, *here)


def _again(call: Call, index: int) -> None:
    """What one call of the round begun did to what gradients hold."""
    for account in call.accounts:
        held = account.holding
        if call.form == "clear":
            if held.contributions:
                account.clear = index
            account.holding = EMPTY
        elif call.form == "backward":
            account.holding = held.plus(index)
        elif call.form == "step" and held.contributions:
            account.holding = held.used_in(index)


def _retain(recorder: "Recorder", call: Call | None) -> None:
    """The graph that the newest backward has retained: its nodes were made as long before it as
    they were in the round told in full."""
    if call is not None:
        began, retained = call.part
        recorder.lifetimes.retained = frozenset([n + call.seq - began for n in retained])


def _written_by_hand(steady: "Steady", done: int) -> None:
    """The next look at these gradients is to see that somebody wrote them."""
    strange, steady.strange = steady.strange, ()
    accounts = steady.round[done].accounts
    for place in strange:
        if place < len(accounts):
            accounts[place].grad_version = -1


def reopen(recorder: "Recorder", steady: "Steady", call: Call) -> Any:
    """Make the call in progress one that is told in full: what its probe's ``before`` would have
    given. What is kept of the counted thread is written there, as this may be another."""
    here, index = steady.here, steady.base + call.place
    if call.form == "forward":
        event = call.event
        by = index - event.index
        fed = tuple([one + by for one in event.fed_by])
        return event.module, event.modes, fed, None, -1, call.seq, None
    if call.form == "backward":
        from steplens.record.backwards import reopened

        event = steady.again(call, index, recorder.step, steady.loss)
        running = reopened(list(steady.roots[:1]), event, call, list(_nodes(steady, call)))
        _retain(recorder, call)
        recorder.ledger.begin_backward(running.leaves, here.fresh)
        recorder.underway.passes[here.thread] = running, here.fresh
        here.local["own"] = running
        return running
    if call.form == "grad":
        from steplens.record.grad_calls import reopened as grad_reopened

        return grad_reopened(steady.again(call, index, recorder.step, None), call)
    if call.form == "step":
        from steplens.record.optim import reopened as step_reopened

        pending = step_reopened(recorder, call)
        here.pending.append(pending)
        here.local["stepping"] = pending.number
        return pending
    return None
