"""SL526: batches each of which holds samples of one class alone."""

from steplens.model.event import Backward, Batch
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.chains import Lines

LOOKS = 8  # batches whose labels were looked at
SHARE = 0.7  # of them hold one class; where one ends and the next begins there are two
CLASSES = 3  # met so


class Labels:
    """What the batches of one DataLoader held."""

    __slots__ = ("made", "looks", "alone", "classes")

    def __init__(self, made: Site | None) -> None:
        self.made = made
        self.looks = 0
        self.alone = 0
        self.classes: list[int] = []  # in the order in which they came


@rule("SL526", "batches-of-one-class", "warning", needs=("batch", "backward"))
class BatchesOfOneClass:
    """Batches that hold samples of one class each, as the data is sorted and not shuffled.

    ## What it does
    Reports a DataLoader that reads its dataset in order when seven of ten batches looked at, of
    eight at least, gave a cross-entropy labels that were all the same, three classes or more after
    one another.

    ## Why is this bad?
    Each step moves the model towards the one class that it sees, and the next steps take it back.
    The loss of each batch falls, and the model that is evaluated gives the last classes for all;
    batch norm's statistics are those of one class at a time. Folders of pictures are read class by
    class.

    ## Example
        loader = DataLoader(ImageFolder("train"), batch_size=64)

    ## Use instead
        loader = DataLoader(ImageFolder("train"), batch_size=64, shuffle=True)

    ## When it is fine
    Samplers that draw, batches of several classes, two classes, classes that follow one another in
    loaders of their own (tasks), and evaluation.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.lines = Lines()
        self.known: dict[int, Labels] = {}
        self.reading = -1  # the loader that gave the newest batch in order, -1 for none

    def batch(self, event: Batch) -> None:
        if event.form == "epoch":
            self.reading = event.loader if event.shuffled is False else -1
            if self.reading >= 0 and event.loader not in self.known and len(self.known) < 64:
                self.known[event.loader] = Labels(event.made)
        elif event.form == "end":
            self.reading = -1

    def backward(self, event: Backward) -> None:
        graph, labels = event.graph, self.known.get(self.reading)
        if graph is None or labels is None or len(graph.single) != 1:
            return
        one = graph.single[0]
        labels.looks += 1
        if one.low == one.high:
            labels.alone += 1
            if labels.classes[-1:] != [one.low]:
                labels.classes.append(one.low)
        classes = len({*labels.classes})
        if labels.looks < LOOKS or labels.alone < SHARE * labels.looks or classes < CLASSES:
            return
        if labels.made is None or self.cases.again(labels.made, event.step + 1):
            return
        loss = self.lines.of(graph.ops[one.op], event.site)
        self.cases.open(
            labels.made,
            event.step + 1,
            labels.made,
            f"{labels.alone} of {labels.looks} batches looked at hold samples of one class each: "
            "the data is sorted, and is read in order",
            label="read in order",
            because=because("the loss that was given them", loss),
            evidence=(
                seen("classes, as they came", ", ".join(map(str, labels.classes[:8]))),
                seen("samples of one class in the newest batch", one.count)
                if one.low == one.high
                else seen("classes in the newest batch", "several"),
            ),
            help="say `shuffle=True`",
            event=event.index,
        )
