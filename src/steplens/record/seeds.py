"""Probe of seeding: the same seed set again, and whether the same numbers were drawn after it."""

import ctypes
import random
import sys
import zlib
from array import array
from collections.abc import Callable, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Redraw
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


LONG = 12  # elements that do not come twice by chance
NEAR = 2  # steps from one to the next: of two optimizers that step in turn
TIMES = 3  # that noise has come, step after step, before it is told


class Seeding:
    """A seed that was set: where, to what, and the generator's state since the numbers that do not
    count (a loader's own) were drawn."""

    __slots__ = (
        "how", "site", "value", "step", "start", "state", "leaf", "times", "varied", "meant",
        "alone", "caller", "reading", "often", "others",
    )  # fmt: skip

    def __init__(self, how: str, site: Site, value: int, step: int, start: int) -> None:
        self.how = how
        self.site = site
        self.value = value
        self.step = step
        self.start = start
        self.state = 0  # at the first backward after it
        self.leaf = -1  # first leaf of that backward
        self.times = 1
        self.meant = False  # by a layer, or the order of a generator of the program's own
        self.alone = False  # by a layer, and nothing but it has drawn since its last backward
        self.caller: Site | None = None
        self.varied = False  # set to several values before one backward: a seed for each sample
        self.reading: tuple[int, int] | None = None  # by a dataset: the pass that was reading it
        self.often = False  # by a dataset, at several samples of one batch
        self.others: object = None  # of noise: where all else that is drawn or read had got to

    def anew(self, before: "Seeding") -> bool:
        """Whether a dataset set it once in each pass: what it then draws are its samples, and
        they are to be the same in each."""
        passes = self.reading, before.reading
        return None not in passes and passes[0] != passes[1] and not self.often

    def goes_on(self, before: "Seeding") -> bool:
        """Whether this is noise that came just before, too, while something else came anew; then
        it has come once more."""
        near = 0 <= self.step - before.step <= NEAR
        if not near or before.leaf != self.leaf or before.others == self.others:
            return False
        self.times = before.times + 1
        return True


class Seeds:
    """The seeds set since the last backward, and the last one of each place before."""

    def __init__(self) -> None:
        self.fresh: dict[str, Seeding] = {}
        self.earlier = Newest[tuple[str, Site], Seeding](64)
        self.drawn: dict[tuple[CodeType, int], int] = {}  # noise, by the instruction that draws

    def drawn_by_loader(self, before: int) -> None:
        """A loader without shuffling was started: the seed it drew for its workers is no draw of
        the program's; ``before`` is the state before it."""
        seeding = self.fresh.get("torch")
        if seeding is not None and seeding.start == before:
            seeding.start = STATES["torch"]()

    def evaluated(self, recorded: bool) -> None:
        """A forward for no training: an order drawn before it was that of an evaluation. Noise may
        be where the forward is ``recorded``, too."""
        if not recorded:
            self.fresh.pop("order", None)
        for name in [name for name, seeding in self.fresh.items() if seeding.others is not None]:
            del self.fresh[name]

    def passed(self, recorder: "Recorder", leaves: Sequence[Account]) -> None:
        """The first backward after seeds were set: were the same numbers drawn as last time?"""
        fresh, self.fresh = self.fresh, {}
        for name, seeding in fresh.items():
            seeding.state = STATES[name]() if name in STATES else seeding.value
            seeding.leaf = leaves[0].number if leaves else -1
            key = (name, seeding.site)
            before = self.earlier.get(key)
            self.earlier[key] = seeding
            if before is None or before.value != seeding.value or seeding.varied:
                continue
            if seeding.alone or seeding.anew(before):
                continue
            if seeding.others is not None and not seeding.goes_on(before):
                continue
            if (
                before.state == seeding.state != seeding.start
                and before.leaf == seeding.leaf
                and before.step < seeding.step
                and (seeding.others is None or seeding.times >= TIMES)
            ):
                if seeding.others is None:
                    seeding.times = before.times + 1
                recorder.emit(
                    Redraw(
                        recorder.index(),
                        recorder.step,
                        seeding.site,
                        seeding.how,
                        seeding.value,
                        before.step,
                        seeding.times,
                        seeding.meant,
                        seeding.caller,
                    )
                )


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the seeds that the program sets, of torch, numpy and Python."""
    removals: list[Callable[[], None]] = []
    before, after = _seeded(recorder, "torch", "torch.manual_seed")
    for owner in (torch, torch.random):
        removals.append(around(recorder, "seed", owner, "manual_seed", before, after))
    before, after = _seeded(recorder, "random", "random.seed")
    removals.append(around(recorder, "seed", random, "seed", before, after))
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        before, after = _seeded(recorder, "numpy", "numpy.random.seed")
        removals.append(around(recorder, "seed", numpy.random, "seed", before, after, calm=True))
    for name in ("randperm", "randint"):
        drawn = _drawn(recorder, f"torch.{name}")
        removals.append(around(recorder, "seed", torch, name, *drawn, calm=True))
    return removals


def _drawn(recorder: "Recorder", how: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Hear the permutations and whole numbers that the user's own lines draw from a generator of
    their own."""

    def before(*_: Any, generator: Any = None, **__: Any) -> Any:
        if generator is None or recorder.local.depth:
            return None
        return (generator,) if recorder.places.owns(sys._getframe(2).f_code) else None

    def after(_: Any, order: Any) -> None:
        site = recorder.site()
        if site is None or type(order) is not torch.Tensor or order.device.type != "cpu":
            return
        if order.numel() < LONG:
            return
        value = zlib.crc32(order.numpy().tobytes())
        fresh = Seeding(how, site, value, recorder.step, -1)
        fresh.meant = True
        fresh.caller = recorder.places.call(1)[1]
        known = recorder.seeds.fresh.get("order")
        fresh.varied = known is not None and known.site == site
        recorder.seeds.fresh["order"] = fresh

    return before, after


