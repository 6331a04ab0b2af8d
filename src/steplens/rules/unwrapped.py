"""Unwrapped: ranks whose models are in no DistributedDataParallel, as SL704 tells of them."""

from steplens.model.event import Apart, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, seen


class Unwrapped:
    """Models that differ though their gradients are averaged, gradients that are averaged in part,
    and ranks that exchange nothing."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.latest: dict[int, Step] = {}

    def apart(self, event: Apart) -> None:
        """The next rank's samples were compared."""
        if event.alone:
            self._alone(event)
        elif event.tensors:
            self._partly(event)
        else:
            self._averaged(event)

    def _averaged(self, event: Apart) -> None:
        """Nothing wraps the model, and the gradients of the ranks are one."""
        step = self.latest.get(event.optimizer)
        made = self._made(event)
        self.cases.open(
            event.optimizer,
            max(event.step, 1),
            event.site or (step.site if step is not None else None),
            f"the gradients are the same on rank {event.other}, and the parameters are not",
            label="this step moves one of several different models",
            because=because("this rank's was made here", made),
            evidence=(
                seen("largest difference of a gradient", 0.0),
                seen("largest difference of a parameter", event.distance, 0.0),
            ),
            help="begin with one model: `dist.broadcast(p.data, 0)` for each parameter and buffer, "
            "before the first step",
            event=event.index,
        )

    def _made(self, event: Apart) -> Site | None:
        """Where the outermost module was made that an optimizer steps."""
        first = next(iter(self.roster.optimizers[event.optimizer].tensors), -1)
        root = self.roster.tensors[first].root if first >= 0 else -1
        return self.roster.modules[root].site if root >= 0 else None

    def _partly(self, event: Apart) -> None:
        """The program averages some gradients and not these."""
        names = named(self.roster, event.tensors)
        self.cases.open(
            event.optimizer,
            max(event.step, 1),
            event.site,
            f"the gradients of {names} are not averaged over the ranks, and others are, of models "
            "that began alike",
            label="this step moves them apart",
            evidence=(
                seen("largest difference of a gradient to the next rank's", event.distance, 0.0),
                seen("tensors that began alike and part", len(event.tensors), 0),
            ),
            help="average the gradient of every parameter",
            severity="warning",  # parts may be each rank's own, and begin alike by a seed
            event=event.index,
            tensors=event.tensors,
        )

    def _alone(self, event: Apart) -> None:
        """The ranks have one model each, and parts of one dataset."""
        made = self._made(event)
        self.cases.open(
            event.optimizer,
            max(event.step, 1),
            made or event.site,
            "each rank trained a model of its own on its part of the dataset: they began alike, "
            f"and nothing was exchanged in {event.count} steps",
            label="this model is in no `DistributedDataParallel`",
            because=because("this rank's gradients alone move it", event.site if made else None),
            evidence=(
                seen("collectives launched between the steps", 0),
                seen("largest difference of a parameter to the next rank's", event.distance, 0.0),
            ),
            help="wrap it: `DistributedDataParallel(model)`",
            event=event.index,
        )
