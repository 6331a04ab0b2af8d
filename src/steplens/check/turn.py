"""Turn: the first rank of a launch holds a lock while its run lasts, so that the others can wait
for its Report.

The lock is the system's own (``fcntl``), on a file beside the Reports: whoever wants it sleeps in
the kernel until it is free, and it is free too when the process that held it was killed. Where
there is no such lock (Windows), and on machines that the first rank does not run on, nobody waits.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import sha1
from pathlib import Path
from threading import Thread

from steplens.config import launched

try:
    import fcntl
except ImportError:
    fcntl = None


@contextmanager
def working(folder: str) -> Generator[None]:
    """Hold the lock of this launch during the block, if this process is its first rank; ``folder``
    is that of the Reports. A lock that cannot be had is done without."""
    rank, _, launch = launched()
    if rank != 0 or not folder or fcntl is None:
        yield
        return
    path, process = _file(folder, launch), os.getpid()
    held = None
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.open("wb")
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        if held is not None and os.getpid() == process:  # not in a fork of it
            with suppress(OSError):
                path.unlink()
            held.close()


def wait(folder: str, launch: str, patience: float) -> None:
    """Wait until the first rank of this launch has ended, ``patience`` seconds at most. Returns at
    once where it has, or never began to be watched in this ``folder``."""
    try:
        file = _file(folder, launch).open("rb")
    except OSError:
        return
    # lockf knows no time limit, so it waits in a thread that may be left to itself
    waiter = Thread(target=_take, args=(file.fileno(),), daemon=True)
    waiter.start()
    waiter.join(patience)
    if not waiter.is_alive():
        file.close()


def _take(file: int) -> None:
    if fcntl is not None:
        with suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_SH)


def _file(folder: str, launch: str) -> Path:
    return Path(folder).absolute() / f"{sha1(launch.encode()).hexdigest()[:16]}.lock"
