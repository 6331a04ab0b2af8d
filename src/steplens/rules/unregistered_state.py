"""SL315: state of a model that is neither parameter nor buffer."""

from steplens.model.event import Held
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL315", "unregistered-state", "warning", needs=("forward",))
class UnregisteredState:
    """A tensor that forwards read and change, and that is in no checkpoint.

    ## What it does
    Reports a plain tensor attribute of a module, neither parameter nor buffer, that stood before
    the first forward in training, and that forwards of the first steps changed, in its own shape,
    and computed something trainable with, twice.

    ## Why is this bad?
    It is a part of what the model has learnt: a running mean, a bank of features, a counter. As a
    plain attribute it is in no `state_dict` and moves to no device; a restored model begins with
    the value from its constructor.

    ## Example
        self.mean = torch.zeros(64)
        ...
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)

    ## Use instead
        self.register_buffer("mean", torch.zeros(64))

    ## When it is fine
    Constants, what no value with a graph is computed with (the counts of a metric), last outputs
    that no forward reads, caches that begin as `None` or change their
    shape, hidden states taken out of the graph, and values that the program sets outside of the
    forwards are not reported. Only the first forwards of a model are looked at, and none where a
    region is compiled.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.alike: dict[object, list[str]] = {}  # by the line that sets it: the names

    def held(self, event: Held) -> None:
        entry = self.roster.modules[event.module]
        name = f"{self.roster.module_name(event.module)}.{event.name}"
        cause = (event.made or event.module, event.name)
        names = self.alike.setdefault(cause, [])
        names.append(name)
        if len(names) > 1:
            self.cases.amend(cause, message=_several(names, event.name))
            return
        self.cases.open(
            cause,
            event.step + 1,
            event.made or entry.site or event.site,
            f"`{name}` changes in training and forwards read it, and it is neither parameter nor "
            "buffer",
            label="a plain tensor attribute is set here"
            if event.made
            else "made here, with a plain tensor attribute",
            because=(
                *because("its module was made here", entry.site if event.made else None),
                *because("a forward of it ran here", event.site),
            ),
            evidence=[
                seen(f"forwards that read `{name}` after it had changed", event.reads, 0),
                seen("its shape", str(list(event.shape))),
            ],
            help=f'make it a buffer: `self.register_buffer("{event.name}", ...)`',
            event=event.index,
        )


def _several(names: list[str], attribute: str) -> str:
    more = f"{len(names) - 1} more module{'s' * (len(names) > 2)}"
    return (
        f"`{names[0]}` and `{attribute}` of {more} change in training and forwards read them, and "
        "they are neither parameters nor buffers"
    )
