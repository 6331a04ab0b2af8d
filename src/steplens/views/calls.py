"""Each observed call in a few words, for timelines without line-by-line detail."""

from collections.abc import Callable

from steplens.model import event as ev
from steplens.model.roster import Roster
from steplens.views.speech import ENGLISH, Speech
from steplens.views.values import number

OTHER = ("fraction", "repeat", "unset", "best")  # kinds of Vain with words of their own
# no calls, but readings
HIDDEN = (ev.Line, ev.End, ev.Values, ev.Idle, ev.Cut, ev.Drift, ev.Flagged)


def shown(event: ev.Event) -> bool:
    """Whether the event has a row: batches, readings of values and the end of the run have none."""
    if isinstance(event, ev.Batch):
        return event.form == "epoch"
    return not isinstance(event, HIDDEN)


def words(event: ev.Event, roster: Roster, speech: Speech = ENGLISH) -> str:
    """What the call did, as one short sentence without a full stop."""
    say = speech.say
    match event:
        case ev.Mode():
            way, n = say("train" if event.training else "eval"), len(event.switched)
            return say("said.mode", module=_module(event.module, roster, speech), way=way, n=n)
        case ev.GradMode():
            key = "said.grad-on" if event.enabled else "said.grad-off"
            return say(key, how=event.how, form=event.form)
        case ev.Forward():
            return _forward(event, roster, speech)
        case ev.Backward():
            loss = "" if event.loss is None else say("said.loss", loss=number(event.loss))
            return say("said.backward", n=len(event.leaves), loss=loss)
        case ev.GradCall():
            return say("said.grad", n=len(event.leaves))
        case ev.Clear():
            way = say("call.to-none" if event.to_none else "call.to-zero")
            return say("said.clear", by=say(f"said.by-{event.by}"), n=event.tensors, way=way)
        case ev.Step():
            return _step(event, roster, speech)
        case ev.Schedule():
            return say("said.schedule", count=event.count, rates=_rates(event.lrs))
        case ev.Made():
            return say(f"said.made-{event.what}")
        case ev.Mark():
            return event.text
        case ev.Failure():
            first = event.message.partition("\n")[0]
            return say("said.failure", type=event.type, message=first)
        case _:
            return _rarer(event, roster, speech)


def _rarer(event: ev.Event, roster: Roster, speech: Speech) -> str:
    say = speech.say
    match event:
        case ev.Repeat():
            return say("said.repeat", calls=say("n.calls", n=event.events), n=event.times)
        case ev.Write():
            ends = {"before": _norm(event.before_norm, say), "after": _norm(event.after_norm, say)}
            known = event.tensor in roster.tensors
            name = roster.name(event.tensor) if known else say("said.tensor", number=event.tensor)
            return say("said.write", tensor=name, how=event.how, **ends)
        case ev.Load():
            return say("said.load", what=event.what)
        case ev.Clip():
            bound = say("said.no-bound") if event.bound is None else number(event.bound)
            return say("said.clip", how=event.how, bound=bound)
        case ev.Scale():
            held = say("said.held") if event.skipped else ""
            return say("said.scale", how=event.how, held=held)
        case ev.Batch():
            return say("said.batch", count=event.count, loader=event.loader)
        case ev.Unseen():
            return say("said.unseen", what=event.what, name=event.name)
        case _:
            return _fact(event, roster, speech)


def _fact(event: ev.Event, roster: Roster, speech: Speech) -> str:
    """What was noticed, rather than called."""
    say = speech.say
    match event:
        case ev.Drop():
            module = _module(event.module, roster, speech)
            return say("said.drop", function=event.function, module=module)
        case ev.Parted():
            return say("said.parted", one=event.one_name, other=event.other_name)
        case ev.Shared():
            one, other = (_module(n, roster, speech) for n in (event.module, event.model))
            return say("said.shared", one=one, other=other)
        case ev.Misnamed() | ev.Vain():
            kind = f"-{event.what}" if isinstance(event, ev.Vain) and event.what in OTHER else ""
            return say(f"said.{ev.kind(event)}{kind}", name=event.name)
        case ev.Held():
            return say("said.keeps", module=_module(event.module, roster, speech), name=event.name)
        case ev.Kept() | ev.Drawn():
            return _of_graph(event, say)
        case ev.Redraw():
            return say("said.redraw", how=event.how)
        case ev.Alike():
            one, other = event.workers
            words = ("said.again", "said.alike")[one != other]
            return say(words, one=one, other=other, loader=event.loader)
        case ev.Apart() | ev.ReadAlike():
            return _ranks(event, say)
        case (
            ev.Undrawn()
            | ev.Rewritten()
            | ev.Padded()
            | ev.Refolded()
            | ev.Unmatched()
            | ev.Summed()
            | ev.Spent()
        ):
            return _data(event, say)
        case ev.Mixed() | ev.Behind() | ev.Foreseen() | ev.Positioned() | ev.Blended():
            return _of_module(event, _module(event.module, roster, speech), say)
        case _:
            return ev.kind(event)


