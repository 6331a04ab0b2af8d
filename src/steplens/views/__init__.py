"""Report -> str: the views, by the name of their output format."""

from steplens.errors import BadReport, described
from steplens.model.report import Report
from steplens.views import concise, github, jsonview, sarif, text, timeline
from steplens.views.paint import PLAIN, Look, View

MANY = 20  # findings above which the default view becomes concise


def _page(report: Report, look: Look = PLAIN) -> str:
    """The page; imported when it is wanted, as every command starts with this module."""
    from steplens.views import page

    return page.render(report, look)


VIEWS: dict[str, View] = {
    "full": text.render,
    "concise": concise.render,
    "timeline": timeline.render,
    "json": jsonview.render,
    "sarif": sarif.render,
    "github": github.render,
    "html": _page,
}


def fitting(report: Report, output_format: str, chosen: bool) -> str:
    """The format to show: the default ``full`` becomes ``concise`` with many findings."""
    crowded = len(report.findings) > MANY and output_format == "full" and not chosen
    return "concise" if crowded else output_format


def show(report: Report, output_format: str = "full", look: Look = PLAIN) -> str:
    """The report in one of the VIEWS; BadReport where what it holds does not fit together."""
    try:
        return VIEWS[output_format](report, look)
    except Exception as error:
        raise BadReport(
            f"the report cannot be shown as `{output_format}`, as it is damaged: {described(error)}"
        ) from error
