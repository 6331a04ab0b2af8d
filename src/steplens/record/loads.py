"""Probe of ``load_state_dict`` of modules, optimizers, schedulers; and of the ``state_dict`` calls
whose tensors come back in a load."""

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from steplens.model.event import Load
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record import members
from steplens.record.aliased import assigned
from steplens.record.bound import bound
from steplens.record.chosen import chosen
from steplens.record.hoarded import Hoarded
from steplens.record.moments import Moments
from steplens.record.places import Places
from steplens.record.undone import UndoneLoads
from steplens.record.wrap import around
from steplens.record.writes import pointer, same_storage

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

REMEMBERED = 64  # state dicts, by their first tensor
NAME = 80  # characters of a name that are told
TIMES = 3  # loads at one line that changed nothing


class Taken:
    """The ``state_dict`` calls of modules: when and where each was made, found again by its first
    tensor, which a copy of the dict still holds."""

    def __init__(self) -> None:
        self.calls = Newest[int, tuple[weakref.ref[torch.Tensor], int, Site | None]](REMEMBERED)
        self.times: dict[Site | None, tuple[int, int]] = {}  # place -> steps at which, and the last
        self.depth = 0
        self.idle = Idle()
        self.undone, self.hoarded = UndoneLoads(), Hoarded()
        self.moments = Moments()

    def remember(self, state: Any, step: int, site: Site | None) -> torch.Tensor | None:
        """A state was taken; its first tensor, by which it is found again."""
        count, last = self.times.get(site, (0, -1))
        self.times[site] = count + (step != last), step
        for value in state.values() if isinstance(state, dict) else ():
            if isinstance(value, torch.Tensor):
                self.calls[id(value)] = (weakref.ref(value), step, site)
                return value
        return None

    def old(self, state: Any, step: int, places: Places) -> tuple[int, Site | None] | None:
        """Where and when a state was taken, if that was at an earlier step and is done again and
        again, or after a step when something was best: the present state would be taken once, or
        now."""
        taken, site = self.find(state)
        if not 0 <= taken < step:
            return None
        again = self.times[site][0] > 1 or (taken > 0 and chosen(places, site))
        return (taken, site) if again else None

    def find(self, state: Any) -> tuple[int, Site | None]:
        """The step and place at which these tensors were taken; (-1, None) when not known."""
        for value in list(state.values()):
            known = self.calls.get(id(value))
            if known is not None and known[0]() is value:
                return known[1], known[2]
        return -1, None

    def kept(self, own: Iterable[torch.Tensor], step: int) -> tuple[int, Site | None] | None:
        """Where and when a state that is still held was taken of these tensors, at an earlier
        step and on a line that takes one again and again: the newest such."""
        places = {pointer(tensor) for tensor in own} - {0}
        for ref, taken, site in reversed(list(self.calls.values())):
            tensor = ref() if taken < step and self.times[site][0] >= TIMES else None
            if tensor is not None and pointer(tensor) in places:
                return taken, site
        return None


class Idle:
    """Loads that brought a module the very values it had, though a state of it was taken steps ago
    and is still held: told of when this has happened ``TIMES`` times at one line."""

    def __init__(self) -> None:
        self.seen: dict[Site, int] = {}

    def look(
        self, recorder: "Recorder", module: nn.Module, own: dict[str, torch.Tensor], state: Any
    ) -> None:
        """Before a load of tensors that are not the module's own."""
        site = recorder.site()
        times = self.seen.get(site, 0) if site is not None else TIMES
        if site is None or times >= TIMES or len(self.seen) > REMEMBERED:
            return
        known = recorder.taken.kept(own.values(), recorder.step)
        if known is None:
            return
        with recorder.quiet(), torch.no_grad():
            if not all(_equal(state[name], tensor) for name, tensor in own.items()):
                self.seen[site] = TIMES  # it brings something
                return
        self.seen[site] = times + 1
        if times + 1 == TIMES:
            accounts = [recorder.census.account(tensor) for tensor in own.values()]
            recorder.emit(
                Load(
                    recorder.index(),
                    recorder.step,
                    site,
                    "unchanged",
                    recorder.census.module(module),
                    tuple([account.number for account in accounts]),
                    len(own),
                    *known,
                )
            )


