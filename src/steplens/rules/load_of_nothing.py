"""SL317: a state loaded into a module none of whose names it has, or of which nothing is left."""

from steplens.model.event import End, Load, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.trees import Trees

WRAPPED = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put before


@rule("SL317", "load-of-nothing", "error", needs=("load",))
class LoadOfNothing:
    """A state loaded into a module none of whose names it has.

    ## What it does
    Reports a `load_state_dict(..., strict=False)` after which torch itself counts every parameter
    of the module among those missing, once a step has been made or the run is over and nothing else
    has been loaded into that module or a part of it. A warning where every matrix that a load
    brought has been drawn anew (`normal_`, `uniform_`, `nn.init`) before the first forward: the
    values that stand there have nothing of those that were loaded.

    ## Why is this bad?
    `strict=False` leaves out each name that does not fit, and says so only in what it returns. With
    a prefix too many, or a checkpoint that holds the state under a key, no name fits: the model
    goes on with its random weights, as if the pretrained ones were no better.

    ## Example
        model.load_state_dict(torch.load("checkpoint.pt"), strict=False)

    ## Use instead
        checkpoint = torch.load("checkpoint.pt")
        model.load_state_dict(checkpoint["state_dict"])

    ## When it is fine
    A load of which some names fit. One name after another tried until some fit; a line that loads
    into several modules, one of which takes something. An empty state. Loads of which some matrix
    is kept (a new head), or that another load replaces.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = Trees(roster)
        self.empty = Newest[int, Load](64)  # module -> the load that brought it nothing
        self.lines = Newest[Site | None, bool](256)  # lines that loaded something
        self.filled = Newest[int, bool](256)  # modules that took something

    def load(self, event: Load) -> None:
        if event.what == "undone":
            self._undone(event)
        elif event.unknown:
            self.empty[event.owner] = event
        elif event.what == "module" and event.given:
            self.empty.pop(event.owner, None)
            self.lines[event.site] = True
            self.filled[event.owner] = True

    def _undone(self, event: Load) -> None:
        """What was loaded has been written over before anything used it."""
        entry = self.roster.modules[event.owner]
        name = self.roster.module_name(event.owner) or entry.type
        if self.cases.again((event.site, "undone"), event.step + 1):
            return
        self.cases.open(
            (event.site, "undone"),
            event.step + 1,
            event.site,
            f"what was loaded into `{name}` was drawn anew before a forward used it",
            label="nothing of these weights is left",
            because=because("drawn anew here", event.taken_at),
            evidence=(
                seen("matrices that were loaded and drawn anew", f"{event.given} of {event.given}"),
                seen("for example", named(self.roster, event.aliases)),
            ),
            help="initialise first and load then, or initialise the new layers alone",
            severity="warning",
            event=event.index,
        )

    def step(self, event: Step) -> None:
        if self.empty:
            self._tell(event.step + 1)

    def end(self, event: End) -> None:
        self._tell(event.step)

    def _tell(self, step: int) -> None:
        for load in self.empty.values():
            if (
                load.site in self.lines
                or self._filled(load.owner)
                or self.cases.again(load.site, step)
            ):
                continue
            self._open(load)
        self.empty.clear()

    def _filled(self, module: int) -> bool:
        """Whether a part of a module, or a module that holds it, took something."""
        above = self.trees.above
        return any(module in above(one) or one in above(module) for one in self.filled)

    def _open(self, load: Load) -> None:
        entry = self.roster.modules[load.owner]
        name = self.roster.module_name(load.owner) or entry.type
        prefix = next((each for each in WRAPPED if load.other.startswith(each)), None)
        if prefix is not None:
            help = f"take the prefix off: `{{name.removeprefix('{prefix}'): v for name, v in ...}}`"
        elif load.under:
            help = f"load the state in it: `checkpoint['{load.under}']`"
        else:
            help = "give the names the module has; leave out `strict=False` to be told of others"
        self.cases.open(
            load.site,
            load.step + 1,
            load.site,
            f"`load_state_dict` loaded nothing into {name}: the state has none of its names",
            label="every name was left out",
            because=because("the module was made here", entry.site),
            evidence=(
                seen("first name in the state", f"`{load.other}`", f"`{load.own}`"),
                seen("names in the state", load.unknown),
                seen("of these, names of the module", 0),
            ),
            help=help,
            event=load.index,
        )
