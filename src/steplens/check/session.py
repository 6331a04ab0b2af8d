"""Session: one watched run, from the first probe to the saved Report."""

import linecache
import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from msgspec.structs import replace

from steplens import __version__
from steplens.check import arrival, suppress
from steplens.check.allow import Regions
from steplens.check.chronicle import Chronicler
from steplens.check.reporting import Report
from steplens.check.saving import Saver
from steplens.config import Config, launched
from steplens.errors import described
from steplens.model.course import Surveyor
from steplens.model.event import Backward, Event, Repeat, Step, Values
from steplens.model.finding import Finding
from steplens.model.ranks import Ranks
from steplens.model.report import Cost, RulesRan
from steplens.model.site import Site
from steplens.record.places import Places
from steplens.rules import causes
from steplens.rules.base import Bench
from steplens.rules.selection import select


class StopProgram(BaseException):
    """Raised inside the user's step call when ``--steps`` is reached."""


class Session:
    """Watches everything between ``start`` and ``stop``.

    torch's probes go in when the program imports torch, or at once if it is there already; a
    program that never does pays nothing. ``listeners`` are called with each Step event and the
    findings so far. A fault of steplens itself is noted in ``faults`` and costs what it touches; it
    never reaches the program.
    """

    def __init__(self, config: Config, program: str) -> None:
        self.config = config
        self.report = Report(steplens=__version__, program=program, python=sys.version.split()[0])
        self.report.started = datetime.now().astimezone().isoformat(timespec="seconds")
        self.selected = select(config.select, config.ignore, config.extend_select)
        self.faults: dict[str, str] = {}  # by the part that failed
        self.bench = Bench(self.selected, self.report.roster)
        self.chronicler = Chronicler(self.report.roster)
        self.places = Places(config.library_frames)
        self.regions = Regions(self._next_event, self._file)
        self.saver: Saver | None = None
        self.listeners: list[Callable[[int, list[Finding]], None]] = []
        self.cell_sources: dict[str, str] = {}
        self.recorder: Any = None
        self.waiting: Callable[[], None] | None = None
        self.began = 0.0
        self.objects: tuple[Any, ...] = ()
        self.found = 0  # findings opened so far
        self.surveyor = Surveyor(self.report.course)
        self.search = True  # look for models and optimizers made before
        with self.guarded("saving"):
            self.saver = Saver(config.folder, program) if config.folder else None
        self.report.ranks = Ranks(*launched())
        self.launch = f"{os.getpid()}-{time.time_ns()}"  # for the ranks that the program starts
        self.child = False  # a process that the program started: it counts if it is a rank
        self.stopping: type[BaseException] = StopProgram

    # -- life ---------------------------------------------------------------------------------

    def start(self, frame: FrameType | None = None, objects: tuple[Any, ...] = ()) -> None:
        """Begin to watch. ``frame`` is a running frame of the user's whose lines are followed too;
        ``objects`` are models and optimizers made before."""
        self.began = time.perf_counter()
        _running.append(self)
        self.frame, self.objects = frame, objects
        with self.guarded("start"):
            if "torch" in sys.modules:
                self._arrived()
            else:
                self.waiting = arrival.when_imported("torch", self._arrived)
            self._save()

    def _arrived(self) -> None:
        with self.guarded("installation"):
            self._install()

    def _install(self) -> None:
        from steplens.record.recorder import Recorder

        self.report.torch = str(sys.modules["torch"].__version__)
        self.places = self.places.again()
        recorder = Recorder(self.places, self.report.roster, self.hear, self.config.lines)
        recorder.cadence.set_budget(self.config.budget)
        if self.config.steps:
            recorder.stop_at, recorder.stop = self.config.steps, self.stopping
        self.recorder = recorder
        search = self.search and self.waiting is None  # before torch nothing can have been made
        recorder.install(self.frame or sys._getframe(), self.objects, search)
        self.report.window = recorder.detail.window
        self.report.trail = recorder.detail.tracker.trail

    def stop(self, status: str = "done", error: BaseException | None = None) -> Report:
        """End the watch: take the probes out, close the rules, apply suppressions, save the
        Report."""
        if self in _running:
            _running.remove(self)
        with self.guarded("end"):
            if self.waiting is not None:
                self.waiting()
        recorder = self.recorder
        if recorder is not None:
            site = None
            with self.guarded("place"):
                site = self._site_of(error)
            with self.guarded("end"):
                recorder.ended(status, error, site)
            with self.guarded("removal"):
                recorder.remove()  # whatever has failed
        self.report.complete = True
        self.report.status = status
        with self.guarded("report"):
            self._settle()
        with self.guarded("regions"):
            self.regions.close()
        with self.guarded("saving"):
            self._save()
        return self.report

    @contextmanager
    def guarded(self, part: str) -> Generator[None, None, None]:
        """A fault in the block is noted, the first of each part, and goes no further."""
        try:
            yield
        except Exception as error:
            try:
                self.faults.setdefault(part, f"{part}: {described(error)}")
                self.report.faults = list(self.faults.values())
                self.report.faults = self._faults()
            except Exception:  # nobody is left to tell
                return

    def branch(self) -> None:
        """This process is a fork of the watched one: go on with a Report file, a stop and a window
        of its own."""
        if self.config.folder:
            self.saver = Saver(self.config.folder, self.report.program)
        if self.recorder is not None:
            self.recorder.branch(self.stopping)

    def _file(self, filename: str) -> tuple[str, int]:
        return self.places.file(filename)

    def _next_event(self) -> int:
        return self.recorder.next_index if self.recorder is not None else 0

    def _site_of(self, error: BaseException | None) -> Site | None:
        found = None
        trace = error.__traceback__ if error is not None else None
        while trace is not None:
            if self.places.owns(trace.tb_frame.f_code):
                found = self.places.at(trace.tb_frame.f_code, trace.tb_lasti, trace.tb_lineno)
            trace = trace.tb_next
        return found

    # -- events -------------------------------------------------------------------------------

    def mark(self, text: str) -> None:
        """Name a place in the run: an epoch, a stage."""
        if self.recorder is not None and self.recorder.active:
            self.recorder.mark(text)

    def raised(self, error: BaseException) -> None:
        """The program raised and goes on, as a notebook does after a cell that failed."""
        if self.recorder is not None:
            self.recorder.raised(error, self._site_of(error))

    def hear(self, event: Event) -> None:
        """One Event: kept, and heard by the rules."""
        for part, work in (
            ("rules", self.bench.hear),
            ("account", self.chronicler.hear),
            ("course", self.surveyor.hear),
            ("timeline", self._keep),
            ("saving", self._stepped),
        ):
            if part not in self.faults:
                try:
                    work(event)
                except Exception as error:
                    self.faults[part] = f"{part}: {described(error)} at event {event.index}"

    def _keep(self, event: Event) -> None:
        if isinstance(event, Values) and event.sizes:
            event = replace(event, sizes=())  # of each tensor: the account keeps the newest
        self.report.timeline.append(event)
        if self.bench.opened != self.found:
            self.found = self.bench.opened
            self.report.timeline.keep()

    def _stepped(self, event: Event) -> None:
        if isinstance(event, Repeat):
            self.report.steps += event.steps * event.times
        if isinstance(event, Backward) and not self.report.ranks.several:
            self._rank()  # of a rank that never steps, too
        if isinstance(event, Step):
            self.report.steps += not event.skipped
            if self.report.steps == 1:
                self._rank()
            for listener in self.listeners:
                listener(self.report.steps, causes.settle(self.bench.findings))
            if self.saver is not None and self.saver.due(self.bench.opened):
                self._save()

    def current(self) -> Report:
        """The Report up to now."""
        if self.recorder is not None:
            self.recorder.leave()
        if not self.report.complete:
            self._settle()
        return self.report

    def _rank(self) -> None:
        """Note which rank this process is; a group that was left is not forgotten."""
        place = self.recorder.place() if self.recorder is not None else None
        if place is not None and place[1] > 1:
            launch = self.launch if self.child else self.report.ranks.launch
            self.report.ranks = Ranks(place[0], place[1], launch)

    def _save(self) -> None:
        """Settle the Report, and write it if it is to be saved."""
        if self.saver is not None:
            began = time.monotonic()
            self._settle()
            ranks = self.report.ranks
            if self.child and not ranks.several:
                return
            self.saver.rank = ranks.rank
            with self.guarded("saving"):
                self.saver.write(self.report, began)

    def _settle(self) -> None:
        """Bring the Report up to what was seen and what the rules have found."""
        if self.recorder is not None:
            self.recorder.detail.count()
        with self.guarded("report"):
            self._sum_up()
        self.report.faults = self._faults()

    def _faults(self) -> list[str]:
        return [
            *self.bench.faults.values(),
            *filter(None, [self.chronicler.fault]),
            *(self.recorder.faults if self.recorder else []),
            *filter(None, [self.saver.fault if self.saver is not None else ""]),
            *self.faults.values(),
        ]

    def _sum_up(self) -> None:
        report = self.report
        with self.guarded("rank"):
            self._rank()
        with self.guarded("sources"):
            report.sources = self._sources(report)
        report.not_seen = list(self.recorder.not_seen) if self.recorder is not None else []
        if self.recorder is not None:
            report.cost = Cost(*self.recorder.clock.split())
        ran, idle = self.bench.ran()
        report.rules = RulesRan(ran, idle)
        verdict = suppress.apply(
            causes.settle(self.bench.findings),
            report.sources,
            per_file=self.config.per_file_ignores,
            regions=self.regions.all,
            ran=ran,
            selected=self.selected,
        )
        report.findings, report.suppressed = verdict.kept, verdict.suppressed
        with self.guarded("account"):
            report.account = self.chronicler.chronicle((*verdict.kept, *verdict.suppressed))
        if not self.config.source:
            report.sources = {}

    def _sources(self, report: Report) -> dict[str, str]:
        found = {**self.cell_sources, **report.sources}
        for site in _sites(report):
            key = f"{site.file}[{site.cell}]" if site.cell else site.file
            if key in found:
                continue
            if site.cell:
                found[key] = self.cell_sources.get(key, "")
                continue
            path = Path(self.places.working, site.file)
            try:
                found[key] = path.read_text(encoding="utf-8", errors="replace")
            except OSError:  # a cell of a running notebook has no file, and linecache has its text
                found[key] = "".join(linecache.getlines(str(path)))
        return found

    # -- whose code is it ---------------------------------------------------------------------

    def own(self, path: str) -> None:
        """Count this file as the user's, wherever it lies."""
        self.places.user_root(path)

    def user_root(self, path: str) -> None:
        """Count the files below this folder as the user's."""
        self.places.user_root(path)

    def cell(self, filename: str, notebook: str, number: int, source: str) -> None:
        """Say that code compiled under ``filename`` is code cell ``number`` (1-based) of
        ``notebook``."""
        self.places.cell(filename, notebook, number)
        self.cell_sources[f"{notebook}[{number}]"] = source


def running() -> Session | None:
    """The Session that began last and has not ended."""
    return _running[-1] if _running else None


_running: list[Session] = []


def _sites(report: Report) -> list[Site]:
    sites = [event.site for event in report.timeline.events]
    for finding in report.findings + report.suppressed:
        sites += [finding.at, *(because.at for because in finding.because)]
    return list({site: None for site in sites if site is not None})