def _seeded(
    recorder: "Recorder", name: str, how: str
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    seeds = recorder.seeds

    def before(seed: Any = None, *_: Any, **__: Any) -> Any:
        if not isinstance(seed, int):
            return None
        # what a layer draws is its own affair, as long as nothing else is drawn after it
        return int(seed), STATES[name]() if recorder.local.depth else 0

    def after(token: Any, _: Any) -> None:
        site = recorder.site()
        if site is None:
            return
        fresh = Seeding(how, site, token[0], recorder.step, STATES[name]())
        fresh.meant = bool(recorder.local.depth)
        past = seeds.earlier.get((name, site))
        fresh.alone = fresh.meant and past is not None and past.state == token[1]
        fresh.reading = recorder.batches.reading
        before = seeds.fresh.get(name)
        if before is not None and before.site == site:
            fresh.varied = before.varied or before.value != fresh.value
            fresh.often = fresh.reading is not None and fresh.reading == before.reading
        seeds.fresh[name] = fresh

    return before, after


def _torch_state() -> int:
    state = zlib.crc32(torch.get_rng_state().numpy().tobytes())
    if torch.cuda.is_initialized():
        for one in torch.cuda.get_rng_state_all():
            state = zlib.crc32(one.numpy().tobytes(), state)
    return state


class NumpyState:
    """The state of numpy's generator, whose reading takes a tenth of a millisecond: done again only
    where the generator's own numbers have moved, which shows in a microsecond, or where a normal
    number is held back, which the next draw takes without moving them."""

    MERSENNE = 625 * 4  # bytes: 624 numbers and the place among them

    def __init__(self) -> None:
        self.numbers: bytes | None = None
        self.held = True
        self.known = 0

    def __call__(self) -> int:
        numpy: Any = sys.modules["numpy"]
        find = getattr(numpy.random, "get_bit_generator", None)  # numpy 1.24
        bits: Any = find() if find is not None else None
        numbers = None
        if type(bits).__name__ == "MT19937":
            numbers = ctypes.string_at(bits.ctypes.state_address, self.MERSENNE)
        if numbers is None or self.held or numbers != self.numbers:
            _, keys, place, held, *rest = numpy.random.get_state()
            self.known = hash((keys.tobytes(), place, held, tuple(rest)))
            self.numbers, self.held = numbers, bool(held)
        return self.known


class PythonState:
    """The state of Python's generator: its 625 numbers are made objects of only where the memory
    that holds them has moved. Where that lies is tried on a generator of our own."""

    NUMBERS = 625 * 4  # bytes: the place among the numbers, and 624 numbers

    def __init__(self) -> None:
        self.held: Any = random._inst  # type: ignore[attr-defined]
        self.start = id(self.held) + object.__basicsize__ if self._lies_there() else 0
        self.known: tuple[object, int] = None, 0

    def _lies_there(self) -> bool:
        own = random.Random(1)
        own.random()
        memory = ctypes.string_at(id(own) + object.__basicsize__, self.NUMBERS)
        place, *numbers = array("I", memory)
        return type(self.held) is random.Random and own.getstate()[1] == (*numbers, place)

    def __call__(self) -> int:
        if not self.start:
            return hash(random.getstate())
        now = ctypes.string_at(self.start, self.NUMBERS), self.held.gauss_next
        before, found = self.known
        if now != before:
            found = hash(random.getstate())
            self.known = now, found
        return found


STATES: dict[str, Callable[[], int]] = {
    "torch": _torch_state,
    "numpy": NumpyState(),
    "random": PythonState(),
}
