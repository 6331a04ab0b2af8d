"""What the views say, in the reader's language: templates with places to fill.

``words.LANG.json`` holds what the page and its script say, ``told.LANG.json`` what every view says
of a run.
"""

import json
import re
from functools import cache, cached_property
from importlib.resources import files

FALLBACK = "en"
PLACE = re.compile(r"{(\w+)}")


class Speech:
    """The texts of one language. A template with ``|`` holds the form for one, then for many
    (``{n}``)."""

    def __init__(self, lang: str = FALLBACK) -> None:
        self.lang = lang

    @cached_property
    def page(self) -> dict[str, str]:
        """The texts of the page alone."""
        return self._read("words")

    @cached_property
    def texts(self) -> dict[str, str]:
        """All texts."""
        return self.page | self._read("told")

    def say(self, key: str, **values: object) -> str:
        """The text of ``key`` with its places filled."""
        text = self.texts[key]
        if "|" in text:
            one, many = text.split("|", 1)
            text = one if values.get("n") == 1 else many
        return PLACE.sub(lambda found: str(values.get(found[1], found[0])), text)

    def _read(self, name: str) -> dict[str, str]:
        return _texts(name, FALLBACK) | _texts(name, self.lang)


ENGLISH = Speech()


def asset(name: str) -> str:
    """The text of a file in ``views/assets``."""
    return files("steplens.views").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _texts(name: str, lang: str) -> dict[str, str]:
    return json.loads(asset(f"{name}.{lang}.json"))
