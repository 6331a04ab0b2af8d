"""Withheld: rows of a parameter from which a hook, or a line after the backward, keeps the gradient
that the backward had for them, and which weight decay moves all the same."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from msgspec.structs import replace

from steplens.model.event import Masked
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.graph import ACCUMULATE, Walk
from steplens.record.norms import dense

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

HABITS = 64  # optimizers known
FIRST = 4  # looks at which all their tensors are looked at; then those found only
MOST = 32  # looks at one that was found
TENSORS = 64  # of an optimizer
ELEMENTS = 1 << 25  # of one tensor
LOOKS = 4  # at which the same rows must have been withheld
ROWS = 64  # whose values are kept
FEWEST = 8  # elements of them that must have moved


class Rows:
    """The rows of one parameter: which were withheld at some look, and which had a gradient at a
    step; some of the first as they stood then."""

    __slots__ = ("account", "withheld", "live", "looks", "seen", "places", "values", "step")

    def __init__(self, account: Account, withheld: torch.Tensor, live: torch.Tensor) -> None:
        self.account = account
        self.withheld = withheld
        self.live = live
        self.looks = 0  # at which some were withheld
        self.seen = 0
        self.places: torch.Tensor | None = None
        self.values: torch.Tensor | None = None
        self.step = 0  # of the optimizer's, at which these were kept

    def agrees(self, withheld: torch.Tensor, live: torch.Tensor) -> bool:
        """One more look: whether none that was withheld has a gradient now, or the other way."""
        if live.shape != self.live.shape or live.device != self.live.device:
            return False
        self.seen += 1
        self.withheld = self.withheld | withheld
        self.live = self.live | live
        return not bool((self.withheld & self.live).any())


class Habits:
    """What is known of one optimizer: looks so far, and the parameters found."""

    __slots__ = ("looks", "found", "open")

    def __init__(self) -> None:
        self.looks = 0
        self.found: dict[int, Rows] = {}
        self.open = True


class Withheld:
    """At looks, compares the rows that a backward gave a gradient with those that the step finds.

    What a hook of the tensor's own is given is seen by a hook of ours at the node before it, in the
    graph of that one pass; what a later line writes is seen by itself. A mask is one that holds at
    each look: gradients that are dropped at random are none. Whether the rows move is read from
    their values before steps, so rows that the program puts back after each step do not.
    """

    def __init__(self) -> None:
        self.habits = Newest[int, Habits](HABITS)
        # tensor -> which rows backward passes gave a gradient, up to the n-th that reached it
        self.given: dict[int, torch.Tensor] = {}
        self.newest: dict[int, int] = {}
        self.handles: list[Any] = []

    # -- backward -----------------------------------------------------------------------------

    def before_backward(self, recorder: "Recorder", walk: Walk, leaves: Sequence[Account]) -> None:
        """Follow what the hooked leaves are given, in this pass alone."""
        if not recorder.cadence.looking or not self.habits or _compiled():
            return
        hooked = {
            id(tensor): account
            for account in leaves
            if (tensor := account.ref()) is not None
            and _hooks(tensor)
            and self._wanted(account, tensor)
        }
        if not hooked:
            return
        for account in hooked.values():
            holding = account.holding
            if not holding.contributions or holding.used or not holding.known:
                self.given.pop(account.number, None)  # what it gets now is all there will be
        for node in walk.nodes:
            for place, (child, _) in enumerate(node.next_functions):
                if type(child) is ACCUMULATE and id(child.variable) in hooked:
                    account = hooked[id(child.variable)]
                    self.handles.append(node.register_hook(self._given(recorder, account, place)))

    def _given(self, recorder: "Recorder", account: Account, place: int) -> Callable[..., None]:
        def take(gradient: torch.Tensor) -> None:
            tensor = account.ref()
            if tensor is not None and gradient.shape == tensor.shape and dense(gradient):
                self._put(account, _rows(gradient), more=True)

        def given(gradients: Any, _: Any) -> None:
            if gradients[place] is not None:
                recorder.values.guarded(lambda: take(gradients[place]))

        return given

    def _put(self, account: Account, rows: torch.Tensor, more: bool) -> None:
        known = self.given.get(account.number) if more else None
        self.given[account.number] = rows if known is None else rows | known

    def let_go(self) -> None:
        """Take the hooks out again."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()

    def after_backward(self, recorder: "Recorder", leaves: Sequence[Account]) -> None:
        """Note which rows the others were given, as their gradient stands now."""
        if self.handles:
            self.let_go()
        if not recorder.cadence.looking or not self.habits:
            return
        recorder.values.guarded(lambda: self._after_backward(leaves))

    def _after_backward(self, leaves: Sequence[Account]) -> None:
        for account in leaves:
            tensor = account.ref()
            if tensor is None or not self._wanted(account, tensor):
                continue
            gradient = tensor.grad
            if not _hooks(tensor) and gradient is not None and dense(gradient):
                self._put(account, _rows(gradient), more=False)
            self.newest[account.number] = account.reached + 1

    def _wanted(self, account: Account, tensor: torch.Tensor) -> bool:
        """Whether an optimizer that holds it is still being looked at, and by this tensor."""
        if not tensor.dim() or tensor.shape[0] < 2 or tensor.numel() > ELEMENTS:
            return False
        known = [self.habits.get(number) for number in account.optimizers]
        return any(
            habits is not None
            and habits.open
            and (habits.looks < FIRST or account.number in habits.found)
            for habits in known
        )

    # -- step ---------------------------------------------------------------------------------

    def before_step(self, recorder: "Recorder", optimizer: Any, pending: Any) -> Masked | None:
        """A step is about to use its gradients."""
        number = pending.number
        habits = self.habits.get(number)
        if habits is None:
            habits = self.habits[number] = Habits()
            habits.open = any(_decay(group) for group in optimizer.param_groups)
        if not habits.open or not recorder.cadence.looking or not self.given or pending.closure:
            return None
        told: Masked | None = recorder.values.guarded(
            lambda: self._look(recorder, optimizer, pending, habits)
        )
        return told

    def _look(
        self, recorder: "Recorder", optimizer: Any, pending: Any, habits: Habits
    ) -> Masked | None:
        decays = {id(t): _decay(g) for g in optimizer.param_groups for t in g["params"]}
        step = recorder.steps.count.get(pending.number, 0)
        pairs = list[tuple[Account, torch.Tensor, torch.Tensor]]()
        for account in pending.accounts:
            given = self.given.pop(account.number, None)
            tensor = account.ref()
            gradient = tensor.grad if tensor is not None else None
            if given is None or tensor is None or gradient is None or not decays.get(id(tensor)):
                continue
            if self.newest.get(account.number) != account.reached or len(pairs) == TENSORS:
                continue  # another pass has given it more since
            if not dense(gradient) or not dense(tensor) or gradient.shape != tensor.shape:
                continue
            if given.device == gradient.device and given.shape == gradient.shape[:1]:
                pairs.append((account, given, _rows(gradient)))
        told: Masked | None = None
        for found in self._found(habits, pairs):
            if told is None and (told := _moved(found, step)) is not None:
                tensor = found.account.ref()
                told = _described(recorder, told, decays.get(id(tensor), 0.0), tensor)
                del habits.found[found.account.number]
        habits.looks += bool(pairs)
        habits.open = habits.looks < FIRST or bool(habits.found)
        return told

    def _found(
        self, habits: Habits, pairs: Sequence[tuple[Account, torch.Tensor, torch.Tensor]]
    ) -> list[Rows]:
        """The parameters of which some rows, and not all, were withheld at this look."""
        if not pairs:
            return []
        device = pairs[0][1].device
        flags = [((given & ~live).any() & live.any()).to(device) for _, given, live in pairs]
        found = list[Rows]()
        for (account, given, live), some in zip(pairs, torch.stack(flags).tolist(), strict=True):
            known = habits.found.get(account.number)
            if known is None:
                if some:
                    known = habits.found[account.number] = Rows(account, given & ~live, live)
            elif not known.agrees(given & ~live, live) or known.seen > MOST:
                del habits.found[account.number]
                continue
            if known is not None and some:
                known.looks += 1
                found.append(known)
        return found


