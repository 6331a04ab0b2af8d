"""Showing: a report in the view that was asked for, and where that view goes."""

import os
import sys
from pathlib import Path

from steplens import config as settings
from steplens import views
from steplens.check import output
from steplens.check.reporting import PAGED, pages_of
from steplens.config import Config
from steplens.errors import SteplensError
from steplens.model.report import Report
from steplens.views import why
from steplens.views.paint import Look
from steplens.views.speech import Speech
from steplens.views.summary import summary_line
from steplens.views.timeline import lines

STORY_LINES = 60  # a run with at most so many changing lines shows its timeline at once
FOR_PEOPLE = ("full", "concise", "timeline")


def present(report: Report, config: Config, *, after_run: bool, source: Path | None = None) -> None:
    """Print the report's view, or write it to the output file; ``source`` is the report's own."""
    chosen = views.fitting(report, config.output_format, config.format_given)
    people = chosen in FOR_PEOPLE
    to_terminal = config.output_file in (None, "-")
    color = to_terminal and people and settings.colored(sys.stdout)
    speech = Speech(config.lang)
    pages = pages_of(report, config.lang) if chosen in PAGED else {}
    look = Look(color=color, brief=config.quiet, pages=pages, lang=config.lang)
    text = views.show(report, chosen, look)
    if (
        after_run
        and chosen == "full"
        and not config.quiet
        and 0 < len(lines(report)) <= STORY_LINES
    ):
        text = views.show(report, "timeline", look) + "\n" + text
    if chosen != config.output_format:
        text += speech.say("close.many", n=len(report.findings)) + "\n"
    target = page_file(source, config) if chosen == "html" else config.output_file
    if target is not None and str(target) != "-":
        output.write(Path(target), text)
        if chosen == "html":
            _say_where(Path(target), report if after_run else None, config)
    elif people and after_run:
        output.emit(_after(report, config, text, chosen))
    else:
        output.emit(text)


def page_file(source: Path | None, config: Config) -> Path:
    """Where the page goes: the output file, else beside the report, under the report's name."""
    if config.output_file is not None:
        return Path(config.output_file)
    if source is None:
        raise SteplensError("the report could not be saved, so give the page an `--output-file`")
    return source.with_suffix(".html")


def _say_where(file: Path, report: Report | None, config: Config) -> None:
    """Print where the page is; after a run the counts of what was found before it."""
    speech = Speech(config.lang)
    shown = os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    if report is None or config.quiet:
        output.emit(f"{shown}\n")
    else:
        output.emit(f"\n{summary_line(report, speech)}\n")
        output.emit(speech.say("close.page", file=shown) + "\n")


def open_page(file: Path) -> None:
    """Open a page in the user's browser; SteplensError where there is none."""
    import webbrowser

    if not webbrowser.open(file.absolute().as_uri()):
        raise SteplensError(f"no browser could be opened; open `{file}` in one")


def follow(report: Report, name: str, config: Config) -> None:
    """Print why one part of the run fares as it does, or write it to the output file."""
    to_terminal = config.output_file in (None, "-")
    color = to_terminal and settings.colored(sys.stdout)
    text = why.render(report, name, Look(color=color, lang=config.lang))
    if not to_terminal:
        output.write(Path(str(config.output_file)), text)
    else:
        output.emit(text)


def _after(report: Report, config: Config, text: str, chosen: str) -> str:
    """A run's closing text: set off from the program's own output, with the next commands."""
    if config.quiet:
        return text if report.findings or report.faults else ""
    others = [
        "steplens show",
        "steplens show --output-format timeline",
        "steplens show --open",
    ]
    if chosen == "timeline":
        others.pop(1)
    say = Speech(config.lang).say
    return "\n" + text + "".join(say("close.next", command=each) + "\n" for each in others)
