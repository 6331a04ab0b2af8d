"""The page as one HTML file: its assets, its data, and nothing from anywhere else."""

import base64
import hashlib
import html
from collections.abc import Mapping

from steplens.model.report import Report
from steplens.views import text
from steplens.views.page.data import LARGEST, UNSEEN, page_data
from steplens.views.paint import PLAIN, Look
from steplens.views.speech import asset

SCRIPTS = ("state.js", "code.js", "tree.js", "findings.js", "lanes.js", "search.js", "page.js")


def render(report: Report, look: Look = PLAIN) -> str:
    """The page. ``look`` gives the language, and the rules' texts by code."""
    return document(report, look.lang, look.pages)


def document(report: Report, lang: str, pages: Mapping[str, str], largest: int = LARGEST) -> str:
    """The page with at most ``largest`` bytes of data."""
    data, speech = page_data(report, lang, pages, largest)
    theme, style = asset("theme.js"), asset("page.css")
    script = "\n".join(asset(name) for name in SCRIPTS)
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src {_hash(theme)} {_hash(script)}; style-src {_hash(style)}"
    )
    parts = {
        "lang": {"en": "en", "zh": "zh-Hans"}[speech.lang],
        "policy": policy,
        "title": _escaped(f"{report.program} - steplens"),
        "theme": theme,
        "style": style,
        "static": _escaped(text.render(report, Look(lang=lang, pages=pages))),
        "data": data,
        "script": script,
    }
    pieces = asset("page.html").split("{{")
    out = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        name = name.strip()
        word = name.removeprefix("say ")
        out += [parts[name] if name in parts else _escaped(speech.texts[word]), rest]
    return "".join(out)


def _hash(code: str) -> str:
    """The digest by which the page's own policy allows this code and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def _escaped(words: str) -> str:
    return html.escape(UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", words))
