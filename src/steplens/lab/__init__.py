"""The lab: claims about torch, decided by experiment on the installed version.

``decide`` is for notebooks and scripts; ``steplens lab`` is the same in a terminal. torch is
imported when a claim is decided, not before.
"""

from collections.abc import Callable
from typing import Any


class Stories(list[Any]):
    """Outcomes that show themselves as text."""

    lang = "en"

    def __repr__(self) -> str:
        from steplens.lab import story
        from steplens.views.paint import PLAIN, paint

        told = [paint(story.short(outcome, self.lang, 100), PLAIN).rstrip() for outcome in self]
        return "\n\n".join(told)


def decide(*claims: str | Callable[[], Any], lang: str = "en") -> Stories:
    """Decide claims here and now; their outcomes, which show numbers, verdict and truth.

    A claim is given by its name (a group's stands for all of it), or by a function of that name,
    which is run in place of the claim's own experiment: change it, and see what becomes of the
    verdict. ``lang`` is en or zh. Raises
    SteplensError for an unknown claim, with the nearest known name.
    """
    from steplens.lab import command, recorded, running
    from steplens.lab.claims import BY_NAME

    own: dict[str, Callable[[], Any]] = {}
    names: dict[str, None] = {}
    for each in claims:
        chosen = recorded.chosen((each if isinstance(each, str) else each.__name__,))
        names |= dict.fromkeys(chosen)
        if not isinstance(each, str):
            own[chosen[0]] = each
    rest = command.outcomes([name for name in names if name not in own], lang)
    found = {outcome.claim.name: outcome for outcome in rest}
    found |= {name: running.run(BY_NAME[name], experiment) for name, experiment in own.items()}
    stories = Stories(found[name] for name in names)
    stories.lang = lang
    return stories
