"""Children: ranks that a program starts by ``multiprocessing`` are watched as the program is.

A child is watched from its beginning, whatever its start method, but leaves a Report only if it
joined a process group of several ranks. Workers of a DataLoader are left alone. Processes started
in any other way (``subprocess``, ``os.fork``) are not watched.
"""

import multiprocessing.process
import multiprocessing.spawn
import pickle
import sys
from collections.abc import Callable
from multiprocessing import util
from typing import Any, cast

from steplens.check import crash
from steplens.check.session import Session, StopProgram
from steplens.model.ranks import Ranks

START = """
try:
    from steplens.check.children import begin
except ImportError:  # steplens came from a path that the child does not have
    pass
else:
    begin(given)
"""
EARLY = 100  # before multiprocessing's own finalizers


class StopRank(SystemExit):
    """Raised inside a rank's step call when ``--steps`` is reached; its process ends with 0."""


class Carrier:
    """Rides in what ``multiprocessing`` sends to a spawned process: watching begins as it is
    unpickled there, before the program's main module is imported."""

    def __init__(self, session: Session) -> None:
        self.given = pickle.dumps(
            (session.config, session.report.program, session.places.roots, session.launch)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (START, {"given": self.given})


def watch_children(session: Session) -> Callable[[], None]:
    """Have the processes that the program starts from now on watched; returns what ends that."""
    process, spawn = multiprocessing.process.BaseProcess, cast("Any", multiprocessing.spawn)
    start, prepare = process.start, spawn.get_preparation_data
    starting: list[Any] = []

    def started(self: Any) -> None:
        starting.append(self)
        try:
            start(self)
        finally:
            if starting:  # in a forked child the list is the parent's
                starting.pop()

    def prepared(name: str) -> dict[str, Any]:
        data = prepare(name)
        if starting and not _works_for_a_loader(starting[-1]):
            data["steplens"] = Carrier(session)
        return data

    process.start, spawn.get_preparation_data = started, prepared
    util.register_after_fork(session, _forked)

    def undo() -> None:
        if process.start is started:
            process.start = start
        if spawn.get_preparation_data is prepared:
            spawn.get_preparation_data = prepare

    return undo


def begin(given: bytes) -> None:
    """Watch this spawned process; ``given`` is a Carrier's."""
    global _session
    config, program, roots, launch = pickle.loads(given)
    _session = session = Session(config, program)
    session.places.roots += roots
    session.child, session.launch, session.stopping = True, launch, StopRank
    session.start()
    _end_with_process(session)
    util.register_after_fork(session, _end_with_process)  # a fork server forgets the one above


def _forked(session: Session) -> None:
    """This process is a fork: its run goes on where its parent's was."""
    if _works_for_a_loader(multiprocessing.process.current_process()) or session.report.complete:
        return
    session.listeners.clear()
    session.child, session.stopping = True, StopRank
    session.report.ranks = Ranks()
    session.branch()
    _end_with_process(session)


def _end_with_process(session: Session) -> None:
    util.Finalize(None, _ended, args=(session,), exitpriority=EARLY)


def _ended(session: Session) -> None:
    """The process is about to end, perhaps with an exception on its way."""
    if session.report.complete:
        return
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit) and crash.exit_status(error) and error.__context__ is not None:
        error = error.__context__  # torch.multiprocessing.spawn leaves with 1 after telling of it
    if isinstance(error, StopRank | StopProgram):
        status = "stopped"
    else:
        status = "failed" if crash.exit_status(error) else "done"
    session.stop(status, error if isinstance(error, Exception) else None)


def _works_for_a_loader(process: Any) -> bool:
    target = getattr(process, "_target", None)
    return getattr(target, "__module__", "").startswith("torch.utils.data")


_session: Session | None = None
