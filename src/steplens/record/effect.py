"""Effect: whether a step moved the parameters whose gradients it used, and whether it moved frozen
ones."""

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Effect
from steplens.record.account import Account
from steplens.record.norms import PLAIN, nonzero

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 8  # sampled at each look
ELEMENTS = 256  # of each
MOST = 1 << 17  # elements of a full look
ANEW = 8  # steps in a row at which a suspect is looked at in full; then at looks only
STILL = 0.9  # of the elements whose gradient is not zero: enough to look in full


class Part:
    """Some elements of one tensor whose gradient is finite and not zero, as they stood before the
    step."""

    __slots__ = ("account", "places", "before")

    def __init__(self, account: Account, places: torch.Tensor, before: torch.Tensor) -> None:
        self.account = account
        self.places = places
        self.before = before


class Heads:
    """The first elements of several tensors alike, one after another, so that an operator takes
    all: of those with a gradient that is nowhere zero, or with the ``places`` at which it is not,
    which lie in so many of the ``tensors``."""

    __slots__ = ("accounts", "sizes", "places", "tensors", "before", "slopes")

    def __init__(self, accounts: Sequence[Account], sizes: list[int]) -> None:
        self.accounts = accounts
        self.sizes = sizes
        self.places: torch.Tensor | None = None
        self.tensors = len(sizes)
        self.before: torch.Tensor
        self.slopes: torch.Tensor


class Look:
    """What was kept before one step: parts of the tensors with gradients, and frozen tensors that
    still hold one."""

    __slots__ = ("parts", "heads", "slopes", "full", "frozen")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.heads: Heads | None = None
        self.slopes: list[torch.Tensor] = []  # the gradients of the parts
        self.full = False
        self.frozen: list[tuple[Account, torch.Tensor]] = []


class Effects:
    """Samples a few tensors at the steps at which values are read; an optimizer whose samples stood
    still is looked at in full at its next step. Told are looks that found it so, and the first that
    did not."""

    def __init__(self) -> None:
        self.suspects: dict[int, int] = {}  # optimizer -> looks in a row that found it so
        self.worked: set[int] = set()  # optimizers that have been seen to move what they step

    def anew(self) -> bool:
        """Whether an optimizer is looked at again at its next step, whatever the cadence says."""
        return any(looks < ANEW for looks in self.suspects.values())

    def before(self, recorder: "Recorder", pending: Any) -> Look | None:
        """Keep what a step is about to change."""
        found = self.suspects.get(pending.number, 0)
        suspect = found > 0
        if pending.closure or not (recorder.cadence.looking or 0 < found < ANEW):
            return None
        look = Look()
        look.full = suspect
        with recorder.quiet(), torch.no_grad():
            used = [a for a in pending.accounts if _has_gradient(a)]
            if not _keep(look, used):
                return None
            for account in used:
                tensor = account.ref()
                if tensor is None or tensor.requires_grad or len(look.frozen) == TENSORS:
                    continue
                if account.reached and account.holding.known:
                    look.frozen.append((account, tensor.detach().clone()))
        return look

    def after(
        self, recorder: "Recorder", optimizer: Any, pending: Any
    ) -> tuple[Effect | None, tuple[int, ...]]:
        """What the step did: told where the samples stand still, or stood so at the last look."""
        look: Look | None = pending.look
        if look is None:
            return None, ()
        with recorder.quiet(), torch.no_grad():
            thawed = tuple([a.number for a, was in look.frozen if not _same(a.ref(), was)])
            parts = _judged(look.parts)
            elements = sum([part.places.numel() for part in parts])
            still = sum([_standing(part) for part in parts])
            if look.heads is not None:
                elements += look.heads.before.numel()
                still += _standing_heads(look.heads)
        was_suspect = pending.number in self.suspects
        if not elements or still < STILL * elements:
            self.suspects.pop(pending.number, None)
            known = not elements or pending.number in self.worked
            if elements:
                self.worked.add(pending.number)
            if known and not was_suspect:
                return None, thawed
        else:
            self.suspects[pending.number] = self.suspects.get(pending.number, 0) + 1
        look.parts = parts
        return self._told(optimizer, look, elements, still), thawed

    def _told(self, optimizer: Any, look: Look, elements: int, still: int) -> Effect:
        before, slopes = [part.before for part in look.parts], look.slopes
        tensors = len(before)
        if look.heads is not None:
            before.append(look.heads.before)
            slopes = [*slopes, look.heads.slopes]
            tensors += look.heads.tensors
        return Effect(
            elements,
            still,
            tensors,
            _norm(slopes),
            _norm(before),
            all(values.dtype.itemsize == 2 for values in before),
            not type(optimizer).__module__.startswith("torch.optim"),
        )


