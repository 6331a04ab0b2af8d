"""SL603: layers whose gradient is nothing beside that of the last layer, at every look."""

from steplens.model.event import Backward, Values
from steplens.model.graph import GraphReading
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, number, rule, seen
from steplens.rules.slopes import CANCELLED, movers, walled

LOOKS = 10
STRAIGHT = "pass the gradient straight through, `w + (round(w) - w).detach()`"
HELP = {
    "layer_norm": "normalise over the features: over a single element nothing is left",
    CANCELLED: "detach the difference: `z + (q - z).detach()`",
}


class Layer:
    """What was seen of one weight: at how many looks it was faint, and the largest norm then."""

    __slots__ = ("looks", "most", "last")

    def __init__(self) -> None:
        self.looks = 0
        self.most = 0.0
        self.last = 0  # number of the look at which it was last faint


@rule("SL603", "vanishing-gradients", "warning", needs=("values",))
class VanishingGradients:
    """Layers whose gradient was under 1e-8 of the largest one at every look.

    ## What it does
    Reports weights of two and more dimensions whose gradient norm was under 1e-8 of the largest
    gradient of the same step, and which that step moved by under 1e-4 of their size, at each of at
    least ten looks from the first step on. Layers whose gradient was exactly zero are counted in
    when that of others shows that it fades towards them.

    ## Why is this bad?
    Such layers stand still while the last ones train on what random features they happen to give.
    Deep stacks of saturating activations without normalisation or skip connections do this.

    ## Example
        nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.Sigmoid()) for _ in range(20)])

    ## Use instead
        nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU())
                        for _ in range(20)])

    ## When it is fine
    Adam trains a layer whose gradient is faint beside that of a coefficient in other units: such a
    layer moves. Frozen parameters have no gradient and are not looked at; biases (those before a
    norm have a gradient of rounding size), zero-initialised last layers and gates, which part from
    zero within a few steps, are not reported. Where all that is faint is exactly zero, as for a
    head multiplied by 0 or behind dead units, nothing fades, and it is reported only where an
    operation without a slope (`round`, a layer norm over a single element) stands on every way to
    the loss, or a sum that adds and takes off the same, `z + (q - z)`.
    Values are read at the first ten steps and then on a cadence that keeps the budget.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.layers = Newest[int, dict[int, Layer]](64)
        self.looks: dict[int, int] = {}
        self.graph: GraphReading | None = None  # the newest that was read with its lines

    def backward(self, event: Backward) -> None:
        graph = event.graph
        if graph is not None and (self.graph is None or any(op.site for op in graph.ops)):
            self.graph = graph

    def values(self, event: Values) -> None:
        if not event.full or not event.largest_norm or event.tensors < 3:
            return
        looks = self.looks[event.optimizer] = self.looks.get(event.optimizer, 0) + 1
        if looks == 1:
            tensors = [faint.tensor for faint in event.faint]
            weights = [t for t in tensors if len(self.roster.tensors[t].shape) >= 2]
            self.layers[event.optimizer] = {tensor: Layer() for tensor in weights}
        layers = self.layers.get(event.optimizer)
        if not layers:
            return
        moved = movers(event)
        for faint in event.faint:
            layer = layers.get(faint.tensor)
            if layer is not None and not (faint.norm and faint.tensor in moved):
                layer.looks, layer.last = layer.looks + 1, looks
                layer.most = max(layer.most, faint.norm or 0.0)
        for tensor in [tensor for tensor, layer in layers.items() if layer.last != looks]:
            del layers[tensor]
            self.cases.withdraw(event.optimizer)
        if looks >= LOOKS and layers and not self.cases.again(event.optimizer, event.step):
            self._open(event, layers, looks)

    def _open(self, event: Values, layers: dict[int, Layer], looks: int) -> None:
        if any(layer.most > 0 for layer in layers.values()):
            self.tell(event, layers, looks)
        elif self.graph is not None:
            self._walled(event, layers, looks, self.graph)

    def _walled(
        self, event: Values, layers: dict[int, Layer], looks: int, graph: GraphReading
    ) -> None:
        """Layers that no gradient can reach, as the graph shows."""
        name, at, tensors = walled(graph, layers)
        if not tensors:
            return
        self.cases.open(
            event.optimizer,
            event.step,
            at or event.site,
            f"the gradient of {named(self.roster, sorted(tensors))} was exactly zero at all "
            f"{looks} looks: {_reason(name)}",
            label="no gradient passes here",
            because=because("stepped here, with nothing for them", event.site if at else None),
            evidence=(
                seen("tensors with a gradient of zero", len(tensors), 0),
                seen("largest gradient norm", event.largest_norm or 0.0),
            ),
            help=HELP.get(name, STRAIGHT),
            event=event.index,
            tensors=sorted(tensors),
        )

    def _made(self, tensor: int) -> Site | None:
        module = self.roster.tensors[tensor].module
        return self.roster.modules[module].site if module >= 0 else None

    def tell(self, event: Values, layers: dict[int, Layer], looks: int) -> None:
        most = max(layer.most for layer in layers.values())
        largest = named(self.roster, (event.largest,))
        self.cases.open(
            event.optimizer,
            event.step,
            event.site,
            f"the gradient of {len(layers)} layers was under 1e-8 of the largest at all {looks} "
            "looks",
            label="left these layers as good as unchanged",
            because=because("the first of them was made here", self._made(min(layers))),
            evidence=(
                seen("layers", named(self.roster, sorted(layers))),
                seen("their largest gradient norm", most),
                seen("largest gradient norm", f"{number(event.largest_norm)} in {largest}"),
                seen("looks", f"{looks} of {event.step} steps"),
            ),
            help="normalise between the layers, add skip connections, or use an activation that "
            "does not saturate",
            event=event.index,
        )


def _reason(name: str) -> str:
    if name == CANCELLED:
        return "what they give is added and taken off again in one sum"
    return f"`{name}` lets none through"