def _equal(one: Any, other: torch.Tensor) -> bool:
    try:
        return one.shape == other.shape and torch.equal(one.detach().to(other), other.detach())
    except Exception:  # foreign tensors refuse in many ways
        return False


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the outermost ``load_state_dict`` and ``state_dict`` of a module, and the loads of
    optimizers and schedulers."""
    plain = _plain(recorder, "optimizer"), _plain(recorder, "scheduler")
    return [
        around(recorder, "load", nn.Module, "load_state_dict", *_module(recorder), calm=True),
        around(recorder, "load", nn.Module, "state_dict", *_taken(recorder), calm=True),
        around(recorder, "load", Optimizer, "load_state_dict", *plain[0]),
        around(recorder, "load", torch, "save", _saved(recorder)),
        around(recorder, "load", LRScheduler, "load_state_dict", *plain[1]),
    ]


def _taken(recorder: "Recorder") -> tuple[Callable[..., Any], ...]:
    taken = recorder.taken

    def before(module: nn.Module, *_: Any, **__: Any) -> Any:
        taken.depth += 1
        return module

    def after(module: nn.Module, state: Any) -> None:
        taken.depth -= 1
        if taken.depth == 0:
            site = recorder.site()
            first = taken.remember(state, recorder.step, site)
            if recorder.step:
                taken.hoarded.look(recorder, module, first, site, taken.calls.values())

    def failed(module: nn.Module, error: BaseException) -> None:
        taken.depth -= 1

    return before, after, failed


def _module(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(module: nn.Module, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        if assigned(args, kwargs) and _of_parameters(recorder, state_dict):
            recorder.sharing.loaded(recorder.census.module(module), recorder.site())
        own = {
            **dict(members.named_parameters(module)),
            **dict(module.named_buffers(remove_duplicate=False)),
        }
        given = {
            name: tensor
            for name, tensor in own.items()
            if isinstance(state_dict.get(name), torch.Tensor) and tensor.numel()
        }
        aliases = [t for name, t in given.items() if same_storage(state_dict[name], t)]
        taken = recorder.taken.find(state_dict) if aliases else (-1, None)
        if not aliases:
            _moved_on(recorder, "elsewhere", state_dict)
            if given and len(given) == len(own):
                recorder.taken.idle.look(recorder, module, given, state_dict)
        return module, aliases, given, taken, {} if given else dict(state_dict)

    def after(token: Any, result: Any) -> None:
        module, aliases, given, (taken, site), unknown = token
        numbers = tuple([recorder.census.account(tensor).number for tensor in aliases])
        owner = recorder.census.module(module)
        _mark(recorder, module, given)
        recorder.taken.undone.loaded(recorder, module, {} if aliases else given)
        recorder.emit(
            Load(
                recorder.index(),
                recorder.step,
                recorder.site(),
                "module",
                owner,
                numbers,
                len(given),
                taken,
                site,
                *_nothing(module, unknown, result),
                bound(recorder.places) if aliases and recorder.step else (),
            )
        )

    return before, after


def _mark(recorder: "Recorder", module: nn.Module, given: dict[str, torch.Tensor]) -> None:
    """Note which modules a load gave values: they keep them where others are built of them."""
    holders = {name.rpartition(".")[0] for name in given}
    for name, each in module.named_modules():
        number = recorder.census.known_module(each) if name in holders else -1
        if number >= 0:
            recorder.roster.modules[number].loaded = True


def _nothing(module: nn.Module, given: dict[Any, Any], result: Any) -> tuple[int, str, str, str]:
    """What a Load tells of a state in which torch missed every parameter of the module. Hooks of
    the program's may give names that the module has, which shows in what torch says it missed."""
    own = [name for name, _ in members.named_parameters(module)] if given else []
    if not own or not set(own) <= set(getattr(result, "missing_keys", ())):
        return 0, "", "", ""
    under = next((str(name) for name, value in given.items() if isinstance(value, dict)), "")
    return len(given), own[0], str(next(iter(given)))[:NAME], under[:NAME]


def _saved(recorder: "Recorder") -> Callable[..., Any]:
    """Hear which states are saved, alone or in a dictionary."""

    def before(obj: Any = None, *_: Any, **__: Any) -> Any:
        for state in (obj, *(obj.values() if isinstance(obj, dict) else ())):
            if isinstance(state, dict):
                _moved_on(recorder, "save", state)
        return None

    return before


def _moved_on(recorder: "Recorder", what: str, state: Any) -> None:
    """Tell of a state that was taken at an earlier step and is used now, the parameters that its
    tensors still are."""
    if not isinstance(state, dict):
        return
    known = recorder.taken.old(state, recorder.step, recorder.places)
    if known is None:
        return
    given = [value for value in state.values() if isinstance(value, torch.Tensor)]
    numbers = _of_parameters(recorder, state)
    if not numbers:
        return
    owner = recorder.roster.tensors[numbers[0]].root
    recorder.emit(
        Load(
            recorder.index(),
            recorder.step,
            recorder.site(),
            what,
            owner,
            tuple(numbers),
            len(given),
            *known,
        )
    )


def _of_parameters(recorder: "Recorder", state: Any) -> list[int]:
    """The live parameters in whose memory the tensors of a state lie."""
    given = [value for value in state.values() if isinstance(value, torch.Tensor)]
    places = {pointer(tensor) for tensor in given} - {0}
    numbers: list[int] = []
    for account in list(recorder.census.accounts.values()):
        held, entry = account.ref(), recorder.roster.tensors[account.number]
        if held is not None and entry.role == "parameter" and pointer(held) in places:
            numbers.append(account.number)
    return numbers


def _plain(recorder: "Recorder", what: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(owner: Any, *_: Any, **__: Any) -> Any:
        return owner

    def after(owner: Any, _: Any) -> None:
        number = -1
        if what == "optimizer":
            number = recorder.census.optimizer(owner)
            recorder.replacements.loaded.add(number)
            recorder.taken.moments.loaded(recorder, owner, number)
        recorder.emit(Load(recorder.index(), recorder.step, recorder.site(), what, number))

    return before, after
