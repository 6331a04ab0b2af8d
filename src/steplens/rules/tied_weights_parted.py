"""SL309: two parameters that were one tensor, or were to be one, and are two."""

from steplens.model.event import Parted, Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL309", "tied-weights-parted", "error", needs=("backward",))
class TiedWeightsParted:
    """Two parameters that were one tensor and train apart now.

    ## What it does
    Reports a parameter that stood in two places of a model, where one place was later given another
    parameter, or the layers of both were replaced, or `to_empty` made a parameter for each place,
    and a backward reaches both. Two parameters of
    an optimizer with state that lie in one memory are a warning: each step moves it twice. An
    `nn.Embedding` and an `nn.Linear` of one model whose weights, two tensors that are trained, are
    equal before the first step, as a line of the model's class copies them: a note, and a warning
    where that function's name, or its class's, says that it ties or shares them. Two `nn.Linear`
    one of which begins as the other's transpose are reported in such a function or class alone.

    ## Why is this bad?
    Tying is a part of the model: one matrix reads words and writes them. Parted, the two drift
    apart, the model has more parameters than its author believes, and a checkpoint that stores one
    of them is wrong.

    ## Example
        self.head.weight = self.embed.weight
        self.embed.weight = nn.Parameter(0.02 * torch.randn(vocab, dim))

    ## Use instead
        self.head.weight = self.embed.weight
        nn.init.normal_(self.embed.weight, std=0.02)

    ## When it is fine
    Weights that are tied again before they train, and weights untied on purpose, by a copy of the
    shared values, are not reported, nor is one tied layer that is replaced as a whole (a new head
    for a new task).
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases

    def parted(self, event: Parted) -> None:
        if event.memory:
            self._memory(event)
            return
        evidence = [seen(f"tensors at `{event.one_name}` and `{event.other_name}`", 2, 1)]
        if event.distance is not None:
            evidence.append(seen("|difference|", event.distance, 0.0))
        self.cases.open(
            (event.one, event.other),
            event.step + 1,
            event.site,
            f"`{event.one_name}` and `{event.other_name}` were one tensor and train apart now",
            label=f"`{event.one_name}` was given another parameter here",
            because=because("tied here", event.tied),
            evidence=evidence,
            help="write the values in place (`nn.init.normal_(parameter)`), or tie the two again "
            "afterwards",
            event=event.index,
        )

    def _memory(self, event: Parted) -> None:
        self.cases.open(
            (event.one, event.other),
            event.step + 1,
            event.site,
            f"`{event.one_name}` and `{event.other_name}` are two parameters over one memory: each "
            "step moves it twice",
            label="given the memory of the other's here"
            if event.tied is not None
            else "the parameter or its module was made here",
            because=because("made here", event.tied if event.tied != event.site else None),
            evidence=[
                seen("parameters over one memory", 2, 1),
                seen("gradients and optimizer states for it", 2, 1),
            ],
            help="tie them as one `Parameter` (`self.head.weight = self.embed.weight`), without "
            "`nn.Parameter(...)` or `.data`",
            severity="warning",
            event=event.index,
        )

    def vain(self, event: Vain) -> None:
        if event.what != "copied":
            return
        self.cases.open(
            ("copied", event.name),
            max(event.step, 1),
            event.site,
            f"{event.name} begin with the same values{', transposed,' if event.of else ''} and are "
            "two tensors, which train apart",
            label="copies the values, and ties nothing",
            evidence=(seen("tensors", 2, 1), seen("|difference| before the first step", 0.0)),
            help="where they are to be tied, hold one and use it twice: "
            "`F.linear(h, self.encoder.weight.t())`"
            if event.of
            else "where they are to be tied, give both the one `Parameter`: "
            "`self.head.weight = self.embed.weight`",
            severity="warning" if event.value else "note",
            event=event.index,
        )
