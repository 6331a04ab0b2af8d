"""Each call in a sentence, in the reader's language."""

from steplens.model import event as ev
from steplens.model.report import Report
from steplens.views import calls
from steplens.views.page.places import Places
from steplens.views.speech import Speech
from steplens.views.values import number


class Sentences:
    """Says what calls did. What has no sentence here is said as the timeline view says it."""

    def __init__(self, report: Report, speech: Speech, places: Places) -> None:
        self.report = report
        self.roster = report.roster
        self.speech = speech
        self.places = places

    def of(self, event: ev.Event) -> str:
        """One call."""
        say = self.speech.say
        match event:
            case ev.Mode():
                way = "call.train" if event.training else "call.eval"
                return say(way, module=self._module(event.module), n=len(event.switched))
            case ev.GradMode():
                return say("call.grad-on" if event.enabled else "call.grad-off", how=event.how)
            case ev.Forward():
                return self._forward(event)
            case ev.Backward():
                loss = "" if event.loss is None else say("call.loss", loss=number(event.loss))
                return say("call.backward", n=len(event.leaves)) + loss
            case ev.Clear():
                return self._clear(event)
            case ev.Step():
                return self._step(event)
            case ev.Made():
                return say(f"call.made-{event.what}", name=self._made(event))
            case ev.Write():
                return self.write(event)
            case ev.Failure():
                first = event.message.partition("\n")[0]
                return say("call.failure", type=event.type, message=first)
            case _:
                return calls.words(event, self.roster, self.speech)

    def write(self, event: ev.Write) -> str:
        """A write outside a step, with its place: it may be told later."""
        known = event.tensor in self.roster.tensors
        name = self.speech.say("said.tensor", number=event.tensor)
        if known:
            name = self.roster.name(event.tensor)
        return self.speech.say(
            "call.write", tensor=name, how=event.how, place=self.places.say(event.site)
        )

    def _forward(self, event: ev.Forward) -> str:
        say = self.speech.say
        words = say(
            "call.forward",
            module=self._module(event.module),
            mode=say("train" if event.training else "eval"),
            grad=say("on" if event.grad else "off"),
        )
        return words + (say("call.drew") if event.drew else "")

    def _clear(self, event: ev.Clear) -> str:
        way = self.speech.say("call.to-none" if event.to_none else "call.to-zero")
        unused = sum(
            len(share.tensors) for share in event.lost if any(not c.used_by for c in share.holds)
        )
        words = self.speech.say(f"call.clear-{event.by}", n=event.tensors, way=way)
        return words + (self.speech.say("call.unused", n=unused) if unused else "")

    def _step(self, event: ev.Step) -> str:
        say = self.speech.say
        entry = self.roster.optimizers.get(event.optimizer)
        name = (entry.label or entry.type) if entry else str(event.optimizer)
        if event.skipped:
            return say("call.step-skipped", name=name)
        idle = say("call.idle", n=len(event.idle)) if event.idle else ""
        rates = ", ".join(dict.fromkeys(map(number, event.lrs)))
        return say("call.step", name=name, n=event.moved, step=event.step + 1, lr=rates) + idle

    def _made(self, event: ev.Made) -> str:
        table = self.roster.optimizers if event.what == "optimizer" else self.roster.schedulers
        entry = table.get(event.number)
        if entry is None:
            return ""
        return f"{entry.label} ({entry.type})" if entry.label else entry.type

    def _module(self, module: int) -> str:
        if module not in self.roster.modules:
            return self.speech.say("said.module", number=module)
        return self.roster.module_name(module) or self.roster.modules[module].type
