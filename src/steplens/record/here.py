"""Here: where the probes keep what they know of one thread."""

from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steplens.record.readings import Latest
    from steplens.record.recorder import Recorder


class Here:
    """What the probes keep of one thread; any other may have to bring it up to date."""

    __slots__ = ("fresh", "latest", "local", "numbers", "pending", "recent", "scaled", "thread")

    def __init__(self, recorder: "Recorder") -> None:
        self.thread = get_ident()
        self.local: dict[str, Any] = recorder.local.__dict__  # that of this thread
        self.numbers: dict[str, Any] = recorder.backwards.numbers.__dict__
        self.recent: deque[tuple[int, int, int]] = recorder.forwards.recent
        self.pending: list[Any] = recorder.steps.pending
        self.fresh: dict[int, int] = recorder.ledger.fresh
        self.latest: Latest | None = None
        self.scaled: deque[int] = recorder.scaling.backwards