def _moved(rows: Rows, step: int) -> Masked | None:
    """Whether the rows kept have moved, and towards 0 alone; kept at the first look."""
    tensor = rows.account.ref()
    if tensor is None:
        return None
    if rows.places is None or rows.values is None:
        rows.places = rows.withheld.nonzero()[:ROWS, 0]
        rows.values = tensor[rows.places].float()
        rows.step = step
        return None
    if rows.looks < LOOKS or step <= rows.step:
        return None
    first, now = rows.values, tensor[rows.places].float()
    way = first - now
    sure = (first != 0) & (first.abs() >= way.abs().max())  # the smallest may swing past 0
    moved = sure & (way != 0)
    counts: list[int] = torch.stack(
        [sure.sum(), moved.sum(), (moved & (way * first < 0)).sum(), (first != 0).sum()]
    ).tolist()
    surely, some, away, all_ = counts
    if away or some < FEWEST or 2 * some < surely or 2 * surely < all_:
        return None
    count = int(rows.withheld.sum())
    before, after = float(first.norm()), float(now.norm())
    at = rows.account.number, count, rows.withheld.numel(), rows.looks
    return Masked(*at, step - rows.step, 0.0, before, after) if after < before else None


def _described(
    recorder: "Recorder", told: Masked, decay: float, tensor: torch.Tensor | None
) -> Masked:
    """The same, with the weight decay and the only hook's line."""
    hooks = _hooks(tensor) if tensor is not None else []
    code = getattr(hooks[0], "__code__", None) if len(hooks) == 1 else None
    line: Site | None = None
    if code is not None and recorder.places.owns(code):
        line = recorder.places.line(code, code.co_firstlineno)
    return replace(told, decay=decay, hooked=bool(hooks), hook=line)


def _rows(gradient: torch.Tensor) -> torch.Tensor:
    """Which rows hold something else than zeros."""
    size = gradient.detach()
    if size.dim() > 1:
        size = torch.linalg.vector_norm(size.flatten(1), float("inf"), dim=1)
    return (size != 0) & size.isfinite()


def _hooks(tensor: torch.Tensor) -> list[Any]:
    """The functions that are given this leaf's gradient, or called once it is there."""
    found = list((tensor._backward_hooks or {}).values())
    return found + list((getattr(tensor, "_post_accumulate_grad_hooks", None) or {}).values())


def _decay(group: dict[str, Any]) -> float:
    """The weight decay of a group that moves at all."""
    decay, rate = group.get("weight_decay", 0), group.get("lr", 0)
    if not isinstance(decay, (int, float)):
        return 0.0
    return float(decay) if isinstance(rate, torch.Tensor) or rate else 0.0


def _compiled() -> bool:
    """Whether backward passes are compiled, hooks at their nodes with them."""
    module = sys.modules.get("torch._dynamo.compiled_autograd")
    return bool(getattr(module, "compiled_autograd_enabled", False))
