"""Each observed call in a few words, for timelines without line-by-line detail."""

from steplens.model import event as ev
from steplens.model.roster import Roster
from steplens.views.summary import counted
from steplens.views.values import number

HIDDEN = (ev.Line, ev.End, ev.Values, ev.Idle, ev.Cut, ev.Drift)  # no calls, but readings


def shown(event: ev.Event) -> bool:
    """Whether the event has a row: batches, readings of values and the end of the run have none."""
    if isinstance(event, ev.Batch):
        return event.form == "epoch"
    return not isinstance(event, HIDDEN)


def words(event: ev.Event, roster: Roster) -> str:
    """What the call did, as one short sentence without a full stop."""
    match event:
        case ev.Mode():
            way = "train" if event.training else "eval"
            switched = counted(len(event.switched), "module")
            return f"{_module(event.module, roster)} to {way}, {switched} switched"
        case ev.GradMode():
            return (
                f"gradient recording {'on' if event.enabled else 'off'} ({event.how}, {event.form})"
            )
        case ev.Forward():
            return f"forward of {_module(event.module, roster)}, {_modes(event)}"
        case ev.Backward():
            loss = "" if event.loss is None else f", loss {number(event.loss)}"
            return f"backward: gradients of {counted(len(event.leaves), 'tensor')} added to{loss}"
        case ev.GradCall():
            return f"torch.autograd.grad of {counted(len(event.leaves), 'known tensor')}"
        case ev.Clear():
            way = "to None" if event.to_none else "to zero"
            return f"clear by {event.by}: {counted(event.tensors, 'gradient')} {way}"
        case ev.Step():
            return _step(event, roster)
        case ev.Schedule():
            return f"scheduler step {event.count}: learning rate {_rates(event.lrs)}"
        case _:
            return _rarer(event, roster)


def _rarer(event: ev.Event, roster: Roster) -> str:
    match event:
        case ev.Repeat():
            calls = counted(event.events, "call")
            return f"the next {calls} came {counted(event.times, 'time')} before in the same way"
        case ev.Write():
            norms = f"norm {_norm(event.before_norm)} -> {_norm(event.after_norm)}"
            return f"{_tensor(event.tensor, roster)} written ({event.how}), {norms}"
        case ev.Load():
            return f"load_state_dict of {event.what}"
        case ev.Clip():
            bound = "no bound" if event.bound is None else number(event.bound)
            return f"{event.how} at {bound}"
        case ev.Scale():
            held = ", step held back" if event.skipped else ""
            return f"gradient scaler: {event.how}{held}"
        case ev.Batch():
            return f"pass {event.count} over data loader {event.loader}"
        case ev.Made():
            return f"{event.what} made"
        case _:
            return _rarest(event, roster)


def _rarest(event: ev.Event, roster: Roster) -> str:
    match event:
        case ev.Drop():
            return f"{event.function} drops values in {_module(event.module, roster)}, in eval mode"
        case ev.Unseen():
            return f"{event.what} region not seen: {event.name}"
        case ev.Parted():
            return f"{event.one_name} and {event.other_name} are one tensor no longer"
        case ev.Shared():
            names = [_module(number, roster) for number in (event.module, event.model)]
            return f"{names[0]} lies in the memory of {names[1]}"
        case ev.Misnamed():
            return f"`{event.name}` set to False, an attribute that torch does not know"
        case ev.Held():
            return f"{_module(event.module, roster)} keeps a tensor in `{event.name}`"
        case ev.Mark():
            return event.text
        case ev.Failure():
            return f"raised {event.type}: {event.message.partition(chr(10))[0]}"
        case _:
            return ev.kind(event)


def _norm(value: float | None) -> str:
    return "not finite" if value is None else number(value)


def _step(event: ev.Step, roster: Roster) -> str:
    entry = roster.optimizers.get(event.optimizer)
    name = entry.label or entry.type if entry else f"optimizer {event.optimizer}"
    if event.skipped:
        return f"step of {name}, held back by the gradient scaler"
    idle = f", {len(event.idle)} without a gradient" if event.idle else ""
    rates = f", learning rate {_rates(event.lrs)}" if event.lrs else ""
    return f"step of {name}: {counted(event.moved, 'tensor')} written{idle}{rates}"


def _modes(event: ev.Forward) -> str:
    mode = "train mode" if event.training else "eval mode"
    return f"{mode}, grad {'on' if event.grad else 'off'}"


def _rates(rates: tuple[float, ...]) -> str:
    return ", ".join(dict.fromkeys(number(rate) for rate in rates))


def _module(number: int, roster: Roster) -> str:
    if number not in roster.modules:
        return f"module {number}"
    return roster.module_name(number) or roster.modules[number].type


def _tensor(number: int, roster: Roster) -> str:
    return roster.name(number) if number in roster.tensors else f"tensor {number}"
