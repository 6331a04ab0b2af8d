"""SL002: a compiled, scripted, captured or sharded region could not be watched."""

from steplens.model.event import Unseen
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen


@rule("SL002", "region-not-seen", "note", needs=("unseen",))
class RegionNotSeen:
    """A compiled, scripted, captured or sharded region that could not be watched.

    ## What it does
    Notes each region of the program that steplens cannot see into: what `torch.compile`,
    `torch.jit.script` and `torch.jit.trace` make, CUDA graphs, and modules whose parameters are
    spread over processes (FSDP, DTensor).

    ## Why is this bad?
    It is not. But 'no findings' does not cover such a region: the calls in it are not heard and the
    lines that made its part of the graph are not known. Steps, clears, backward passes and the
    parameters' counters are still seen outside of it.

    ## Example
        model = torch.compile(model)

    ## Use instead
        if not args.preflight:
            model = torch.compile(model)

    ## When it is fine
    Always: it says what was not looked at. Run a few steps without compiling to have it all seen.
    What a library compiles for itself is not told.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def unseen(self, event: Unseen) -> None:
        cause = (event.what, event.name)
        if self.cases.again(cause, event.step + 1):
            return
        self.cases.open(
            cause,
            event.step + 1,
            event.site,
            f"the {event.what} `{event.name}` is not watched",
            label="not seen from here on",
            evidence=(seen("not seen", event.why),),
            help="to have it watched, run a few steps without it "
            + ("(`TORCH_COMPILE_DISABLE=1`)" if event.what == "compiled" else "in eager mode"),
            event=event.index,
        )