def _of_module(
    event: ev.Mixed | ev.Behind | ev.Foreseen | ev.Positioned | ev.Blended,
    module: str,
    say: Callable[..., str],
) -> str:
    if isinstance(event, ev.Mixed):
        return say("said.mixed", module=module, op=event.op)
    if isinstance(event, ev.Behind):
        return say("said.behind", module=module, n=len(event.norms))
    if isinstance(event, ev.Blended):
        return say("said.blended", module=module, n=event.updates)
    if isinstance(event, ev.Foreseen):
        return say("said.foreseen", module=module)
    return say("said.positioned", module=module, what=event.name)


def _data(
    event: ev.Undrawn
    | ev.Rewritten
    | ev.Padded
    | ev.Refolded
    | ev.Unmatched
    | ev.Summed
    | ev.Spent,
    say: Callable[..., str],
) -> str:
    if isinstance(event, ev.Refolded):
        return say("said.refolded", n=event.known, of=event.held)
    if isinstance(event, ev.Spent):
        return say("said.spent", name=event.name)
    if isinstance(event, ev.Summed):
        return say("said.summed", zeros=event.zeros, ones=event.ones)
    if isinstance(event, ev.Padded):
        return say("said.padded", n=event.hidden)
    if isinstance(event, ev.Unmatched):
        return say("said.unmatched", name=event.name)
    if isinstance(event, ev.Undrawn):
        return say("said.undrawn", loader=event.loader, n=event.samples - event.weights)
    return say("said.rewritten", loader=event.loader, what=event.what)


def _of_graph(event: ev.Kept | ev.Drawn, say: Callable[..., str]) -> str:
    if isinstance(event, ev.Drawn):
        return say("said.drawn", name=event.family)
    return say("said.kept", n=event.graphs)


def _ranks(event: ev.Apart | ev.ReadAlike, say: Callable[..., str]) -> str:
    if isinstance(event, ev.Apart):
        return say("said.apart", other=event.other, n=event.count)
    words = "said.read-both" if event.both else "said.read-alike"
    return say(words, other=event.other, loader=event.loader)


def _norm(value: float | None, say: Callable[[str], str]) -> str:
    return say("non-finite") if value is None else number(value)


def _step(event: ev.Step, roster: Roster, speech: Speech) -> str:
    say, entry = speech.say, roster.optimizers.get(event.optimizer)
    name = entry.label or entry.type if entry else say("said.optimizer", number=event.optimizer)
    if event.skipped:
        return say("said.skipped", name=name)
    idle = say("said.idle", n=len(event.idle)) if event.idle else ""
    rates = say("said.rates", rates=_rates(event.lrs)) if event.lrs else ""
    return say("said.step", name=name, n=event.moved, idle=idle, rates=rates)


def _forward(event: ev.Forward, roster: Roster, speech: Speech) -> str:
    say = speech.say
    mode, grad = say("train" if event.training else "eval"), say("on" if event.grad else "off")
    return say("said.forward", module=_module(event.module, roster, speech), mode=mode, grad=grad)


def _rates(rates: tuple[float, ...]) -> str:
    return ", ".join(dict.fromkeys(number(rate) for rate in rates))


def _module(number: int, roster: Roster, speech: Speech) -> str:
    if number not in roster.modules:
        return speech.say("said.module", number=number)
    return roster.module_name(number) or roster.modules[number].type
