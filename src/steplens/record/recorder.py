"""Recorder: installs the probes, appends Events, finds the user's line, undoes all."""

import os
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from steplens.errors import described
from steplens.model.event import Clear, End, Event, Mark
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.record import (
    backwards,
    capture,
    clears,
    clip,
    cuts,
    data,
    detail,
    draws,
    failures,
    forwards,
    fractions,
    freezes,
    functions,
    grad_calls,
    lifetimes,
    loads,
    modes,
    module_calls,
    noise,
    optim,
    packing,
    padding,
    pairing,
    ranks,
    registration,
    rows,
    scaling,
    schedule,
    seeds,
    stepping,
    swaps,
    unpacked,
    unseen,
    values,
    workers,
    writers,
    writes,
)
from steplens.record.account import Account, Holding
from steplens.record.attributes import Attributes
from steplens.record.behind import BehindNorms
from steplens.record.blended import Blends
from steplens.record.bootstrapped import Bootstrapped
from steplens.record.bystanders import Bystanders
from steplens.record.cadence import Cadence
from steplens.record.cancelled import Cancelled
from steplens.record.census import Census
from steplens.record.datasets import Datasets
from steplens.record.effect import Effects
from steplens.record.exchange import Exchanges
from steplens.record.foresight import Foresight
from steplens.record.handmade import Handmade
from steplens.record.held import HeldState
from steplens.record.hunt import Hunt
from steplens.record.learner import Learner
from steplens.record.ledger import Ledger, shares
from steplens.record.methods import Methods
from steplens.record.opposed import Opposition
from steplens.record.places import Places
from steplens.record.positions import Positions
from steplens.record.rectified import Rectified
from steplens.record.rounded import Rounding
from steplens.record.scattered import Scattered
from steplens.record.selfcopies import SelfCopies
from steplens.record.sharing import Sharing
from steplens.record.silence import SILENCE, unheard
from steplens.record.spells import Spells
from steplens.record.steady import Steady
from steplens.record.stillness import Stillness
from steplens.record.stopwatch import Stopwatch
from steplens.record.strays import Strays
from steplens.record.terms import Terms
from steplens.record.thaw import Thaw
from steplens.record.turns import Turns
from steplens.record.underway import Local, Underway
from steplens.record.ungiven import Ungiven
from steplens.record.vain import Vains
from steplens.record.withheld import Withheld
from steplens.record.wrap import note

PROBES = (
    modes, module_calls, functions, backwards, grad_calls, optim, stepping, swaps, clears,
    schedule, scaling, clip, loads, writers, data, failures, unseen, registration, cuts, seeds,
    workers, padding, pairing, draws, fractions, freezes, capture, packing, unpacked, noise,
)  # fmt: skip

ALONE = {
    "values", "lines", "held", "workers", "unseen", "removal", "end", "failures", "exchange",
    "reads", "padding", "pairing", "draws", "fractions", "terms", "averages",
    "unpacked", "noise",
}  # fmt: skip


