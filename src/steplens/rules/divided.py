"""Divided: losses of an accumulation that were divided by their number, as SL207 tells of them: by
it twice, once and their gradients once more, or once where each is a mean over another number of
labels."""

from collections.abc import Mapping

from steplens.model.event import Backward, Step
from steplens.model.graph import GraphReading
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.rules.base import Cases, because, number, seen
from steplens.rules.inverted_steps import unused

KEPT = 256  # backward passes remembered
LEAST = 3  # a loss that is halved twice may have been meant
ROUNDED = 1e-4  # of a factor
APART = 2  # times the labels of one mean, those of another
SHOWN = 16  # means of one step whose labels are named


class Means:
    """A backward of a mean over labels, divided by ``by``: how many it has, and has ignored; its
    line, and that of the loss."""

    __slots__ = ("by", "labels", "ignored", "site", "made")

    def __init__(self, event: Backward, graph: GraphReading) -> None:
        (self.by, *_), place = graph.divided
        self.labels, self.ignored = graph.counted
        self.site, self.made = event.site, graph.ops[place].site


class Divided:
    """The divided losses of the newest backward passes, and the steps that used them."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.twice = Newest[int, tuple[float, Site | None]](KEPT)  # those divided twice, by what
        self.once = Newest[int, tuple[float, Site | None]](KEPT)
        self.rescaled: dict[Site | None, int] = {}  # first step of which it is known
        self.means = Newest[int, Means](KEPT)
        self.before: dict[Site | None, int] = {}  # first step that used unequal means of a line

    def backward(self, event: Backward, graph: GraphReading, averaged: bool) -> None:
        """A loss goes backward; ``averaged`` says that what was divided is a mean."""
        divisors, _ = graph.divided
        if len(divisors) == 2 and divisors[0] == divisors[1] and averaged:
            self.twice[event.index] = divisors[0], event.site
        if len(divisors) == 1 and averaged:
            self.once[event.index] = divisors[0], event.site
        if graph.counted[0]:
            self.means[event.index] = Means(event, graph)

    def step(self, event: Step) -> None:
        """An optimizer stepped."""
        if event.rescaled and not event.skipped:
            self._rescaled(event, event.rescaled)
        if event.skipped or event.rewritten or not event.uses:
            return
        if self.twice:
            self._twice(event)
        if self.means and not event.closure:
            self._unequal(event)

    def _twice(self, event: Step) -> None:
        """Whether all that this step uses was divided twice by the number of its contributions."""
        count, site = _by_their_number(self.twice, event)
        if not count or self.cases.again(("twice", site), event.step):
            return
        self.cases.open(
            ("twice", site),
            event.step + 1,
            site,
            f"{count} averaged losses were added up for one step, each divided by {count} twice",
            label=f"ran {count} times for each step",
            because=because("used them here", event.site),
            evidence=(seen("each loss was divided by", count * count, count),),
            help=f"divide the loss once by {count}",
            event=event.index,
        )

    def _rescaled(self, event: Step, factor: float) -> None:
        """Whether all that this step uses was divided by the number of its contributions, and then
        the gradients, too; at two looks."""
        count, site = _by_their_number(self.once, event)
        if not count or abs(factor * count - 1) > ROUNDED:
            return
        first = self.rescaled.setdefault(site, event.step)
        cause = "rescaled", site
        if first == event.step or self.cases.again(cause, event.step + 1):
            return
        self.cases.open(
            cause,
            first + 1,
            site,
            f"{count} averaged losses were added up for one step, each divided by {count}, and the "
            f"gradients by {count} once more",
            label=f"ran {count} times for each step",
            because=because("used them here", event.site),
            evidence=(
                seen("each loss was divided by", count),
                seen("the gradients were multiplied with", factor, "1"),
            ),
            help=f"divide by {count} at one of the two places",
            event=event.index,
        )
        self.cases.amend(cause, last_step=event.step + 1, count=2)

    def _unequal(self, event: Step) -> None:
        """Whether this step uses means over numbers of labels that are far apart, each divided by
        their count. The last of them may be of a short batch."""
        new = {tuple(each) for each in unused(event)}
        passes = new.pop() if len(new) == 1 else ()
        found = [mean for each in passes if (mean := self.means.get(each)) is not None]
        labels = [mean.labels for mean in found]
        count = len(passes)
        if count < 2 or len(found) < count or len({mean.site for mean in found}) > 1:
            return
        if any(abs(mean.by - count) > 1e-3 for mean in found) or not any(
            mean.ignored for mean in found
        ):
            return
        site, least, most = found[0].site, min(labels[:-1]), max(labels)
        if most < APART * least or self.cases.again(("unequal", site), event.step + 1):
            return
        first = self.before.setdefault(site, event.step)
        if first == event.step:
            return
        more = f", and {count - SHOWN} more" if count > SHOWN else ""
        self.cases.open(
            ("unequal", site),
            first + 1,
            site,
            f"{count} means were averaged for one step, over {least} to {most} labels each",
            label=f"ran {count} times for each step",
            because=(
                *because("a mean over the labels of its own batch", found[0].made),
                *because("used them here", event.site),
            ),
            evidence=(
                seen("labels of each", ", ".join(map(str, labels[:SHOWN])) + more),
                seen("labels that were ignored", sum(mean.ignored for mean in found)),
                seen("weight of a label of the smallest", f"{number(most / least)} times", "1"),
            ),
            help='sum each loss (`reduction="sum"`) and divide by the labels of all that a step '
            "uses, if each label is to count the same",
            event=event.index,
        )
        self.cases.amend(("unequal", site), last_step=event.step + 1, count=2)


def _by_their_number(
    known: Mapping[int, tuple[float, Site | None]], event: Step
) -> tuple[int, Site | None]:
    """How many contributions a step uses, and the line of all their losses, where each of these is
    known to have been divided by so many; 0 for none."""
    new = unused(event)
    found = {known.get(each, (0.0, None)) for one in new for each in one}
    by, site = found.pop() if len(found) == 1 else (0.0, None)
    same = by >= LEAST and {len(each) for each in new} == {by}
    return (int(by), site) if same else (0, None)
