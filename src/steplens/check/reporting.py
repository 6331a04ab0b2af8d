"""Report as Python users meet it: the model's Report that can show and save itself."""

import sys
from pathlib import Path

from steplens.config import spoken
from steplens.errors import BadReport, BadSetting
from steplens.model import codec
from steplens.model import report as model
from steplens.views.paint import Look

PAGED = ("full", "sarif", "html")  # views that show the pages of rules


class Report(model.Report):
    """Findings, timeline, and what was and was not looked at. ``print(report)`` is the ``concise``
    view."""

    def show(self, view: str = "full") -> None:
        """Print a view: full, concise, timeline, json, ... Raises BadSetting for a view there is
        not."""
        sys.stdout.write(self.text(view))

    def text(self, view: str = "full") -> str:
        """A view as text, without colour, in the language of the locale."""
        from steplens.views import VIEWS

        if view not in VIEWS:
            raise BadSetting(f"no view is called `{view}`; there are {', '.join(VIEWS)}")
        return VIEWS[view](self, self._look() if view in PAGED else Look(lang=spoken()))

    def save(self, path: str | Path) -> Path:
        """Write the report's JSON file; BadReport when it cannot be written."""
        target = Path(path)
        try:
            target.write_bytes(codec.encode(self))
        except OSError as error:
            raise BadReport(f"cannot write `{target}`: {error.strerror or error}") from None
        return target

    def __str__(self) -> str:
        return self.text("concise")

    def __repr__(self) -> str:
        return self.text("concise").rstrip()

    def _repr_html_(self) -> str:
        """The page in a frame, for notebooks: plain text where scripts are not trusted."""
        from steplens.views.page import embedded

        return embedded(self, self._look())

    def _look(self) -> Look:
        """The reader's language, and the texts of the rules that found something."""
        lang = spoken()
        return Look(pages=pages_of(self, lang), lang=lang)


def pages_of(report: model.Report, lang: str) -> dict[str, str]:
    """The pages of the rules that found something, by code."""
    from steplens.rules import RULES, pages

    codes = {finding.code for finding in report.findings}
    return {rule.code: pages.page(rule, lang) for rule in RULES if rule.code in codes}


def load(path: str | Path) -> Report:
    """The Report saved in ``path``; needs no torch. BadReport says in one line what is wrong with a
    file that is not one."""
    found = codec.read(Path(path))
    return Report(**{name: getattr(found, name) for name in found.__struct_fields__})