def _judged(parts: list[Part]) -> list[Part]:
    """The parts that show whether a step had an effect: of 16-bit models the matrices, as a bias
    that begins at 0 takes up the smallest update."""
    matrices = [
        part for part in parts if (tensor := part.account.ref()) is not None and tensor.dim() > 1
    ]
    narrow = all(part.before.dtype.itemsize == 2 for part in parts)
    return matrices if narrow and matrices else parts


def _has_gradient(account: Account) -> bool:
    tensor = account.ref()
    gradient = tensor.grad if tensor is not None else None
    return (
        tensor is not None
        and gradient is not None
        and tensor.layout is torch.strided
        and gradient.layout is torch.strided
        and gradient.shape == tensor.shape
        and type(tensor) in PLAIN
        and not tensor.is_meta
    )


def _keep(look: Look, used: Sequence[Account]) -> bool:
    """Take the parts; False when a gradient is not finite, as a step may then be held back."""
    chosen = used
    if not look.full and len(used) > TENSORS:
        chosen = [used[i * len(used) // TENSORS] for i in range(TENSORS)]
    most = max(16, MOST // len(chosen)) if look.full and chosen else ELEMENTS
    if not look.full:
        look.heads, chosen = _heads(chosen)
        if look.heads is not None and not _finite(look.heads):
            return False
    elif len(chosen) > 1 and _size(chosen, 16 * most) <= MOST and _alike(chosen):
        return _together(look, chosen, most)
    room = MOST
    for account in chosen:
        tensor = account.ref()
        if tensor is None or tensor.grad is None or room <= 0:
            continue
        gradient = tensor.grad.reshape(-1)
        if gradient.numel() > 16 * most:
            gradient = gradient[: 16 * most]
        if not bool(gradient.isfinite().all()):
            return False
        places = nonzero(gradient, min(room, most))
        room -= places.numel()
        if places.numel():
            look.slopes.append(gradient[places])
            before = tensor.reshape(-1)[places].clone()
            look.parts.append(Part(account, places, before))
    return True


def _together(look: Look, accounts: Sequence[Account], most: int) -> bool:
    """The first ``most`` elements of each of these tensors with a gradient that is not zero, taken
    from all of them at once; False when a gradient is not finite."""
    slopes = [slope[: 16 * most] for slope in _slopes(accounts)]
    joined = torch.cat(slopes)
    if not math.isfinite(float(joined.sum())) and not bool(joined.isfinite().all()):
        return False
    sizes = [slope.numel() for slope in slopes]
    places = joined.nonzero()[:, 0]
    ends = torch.tensor(list(itertools.accumulate(sizes)), device=joined.device)
    before = torch.searchsorted(places, ends - torch.tensor(sizes, device=joined.device))
    owners = torch.searchsorted(ends, places, right=True)
    places = places[torch.arange(places.numel(), device=joined.device) - before[owners] < most]
    if places.numel():
        look.heads = heads = Heads(accounts, sizes)
        heads.places, heads.tensors = places, int(owners.unique_consecutive().numel())
        heads.slopes = joined[places]
        tensors = [tensor for account in accounts if (tensor := account.ref()) is not None]
        heads.before = torch.cat([tensor.reshape(-1)[: 16 * most] for tensor in tensors])[places]
    return True


def _size(accounts: Sequence[Account], most: int) -> int:
    """How many elements these tensors have, of each ``most`` at most."""
    tensors = [account.ref() for account in accounts]
    return sum([min(tensor.numel(), most) for tensor in tensors if tensor is not None])


def _alike(accounts: Sequence[Account]) -> bool:
    """Whether these tensors and their gradients are of one type, no halves, on one device."""
    tensors = [tensor for account in accounts if (tensor := account.ref()) is not None]
    kinds = {(tensor.dtype, tensor.device) for tensor in tensors}
    slopes = _slopes(accounts)
    kinds |= {(slope.dtype, slope.device) for slope in slopes}
    alike = len(kinds) == 1 and len(tensors) == len(slopes) == len(accounts)
    return alike and tensors[0].dtype in (torch.float32, torch.float64)


def _slopes(accounts: Sequence[Account]) -> list[torch.Tensor]:
    """Their gradients, flat."""
    tensors = [account.ref() for account in accounts]
    slopes = [tensor.grad for tensor in tensors if tensor is not None]
    return [slope.reshape(-1) for slope in slopes if slope is not None]


def _heads(accounts: Sequence[Account]) -> tuple[Heads | None, Sequence[Account]]:
    """The first elements of those of these tensors whose gradient is nowhere zero among them, and
    the other tensors. None where the tensors are halves or not alike."""
    if not _alike(accounts):
        return None, accounts
    tensors = [tensor for account in accounts if (tensor := account.ref()) is not None]
    slopes = [slope[:ELEMENTS] for slope in _slopes(accounts)]
    joined, others = torch.cat(slopes), list[Account]()
    zeros: list[int] = joined.eq(0).nonzero()[:, 0].tolist()
    if zeros:
        ends = list(itertools.accumulate([slope.numel() for slope in slopes]))
        holed = {bisect_right(ends, place) for place in zeros}
        full = [place not in holed for place in range(len(slopes))]
        others = [account for account, whole in zip(accounts, full, strict=True) if not whole]
        accounts = list(itertools.compress(accounts, full))
        tensors, slopes = [list(itertools.compress(all_, full)) for all_ in (tensors, slopes)]
        if not accounts:
            return None, others
        joined = torch.cat(slopes)
    heads = Heads(accounts, [slope.numel() for slope in slopes])
    heads.slopes = joined
    heads.before = torch.cat([tensor.reshape(-1)[:ELEMENTS] for tensor in tensors])
    return heads, others


def _finite(heads: Heads) -> bool:
    """Whether their gradients are finite, further on as well; a sum may overflow though they
    are."""
    gradients = [slope[: 16 * ELEMENTS] for slope in _slopes(heads.accounts)]
    if math.isfinite(float(torch.cat(gradients).sum())):
        return True
    return all(bool(gradient.isfinite().all()) for gradient in gradients)


def _standing_heads(heads: Heads) -> int:
    """How many of the elements are as they were."""
    tensors = [account.ref() for account in heads.accounts]
    now = [
        tensor.reshape(-1)[:size]
        for tensor, size in zip(tensors, heads.sizes, strict=True)
        if tensor is not None
    ]
    if [values.numel() for values in now] == heads.sizes:
        values = torch.cat(now) if heads.places is None else torch.cat(now)[heads.places]
        return int(values.eq(heads.before).sum())
    return 0  # a tensor has died, or has got other values altogether


def _norm(values: Sequence[torch.Tensor]) -> float:
    return sum([float(each.double().square().sum()) for each in values]) ** 0.5


def _standing(part: Part) -> int:
    tensor = part.account.ref()
    if tensor is None or tensor.numel() <= int(part.places.max()):
        return 0
    return int(tensor.reshape(-1)[part.places].eq(part.before).sum())


def _same(tensor: torch.Tensor | None, before: torch.Tensor) -> bool:
    return tensor is None or tensor.shape != before.shape or bool(torch.equal(tensor, before))
