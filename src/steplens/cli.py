"""The command line: parse, call, exit status. torch is imported by `run` and `lab` only."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from steplens import __version__
from steplens import config as settings
from steplens.check import completing, output
from steplens.config import Config
from steplens.errors import BadReport, BadSetting, SteplensError, described

if TYPE_CHECKING:
    from steplens.model.report import Report

CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, message="steplens %(version)s")
def cli() -> None:
    """Shows what every call in a PyTorch program does to its training state."""


def main() -> None:
    """Run the command and leave with its exit status; a closed pipe ends it quietly."""
    try:
        status = cli.main(prog_name="steplens", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
        status = 2
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except click.Abort:
        status = 130
    except SteplensError as error:
        click.echo(f"steplens: {error}", err=True)
        status = error.exit_code
    except BrokenPipeError:
        status = 0
    output.close(sys.stdout)
    sys.exit(status if isinstance(status, int) else 0)


def _option(*names: str, **facts: Any) -> Callable[[Any], Any]:
    return click.option(*names, default=None, **facts)


def _rules_option(name: str, says: str) -> Callable[[Any], Any]:
    return _option(name, metavar="RULES", multiple=True, help=says, shell_complete=completing.rules)


def _output_options(command: Any) -> Any:
    """The options of every command that shows a report."""
    for option in (
        _option("--lang", metavar="en|zh", help="Language of explanations; default by the locale.",
                shell_complete=completing.words(settings.LANGUAGES)),
        _option("--output-file", metavar="FILE", help="Write the view to FILE; - is the terminal.",
                shell_complete=completing.files),
        _option("--output-format", metavar="FORMAT",
                help=f"One of {', '.join(settings.OUTPUT_FORMATS)}.",
                shell_complete=completing.words(settings.OUTPUT_FORMATS)),
    ):  # fmt: skip
        command = option(command)
    return command


@cli.command(context_settings={"allow_interspersed_args": False})
@click.option("-m", "--module", is_flag=True, help="TARGET is a module, as in `python -m`.")
@_option("--steps", metavar="N", help="End the program cleanly after N optimizer steps.")
@_option(
    "--lines",
    metavar="N",
    help="Line-by-line detail for the first N steps; default 10, 0 for none.",
)
@_rules_option("--select", "Codes, prefixes, names or ALL; default ALL.")
@_rules_option("--ignore", "Rules to leave out.")
@_rules_option("--extend-select", "Rules to add to the selection.")
@_option(
    "--fail-on",
    metavar="SEVERITY",
    help="Exit with 1 at a finding of error, warning or note, or above.",
    shell_complete=completing.words(settings.SEVERITIES),
)
@_option(
    "--budget",
    metavar="SHARE",
    help="Share of a step that watching may cost; default 0.01, 1: no bound.",
)
@click.option("--no-source", is_flag=True, help="Leave source text out of the report.")
@click.option(
    "--library-frames", is_flag=True, help="Name lines of libraries too, not yours alone."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress line, no account, no hints.")
@_output_options
@click.argument("target", metavar="SCRIPT", shell_complete=completing.files)
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
def run(
    target: str, args: tuple[str, ...], module: bool, no_source: bool, quiet: bool, **flags: Any
) -> int:
    """Run a .py, a .ipynb or, with -m, a module, and say what it did to its training state.

    Everything after SCRIPT goes to the program. The exit status is the program's own.
    """
    flags |= {"source": False if no_source else None, "quiet": True if quiet else None}
    flags["library_frames"] = flags["library_frames"] or None
    config = settings.load({name: value for name, value in flags.items() if value != ()})
    if config.folder:  # the program may change the working folder
        config = replace(config, folder=str(Path(config.folder).absolute()))
    if config.output_file not in (None, "-"):
        config = replace(config, output_file=str(Path(str(config.output_file)).absolute()))
    _check_selection(config)
    from steplens.check.program import run_program

    report, status, saved = run_program(target, list(args), module, config)
    if report.ranks.rank > 0:
        from steplens.check import ranks

        other = ranks.apart(report, config.folder)
        if other is None:
            return status
        report, config = other, _for_rank(config, report.ranks.rank)
    from steplens.check import showing

    try:
        showing.present(report, config, after_run=True, source=saved)
    except BadReport as error:  # the program's status stands
        click.echo(f"steplens: {error}", err=True)
    return status or int(_failed(report, config.fail_on))


@cli.command()
@click.argument("report", required=False, shell_complete=completing.reports)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@_option(
    "--why", metavar="NAME", help="Follow one parameter, all below a prefix, or `loss` instead."
)
@_output_options
def show(report: str | None, open_page: bool, why: str | None, **flags: Any) -> None:
    """Show a saved REPORT, the newest by default, in any view.

    The html page is written beside the report, unless --output-file names a file (- for the
    terminal).
    """
    if open_page:
        flags["output_format"] = flags.get("output_format") or "html"
    config = settings.load(flags)
    if open_page and (config.output_format != "html" or why is not None):
        raise BadSetting("--open opens the html page; leave out `--output-format` and `--why`")
    from steplens.check import showing
    from steplens.model import codec

    path = Path(report) if report else _newest(Path(config.folder))
    found = codec.read(path)
    try:
        if why is not None:
            showing.follow(found, why, config)
        else:
            showing.present(found, config, after_run=False, source=path)
    except (SteplensError, OSError):
        raise
    except Exception as error:
        raise BadReport(f"`{path}` is damaged and cannot be shown: {described(error)}") from error
    if open_page:
        showing.open_page(showing.page_file(path, config))


@cli.command()
@click.argument(
    "rules", nargs=-1, required=True, metavar="RULE...", shell_complete=completing.rules
)
@_option("--lang", metavar="en|zh", help="Language; default by the locale.")
def explain(rules: tuple[str, ...], lang: str | None) -> None:
    """Print the page of a RULE, by code or name."""
    spoken = settings.load({"lang": lang}).lang
    from steplens.rules import catalogue, selection

    known = [selection.one(word) for word in rules]
    output.emit("\n\n".join(catalogue.explained(rule, spoken, output.width()) for rule in known))


@cli.command()
@_option("--lang", metavar="en|zh", help="Language; default by the locale.")
@_option("--output-format", metavar="FORMAT", help="full or json.")
def rules(lang: str | None, output_format: str | None) -> None:
    """List the rules."""
    spoken = settings.load({"lang": lang}).lang
    from steplens.rules import RULES, catalogue

    if output_format not in (None, "full", "json"):
        raise BadSetting(f"--output-format is {output_format!r}; accepted are full, json")
    if output_format == "json":
        output.emit(catalogue.as_json(RULES, spoken))
    else:
        output.emit(catalogue.listing(RULES, spoken, output.width()))


def _complete_claims(context: click.Context, argument: click.Parameter, word: str) -> list[str]:
    """Names of claims and groups that begin as ``word`` does; no torch needed."""
    from steplens.lab import recorded

    return [name for name in (*recorded.groups(), *recorded.names()) if name.startswith(word)]


@cli.command()
@_option("--lang", metavar="en|zh", help="Language; default by the locale.")
@_option("--output-file", metavar="FILE", help="Write to FILE instead.")
@_option("--output-format", metavar="FORMAT", help="full or json.")
@click.argument("claims", nargs=-1, metavar="[CLAIM]...", shell_complete=_complete_claims)
def lab(
    claims: tuple[str, ...], lang: str | None, output_file: str | None, output_format: str | None
) -> int:
    """Decide claims about torch by experiment, on the installed version.

    Without CLAIM: all, one line each. A claim's name tells its whole story, with the experiment
    and what each line of it changed; a group's name lists the group. Exits with 1 if a verdict is
    not the one recorded for this torch.
    """
    config = settings.load({"lang": lang, "output_file": output_file})
    if output_format not in (None, "full", "json"):
        raise BadSetting(f"--output-format is {output_format!r}; accepted are full, json")
    from steplens.lab import recorded

    names = recorded.chosen(claims)
    stories = any(recorded.is_claim(word) for word in claims)
    from steplens.lab import command
    from steplens.views.paint import Look

    written: list[str] = []
    emit = output.emit if config.output_file is None else written.append
    look = Look(color=config.output_file is None and settings.colored(sys.stdout), lang=config.lang)
    if output_format == "json":
        expected = command.as_json(names, config.lang, emit, watched=stories)
    elif stories:
        expected = command.told(names, config.lang, output.width(), look, emit)
    else:
        expected = command.listed(names, config.lang, output.columns(), look, emit)
    if config.output_file is not None:
        output.write(Path(config.output_file), "".join(written))
    return int(not expected)


def _for_rank(config: Config, rank: int) -> Config:
    """The settings under which a rank after the first shows what only it found."""
    file = Path(config.output_file) if config.output_file is not None else None
    named = str(file.with_stem(f"{file.stem}-rank{rank}")) if file is not None else None
    return replace(config, quiet=True, output_file=named)


def _check_selection(config: Config) -> None:
    """Refuse unknown rules before the program starts."""
    from steplens.rules import selection

    selection.select(config.select, config.ignore, config.extend_select)
    for words in config.per_file_ignores.values():
        for word in words:
            selection.matching(word)


def _failed(report: "Report", fail_on: str | None) -> bool:
    if fail_on is None:
        return False
    from steplens.model.finding import at_least

    return bool(at_least(report.findings, fail_on))


def _newest(folder: Path) -> Path:
    reports = sorted(folder.glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    if not reports:
        raise BadReport(f"no report in `{folder}`; `steplens run SCRIPT` writes one")
    return reports[-1]
