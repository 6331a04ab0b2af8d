"""Levelled: the rates of an optimizer's groups, where a schedule that is given one number for all
is about to take their place."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import lr_scheduler

from steplens.record.optim import rates

GIVEN = (  # schedules that set rates instead of multiplying them, and what they are given
    (lr_scheduler.OneCycleLR, ("max_lr",)),
    (lr_scheduler.CyclicLR, ("base_lr", "max_lr")),
)


def about_to_level(
    scheduler: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[float, ...]:
    """The rates of the groups, before a schedule is made that is told one rate for all; none where
    it is told one for each, where there is one group, or where one was made before it, which keeps
    each group's first rate in the group itself."""
    for kind, names in GIVEN:
        if isinstance(scheduler, kind):
            given = dict(zip(("optimizer", *names), args, strict=False)) | dict(kwargs)
            groups = getattr(given.get("optimizer"), "param_groups", ())
            one = all(isinstance(given.get(name), (int, float)) for name in names)
            if one and len(groups) > 1 and not any("initial_lr" in group for group in groups):
                return rates(groups)
    return ()