class Recorder:
    """Listens to one run.

    ``hear`` is called with each Event, in order, on the thread that made it. Only one Recorder
    listens at a time to a call: while ``quiet`` is held (steplens's own work with torch) nothing is
    heard. Threads wait for each other at one lock, so that no two can each hold what the other
    waits for. All faults end in ``faults``. A probe that stands ALONE is switched off by its fault;
    after that of any other nothing more is heard, as what the Ledger says would not be sure.
    """

    def __init__(
        self, places: Places, roster: Roster, hear: Callable[[Event], None], lines: int = 10
    ) -> None:
        self.places = places
        self.roster = roster
        self.hear = hear
        self.census = Census(roster, places)
        self.clock = Stopwatch()
        self.cadence = Cadence(lines, window_over=self.clock.window_over)
        self.lock = threading.RLock()
        self.underway = Underway(self.lock)
        self.local = Local(self.underway)
        self.ledger = Ledger(self.cadence.may_look, self._cleared_by_hand, self.underway)
        self.step = 0
        self.next_index = 0
        self.faults: list[str] = []
        self.off: set[str] = set()
        self.active = False
        self.paused = False  # while a CUDA graph is captured
        self.captured = False  # whether a step was: it goes on unheard, by replays
        self.removals: list[Callable[[], None]] = []
        self.forwards = forwards.Forwards()
        self.backwards = backwards.Backwards()
        self.lifetimes = lifetimes.Lifetimes()
        self.moves = modes.Moves()
        self.steps = optim.Steps()
        self.scaler, self.scaling = schedule.Scalers(), scaling.Scaling()
        self.replacements = writes.Replacements()
        self.self_copies = SelfCopies()
        self.reading: tuple[int, bool] | None = None  # see clears: codes read, and what they do
        self.spells = Spells()
        self.hunt, self.handmade, self.terms = Hunt(), Handmade(), Terms()
        self.batches, self.seeds = data.Loaders(), seeds.Seeds()
        self.workers = workers.Workers()
        self.datasets = Datasets()
        self.rows, self.draws = rows.Rows(), draws.Draws()
        self.foresight, self.behind = Foresight(), BehindNorms()
        self.padding, self.positions = padding.Padding(), Positions()
        self.pairing, self.failures, self.thaw = pairing.Pairing(), failures.Failures(), Thaw()
        self.freezes = freezes.Freezes()
        self.stillness, self.strays, self.methods = Stillness(), Strays(), Methods()
        self.bystanders, self.taken = Bystanders(), loads.Taken()
        self.effects, self.opposition, self.withheld = Effects(), Opposition(), Withheld()
        self.rounding, self.blends = Rounding(), Blends()
        self.exchanges, self.sharing, self.ungiven = Exchanges(), Sharing(), Ungiven()
        self.attributes, self.vains, self.held = Attributes(), Vains(), HeldState()
        self.registrations, self.rectified = registration.Registrations(), Rectified()
        self.scattered, self.unpacked = Scattered(), unpacked.Unpacked()
        self.cancelled, self.bootstrapped = Cancelled(), Bootstrapped()
        self.cuts = cuts.Cuts()
        self.detail = detail.Detail(self)
        self.values = values.Queue(self)
        self.turns = Turns()
        self.not_seen: list[str] = []
        self.steady = Steady(self)
        self.learner = Learner(self, self.steady)
        self.lines = lines
        self.census.again = self._again
        self.stop_at = 0  # end the program after this many steps, with ``stop``
        self.stop: type[BaseException] = KeyboardInterrupt
        _live.add(self)

    # -- life ---------------------------------------------------------------------------------

    @unheard
    def install(
        self, frame: Any = None, objects: tuple[Any, ...] = (), search: bool = True
    ) -> None:
        """Put the probes in; ``frame`` is a running user frame whose lines are to be followed as
        well, ``objects`` are models and optimizers made before; with ``search`` others that were
        are looked for."""
        self.active = True
        for probe in PROBES:
            with self.guarded(probe.__name__.rpartition(".")[2]):
                self.removals += probe.install(self)
        self.removals += [self.spells.end, self.terms.stop]
        self.spells.follow(self)
        with self.guarded("census"):
            self.census.meet(objects, search)
            for number in self.roster.optimizers:
                self.stillness.made(number)
        with self.guarded("lines"):
            self.detail.begin(self.lines, frame)

    @unheard
    def ended(self, status: str, error: BaseException | None, site: Site | None) -> None:
        """The run is over: take everything out, tell what it died of, and that it ended."""
        heard_all = self.active
        self.leave()
        self.remove()
        if not heard_all:  # rules conclude from an End what never happened
            return
        with self.guarded("values"):
            self.values.finish()
            self.values.guarded(lambda: self.bystanders.look(self))
        with self.guarded("averages"):
            self.behind.averages.end(self)
            self.behind.unfed.end(self)
        with self.guarded("exchange"):
            self.exchanges.byhand.end(self)
        if error is not None:
            with self.guarded("failures"):
                failures.died(self, error, site)
        with self.guarded("end"):
            schedule.expect(self)
            self.emit(End(self.index(), self.step, None, status))

    @unheard
    def remove(self) -> None:
        """Take everything out again, newest first."""
        self.active = self.paused = False
        with self.guarded("lines"):
            self.detail.finish("end")
        with self.guarded("removal"):
            self.lifetimes.let_go()
            self.forwards.idle.let_go()
        while self.removals:
            with self.guarded("removal"):
                self.removals.pop()()

    @contextmanager
    def guarded(self, probe: str) -> Generator[None, None, None]:
        """A fault in the block is noted, and goes no further."""
        try:
            yield
        except Exception as error:
            note(self, probe, error)

    def alone(self) -> None:
        """This process is a fork: the other threads, one of which may hold the lock, are not in
        it."""
        self.lock = self.steady.lock = threading.RLock()
        self.underway.branch(self.lock)

    def branch(self, stop: type[BaseException]) -> None:
        """This process is a fork of the watched one: its lines are followed anew."""
        self.stop = stop
        self.detail.finish("end")
        if not self.step:
            self.detail.forked = True
            self.detail.begin(self.lines, None)

    @unheard
    def look_anew(self, lines: int) -> None:
        """Follow lines for the next ``lines`` steps. What a notebook's cell makes again goes by the
        name it had."""
        self.census.names_again = True
        self.detail.finish("end")
        self.detail.begin(lines, None)

    def place(self) -> tuple[int, int] | None:
        """The rank and the number of ranks, None while there is no process group."""
        return ranks.place()

    def listening(self) -> bool:
        """Whether a call on this thread is to be heard."""
        return self.active and not SILENCE.quiet

    @contextmanager
    def quiet(self) -> Generator[None, None, None]:
        """Steplens's own calls of torch are not the program's."""
        before = SILENCE.quiet
        SILENCE.quiet = True
        try:
            yield
        finally:
            SILENCE.quiet = before

    def fault(self, probe: str, error: BaseException) -> None:
        """Note a fault of ours. The run goes on; the Report names it."""
        text = f"{probe}: {described(error)}"
        if probe not in ALONE and (self.active or self.paused):
            self.active = self.paused = False
            text += f"; nothing was heard from event {self.next_index} on"
            self.faults.insert(0, text)
            with self.guarded("lines"):
                self.detail.finish("fault")
        elif len(self.faults) < 100 and text not in self.faults:
            self.faults.append(text)
        self.off.add(probe)
        self.learner.enabled = False
        self.leave()

    def leave(self) -> None:
        """End the counting of rounds: all that happened is told now."""
        if self.steady.on:
            self.steady.leave()
        self.learner.rested.disturbed = True

    def pause(self) -> None:
        """Hear nothing until ``resume``."""
        self.leave()
        self.active, self.paused = False, self.active or self.paused

    def resume(self) -> None:
        """Hear on. Where steps have been captured, lines are followed no longer: nothing that
        replays do counts as a step, and the window would not end."""
        self.active, self.paused = self.active or self.paused, False
        if self.captured and self.active:
            with self.guarded("lines"):
                self.detail.finish("capture")

    # -- events -------------------------------------------------------------------------------

    def index(self) -> int:
        """The index of the next Event."""
        steady = self.steady
        with steady.lock:
            if steady.on and not steady.elsewhere():
                self.next_index = max(self.next_index, steady.index())
            self.next_index += 1
            return self.next_index - 1

    def site(self) -> Site | None:
        """The user's line now running."""
        return self.places.site(1)

    def emit(self, event: Event) -> None:
        """Append an Event: the rules hear it at once, unless it is the one due in a round that is
        counted."""
        if self.steady.on and self.steady.takes(event):
            return
        self.learner.note(event)
        self.tell(event)

    def tell(self, event: Event) -> None:
        """Let the rules hear an Event."""
        with self.lock:
            self.hear(event)

    def _again(self, kind: str, number: int) -> None:
        """Something new bears this number: what is known of the one before it is not its."""
        moves, steps, replacements = self.moves, self.steps, self.replacements
        blocks, values = moves.blocks, self.values
        for table in {
            "module": (moves.switched, moves.trees, moves.reset, self.held.models, blocks.sums,
                       blocks.looks, self.forwards.unrecorded.given),
            "optimizer": (steps.groups, steps.last, steps.known, values.unfinite.finite,
                          replacements.entered, replacements.before_last, self.scaling.unscaled,
                          replacements.rehoused.kept, replacements.rehoused.habits,
                          self.attributes.looks, self.vains.defaults, self.opposition.held,
                          self.withheld.habits, self.rounding.samples, self.blends.read,
                          *self.exchanges.tables),
            "tensor": (replacements.open, self.strays.loose, self.strays.idle, self.freezes.flags,
                       self.bystanders.known, self.thaw.frozen, self.strays.left),
        }[kind]:  # fmt: skip
            table.pop(number, None)
        for group in (blocks.averaged,) if kind == "module" else ():
            group.discard(number)
        if kind == "tensor":
            self.strays.excused.discard(number)

    def mark(self, text: str) -> None:
        """A trainer names the place in the run."""
        self.emit(Mark(self.index(), self.step, self.site(), text))

    @unheard
    def raised(self, error: BaseException, site: Site | None) -> None:
        """The program raised, though it goes on."""
        self.values.guarded(lambda: failures.died(self, error, site))

    def _cleared_by_hand(self, cleared: list[tuple[Account, Holding]]) -> int:
        lost: dict[Holding, list[int]] = {}
        for account, holding in cleared:
            lost.setdefault(holding, []).append(account.number)
        index = self.index()
        site = self.detail.last_clear() or self.site()
        told, inside = shares(lost), self.local.stepping
        count = len(cleared)
        self.emit(Clear(index, self.step, site, "hand", -1, told, True, count, inside=inside))
        return index


def _forked() -> None:
    for recorder in list(_live):
        recorder.alone()


_live: weakref.WeakSet[Recorder] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
