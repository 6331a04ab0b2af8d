"""Hosting: Sessions inside another tool's process (IPython, pytest, a trainer), which shows what
they find itself. Nothing is written to disk."""

from collections.abc import Mapping

from steplens import config as settings
from steplens.check.session import Session
from steplens.errors import BadSetting

WORDS = ("select", "ignore", "allow", "fail_on")


def guest(program: str, flags: Mapping[str, object], *, search: bool = False) -> Session:
    """A Session that is not yet started, under the user's settings and these.

    ``search`` says that models and optimizers which are already alive take part.
    """
    session = Session(settings.load({**flags, "folder": "none"}), program)
    session.saver, session.search = None, search
    return session


def wanted(words: Mapping[str, object]) -> tuple[dict[str, object], str]:
    """The settings, and the least severity that counts, that these words of a marker ask for.

    ``allow`` names rules whose findings are meant. BadSetting for a word there is not.
    """
    for word in words:
        if word not in WORDS:
            near = settings.nearest(word, WORDS)
            raise BadSetting(f"the marker has no `{word}`{near} (known: {', '.join(WORDS)})")
    bar = words.get("fail_on")
    if bar not in settings.SEVERITIES:
        accepted = ", ".join(settings.SEVERITIES)
        raise BadSetting(f"the marker's `fail_on` is {bar!r}; accepted are {accepted}")
    rules = {key: _listed(words[key]) for key in WORDS[:3] if words.get(key)}
    allowed = rules.pop("allow", ())
    if allowed:
        rules["ignore"] = (*rules.get("ignore", ()), *allowed)
    return dict(rules), str(bar)


def _listed(given: object) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)  # type: ignore[arg-type]
