"""Runs a program as python would, with a Session watching it."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from steplens.check import crash, entry, ranks, turn
from steplens.check.children import watch_children
from steplens.check.progress import Progress
from steplens.check.session import Session, StopProgram
from steplens.config import Config
from steplens.errors import BadProgram
from steplens.model.report import Report


def run_program(
    target: str, args: list[str], module: bool, config: Config
) -> tuple[Report, int, Path | None]:
    """Run ``target`` (``module``: as ``python -m``); its Report, its exit status, and the file in
    which the Report is saved (None: it could not be).

    The process is the program's from then on: ``__main__``, ``sys.argv`` and ``sys.path`` stay as
    it left them, so that its threads and atexit handlers go on. An exception of the program is
    shown after the Report is saved. Raises BadProgram when there is nothing to start.
    """
    if not module and target.endswith(".ipynb"):
        run = _notebook(target, args)
    else:
        run = _script(target, args, module)
    session = Session(config, program=f"-m {target}" if module else target)
    with turn.working(config.folder):
        report, status = _watched(session, run, config)
    saver = session.saver
    return report, status, saver.path if saver is not None and saver.placed else None


def _notebook(target: str, args: list[str]) -> Callable[[Session], None]:
    for needed in ("IPython", "nbformat"):
        if find_spec(needed) is None:
            raise BadProgram(
                f"`{target}` is a notebook, and {needed} is not installed; "
                "run `pip install 'steplens[notebook]'`"
            )
    from steplens.check.notebook import Notebook

    return Notebook(target, args).run


def _script(target: str, args: list[str], as_module: bool) -> Callable[[Session], None]:
    start = entry.module(target) if as_module else entry.script(target)

    def run(session: Session) -> None:
        main = entry.install_main(start, args)
        code = start.load(main)
        if as_module:
            _own_module(main, session)
        elif main.__file__ is not None:
            session.own(main.__file__)
        exec(code, vars(main))

    return run


def _own_module(main: ModuleType, session: Session) -> None:
    """Count the package that ``-m`` runs as the user's, wherever it is installed."""
    spec = main.__spec__
    top = spec.name.partition(".")[0] if spec is not None else ""
    if spec is None or top == "torch" or top in sys.stdlib_module_names:
        return
    package = sys.modules.get(top) if "." in spec.name else None
    for folder in getattr(package, "__path__", ()):
        session.user_root(folder)
    if spec.origin is not None:
        session.own(spec.origin)


def _watched(
    session: Session, run: Callable[[Session], None], config: Config
) -> tuple[Report, int]:
    process = os.getpid()
    progress = Progress(config.quiet)
    if progress.on:
        session.listeners.append(progress.hear)
    session.start(frame=None)
    alone = watch_children(session)
    error: BaseException | None = None
    try:
        run(session)
    except BaseException as raised:  # whatever ends the program
        error = raised
    progress.clear()
    if os.getpid() != process:
        raise SystemExit(_leave_child(error))
    status = _status(error)
    shown = isinstance(error, Exception | KeyboardInterrupt) and not isinstance(error, BadProgram)
    alone()
    session.stop(status=status, error=error if shown else None)
    report = _with_ranks(session)
    if isinstance(error, BadProgram):
        raise error
    if status == "stopped":
        if not config.quiet:
            sys.stderr.write(f"steplens: stopped after {report.steps} steps, as --steps asks\n")
        return report, 0
    if error is not None:
        crash.show(error)
    return report, crash.exit_status(error)


def _with_ranks(session: Session) -> Report:
    """The Report to show: that of the ranks that the program started, where it did."""
    report = session.report
    if report.ranks.several and report.ranks.rank:
        return report
    shown = ranks.gathered(report, session.launch, session.config.folder)
    if session.saver is not None and not report.steps and shown is not report:
        session.saver.discard()
    return shown


def _status(error: BaseException | None) -> str:
    if isinstance(error, StopProgram):
        return "stopped"
    return "done" if crash.exit_status(error) == 0 else "failed"


def _leave_child(error: BaseException | None) -> int:
    """The end of a child that the program forked by hand: the Report is its parent's."""
    if error is not None and not isinstance(error, StopProgram):
        crash.show(error)
    return crash.exit_status(error)
