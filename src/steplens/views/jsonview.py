"""The json view: the whole report, which `steplens show` reads again."""

import msgspec

from steplens.model.codec import encode
from steplens.model.report import Report
from steplens.views.paint import PLAIN, Look


def render(report: Report, look: Look = PLAIN) -> str:
    """The report as indented JSON, the same as in its file."""
    return msgspec.json.format(encode(report), indent=2).decode() + "\n"
