"""What the page says, in the reader's language: templates with places to fill."""

import json
from functools import cache
from importlib.resources import files

FALLBACK = "en"


class Speech:
    """The texts of one language. A template with ``|`` holds the form for one, then for many
    (``{n}``)."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.texts = _texts(FALLBACK) | (_texts(lang) if lang != FALLBACK else {})

    def say(self, key: str, **values: object) -> str:
        """The text of ``key`` with its places filled."""
        text = self.texts[key]
        if "|" in text:
            one, many = text.split("|", 1)
            text = one if values.get("n") == 1 else many
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        return text


def asset(name: str) -> str:
    """The text of a file in ``views/assets``."""
    return files("steplens.views").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _texts(lang: str) -> dict[str, str]:
    return json.loads(asset(f"words.{lang}.json"))
