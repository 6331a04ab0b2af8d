"""SL605: units of one layer that were equal at the start and go on being equal."""

from steplens.model.event import Backward, Twins, Values
from steplens.model.finding import Evidence
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, rule, seen


@rule("SL605", "symmetric-weights", "error", needs=("values",))
class SymmetricWeights:
    """Units of one layer that started equal and get equal gradients: they will never differ.

    ## What it does
    Finds rows of a weight (and columns, in modules that are not torch's own) that are bit-equal
    when first seen, and follows them through the first
    steps. Reports those that, several steps later, have moved together and have equal gradients
    (up to the rounding of a matrix product), or that no gradient has reached at all.

    ## Why is this bad?
    Two units with equal incoming and outgoing weights compute the same and are given the same
    update, for ever. A layer filled with one constant has the capacity of one unit; one filled with
    zeros between others filled with zeros does not train at all.

    ## Example
        nn.init.constant_(layer.weight, 0.01)

    ## Use instead
        nn.init.xavier_uniform_(layer.weight)

    ## When it is fine
    Equal rows that part are not reported: a zero-initialised last layer, LoRA's B, a gate, equal
    filters over different channels, a layer with dropout behind it. Nor are outputs that go to the
    loss through no other weight (classes that do not occur), nor features of the data (those that
    never change), nor units that no other weight of the model holds equal as well (gates, shares
    of a whole), nor half or fewer of the rows that started equal. Layers of one unit, biases,
    norms, embeddings and frozen weights are not looked at. Rows that nothing reaches are reported
    after six looks with a learning rate above 0. The line named is the one that last filled the
    weight with a constant, where a function of `torch.nn.init` or of the tensor did, or the line of
    a class of the user's that sets it; else the backward.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.site: Site | None = None
        self.found: dict[int, list[Twins]] = {}

    def backward(self, event: Backward) -> None:
        self.site = event.site

    def values(self, event: Values) -> None:
        for twins in event.twins:
            root = self.roster.tensors[twins.tensor].root
            found = self.found.setdefault(root, [])
            found.append(twins)
            if not self.cases.again(root, event.step):
                self.tell(event, twins, root)
            else:
                self.cases.amend(root, evidence=tuple(map(self.evidence, found)))
                self._also(root, twins.site)

    def _also(self, root: int, site: Site | None) -> None:
        """Another weight of the model, filled at another line."""
        known = self.cases.findings[root]
        places = {known.at, *[why.at for why in known.because]}
        if site is not None and site not in places and len(known.because) < 6:
            more = because("others filled with equal rows here", site)
            self.cases.amend(root, because=(*known.because, *more))

    def evidence(self, twins: Twins) -> Evidence:
        name, units = named(self.roster, (twins.tensor,)), ("rows", "columns")[twins.axis]
        if not twins.moved:
            return seen(name, f"{twins.left} pairs of equal {units}, of {twins.rows}; no gradient")
        return seen(
            name,
            f"{twins.left} of {twins.pairs} pairs of equal {units} left, of {twins.rows}; moved "
            f"by {twins.moved:.4g}, apart by {twins.apart:.4g}",
        )

    def tell(self, event: Values, twins: Twins, root: int) -> None:
        name = named(self.roster, (twins.tensor,))
        units = ("rows", "columns")[twins.axis]
        together = "moved together" if twins.moved else "had no gradient"
        self.cases.open(
            root,
            event.step,
            twins.site or self.site or event.site,
            f"{units} of {name} were equal at the start and have {together} since",
            label="filled with equal rows here" if twins.site else "gives these units equal slopes",
            because=because("each step moves them alike", event.site),
            evidence=(self.evidence(twins),),
            help="initialise the weight with random values, as `nn.init.xavier_uniform_` or "
            "`nn.init.kaiming_uniform_` draw them; constants are for biases and norms",
            event=event.index,
        )
