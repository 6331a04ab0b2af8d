"""SL516: a cross-validation whose folds train one model after another on the same weights."""

from steplens.model.event import Refolded
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL516", "folds-share-a-model", "warning", needs=("batch",))
class FoldsShareAModel:
    """A model that is judged on held-out samples on which it was trained in the fold before.

    ## What it does
    Reports when parameters are trained on one part of a dataset and judged on the rest of it, and
    then, from the values they have, trained on another part and judged on its rest, which was among
    what they were trained on before, all of it or, where the same samples are split at random again
    into parts of the same sizes, some of it. Parts are those of a `Subset` or a
    `SubsetRandomSampler`.

    ## Why is this bad?
    From the second fold on the held-out samples are not new to the model: the scores rise from fold
    to fold, and their mean says nothing of new data. So do those of a `random_split` in each epoch.

    ## Example
        model = Net()
        for train, held_out in folds:
            fit(model, Subset(data, train))
            scores.append(score(model, Subset(data, held_out)))

    ## Use instead
        for train, held_out in folds:
            model = Net()
            fit(model, Subset(data, train))
            scores.append(score(model, Subset(data, held_out)))

    ## When it is fine
    A model made anew, loaded or initialised again for each fold; parts that grow, as in active
    learning; parts of other samples, as those of clients or tasks; two folds that trade their
    parts.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases

    def refolded(self, event: Refolded) -> None:
        at = event.made or event.site
        if self.cases.again(at, event.step):
            return
        name = self.roster.module_name(event.module)
        said = f"{event.known} of {event.held} held-out samples are known to `{name}`: it was "
        label, help = (
            "made once for all folds",
            "make the model, and its optimizer, anew in each fold",
        )
        if event.anew:
            said += "trained on them before the data were split anew, and goes on from there"
            label, help = "split anew for each pass", "split once, before the first epoch"
        else:
            said += "trained on them in the fold before, and goes on from there"
        self.cases.open(
            at,
            max(event.step, 1),
            at,
            said,
            label=label if event.made else "judged here",
            because=because("judged here", event.site if event.made else None),
            evidence=(
                seen("held-out samples that were trained on before", event.known, 0),
                seen("parameters that kept their values in between", event.tensors, 0),
            ),
            help=help,
            event=event.index,
        )
