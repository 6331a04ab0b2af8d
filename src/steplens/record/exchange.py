"""What the ranks exchanged between two steps of an optimizer whose tensors lie in a
DistributedDataParallel."""

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from steplens.model.event import Exchange
from steplens.record.account import Account
from steplens.record.apart import Copies
from steplens.record.byhand import ByHand
from steplens.record.ledger import values_of
from steplens.record.pairs import launched
from steplens.record.ranks import place
from steplens.record.rounds import Call

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

Sample = dict[int, torch.Tensor]
TENSORS, ELEMENTS = 8, 64  # of a sample of parameters or gradients


class Exchanges:
    """The collectives launched so far, as each optimizer's last step found them.

    A process group numbers its collectives, those that torch launches itself too: no new number
    means that nothing was exchanged. Nothing is launched to know it. The wrapper launches its own
    within backward passes; whether others averaged anything is told by the bits of a sample.
    """

    def __init__(self) -> None:
        self.within = 0  # launched in backward passes so far
        self.begun = -1  # collectives before the running backward
        self.gradients: Sample = {}  # as the newest backward left them, if it launched nothing
        self.leaves: Sequence[Account] = ()  # whose gradients these are
        self.parameters: dict[int, Sample] = {}  # as a step left them that used what it left
        self.counts: dict[int, tuple[int, int]] = {}  # optimizer -> (launched, within) at its step
        self.wrappers: dict[int, tuple[Any, int, weakref.ref[nn.Module] | None]] = {}
        self.copies = Copies()
        self.byhand = ByHand()
        self.tables: tuple[dict[int, Any], ...] = (self.parameters, self.counts, self.wrappers)

    # -- backward passes ----------------------------------------------------------------------

    def before_backward(self) -> None:
        """Note where the count stands."""
        self.begun = launched() if self.counts else -1

    def after_backward(self, recorder: "Recorder", leaves: Sequence[Account]) -> None:
        """Count what the backward launched, and keep a sample of its gradients if nothing."""
        if self.begun < 0:
            return
        with recorder.guarded("exchange"), recorder.quiet():
            count, self.begun = launched() - self.begun, -1
            self.within += max(0, count)
            self.leaves = () if count else leaves[:TENSORS]
            self.gradients = _gradients(self.leaves)

    def kept(self, recorder: "Recorder") -> bool:
        """Whether the gradients that torch is about to clip or unscale are as a backward that
        launched nothing left them."""
        with recorder.guarded("exchange"), recorder.quiet():
            return bool(self.gradients) and _same(_gradients(self.leaves), self.gradients)
        return False

    def renew(self, recorder: "Recorder") -> None:
        """Torch has clipped or unscaled them: that averages nothing."""
        with recorder.guarded("exchange"), recorder.quiet():
            self.gradients = _gradients(self.leaves)

    # -- steps --------------------------------------------------------------------------------

    def before_step(
        self, recorder: "Recorder", number: int, accounts: Sequence[Account]
    ) -> Exchange | None:
        """What was exchanged since this optimizer's last step; None where that cannot be said, or
        none of its tensors is in a wrapper. Nothing is said of steps inside a backward."""
        if place() is None or self.begun >= 0:
            return None
        with recorder.guarded("exchange"), recorder.quiet():
            return self._since(recorder, number, accounts)
        return None

    def _since(
        self, recorder: "Recorder", number: int, accounts: Sequence[Account]
    ) -> Exchange | None:
        wrapper = self._wrapper(recorder, number, accounts)
        if wrapper is None:
            self.byhand.step(recorder, number, accounts)
            return None
        ranks = _ranks(wrapper)
        now, before = launched() if ranks > 1 else -1, self.counts.get(number)
        if now >= 0 and before is None:
            self.copies.begin(recorder, number, accounts, wrapper)
        if now < 0 or before is None or now < before[0]:  # a group was destroyed meanwhile
            return None
        count, within = now - before[0], self.within - before[1]
        kept = written = trailing = False
        if count and not within:
            sample, values = self.gradients, self.parameters.get(number)
            mine = [account for account in accounts if account.number in sample]
            kept = bool(mine) and _same(_gradients(mine), sample)
            written = values is not None and not _same(_parameters(accounts), values)
        elif within and self.gradients:
            shared = {id(parameter) for parameter in wrapper.parameters()}
            mine = {account.number for account in accounts}
            own = [a for a in self.leaves if a.number in mine and id(a.ref()) in shared]
            trailing = bool(own) and _same(_gradients(own), self.gradients)
        wrapped = recorder.census.module(wrapper)
        inside = recorder.census.known_module(wrapper.module)
        return Exchange(wrapped, ranks, count, within, kept, written, inside, trailing)

    def after_step(
        self, recorder: "Recorder", number: int, accounts: Sequence[Account], seen: Exchange | None
    ) -> None:
        """Count from here on; after a step whose gradients were not averaged keep a sample of the
        parameters, to see whether the program averages these instead."""
        if not self.wrappers or place() is None:
            return
        with recorder.guarded("exchange"), recorder.quiet():
            wrapper = self._known(number)
            if _ranks(wrapper) > 1 and (count := launched()) >= 0:
                averaged = seen is None or (seen.averaged and not seen.trailing)
                self.copies.step(recorder, number, accounts, wrapper, averaged)
                self.counts[number] = (count, self.within)
                self.parameters.pop(number, None)
                if seen is not None and not seen.averaged:
                    self.parameters[number] = _parameters(accounts)

    # -- counted steps ------------------------------------------------------------------------

    def due(self, recorder: "Recorder", step: Call) -> bool:
        """Whether as much was exchanged before a step that is counted as the time before."""
        seen = self.before_step(recorder, step.event.optimizer, step.accounts)
        return bool(seen == step.event.exchange)

    def counted(self, recorder: "Recorder", step: Call) -> None:
        """It has been counted."""
        event = step.event
        self.after_step(recorder, event.optimizer, step.accounts, event.exchange)

    # -- wrappers -----------------------------------------------------------------------------

    def _known(self, number: int) -> Any:
        known = self.wrappers.get(number)
        return known[2]() if known is not None and known[2] is not None else None

    def _wrapper(self, recorder: "Recorder", number: int, accounts: Sequence[Account]) -> Any:
        """The live wrapper that holds the first of these tensors."""
        roster, known = recorder.roster, self.wrappers.get(number)
        if known is None or known[0] is not accounts or known[1] != len(roster.modules):
            if recorder.census.stale_names:
                recorder.census.enter_trees()
            reference: weakref.ref[nn.Module] | None = None
            wrapped = {  # whatever else holds them as well
                id(module.module): module
                for module in recorder.census.alive()
                if isinstance(module, DistributedDataParallel)
            }
            module = roster.tensors[accounts[0].number].module if accounts and wrapped else -1
            while module >= 0 and reference is None:
                found = recorder.census.module_at(module)
                if id(found) in wrapped:
                    reference = weakref.ref(wrapped[id(found)])
                module = roster.modules[module].parent
            self.wrappers[number] = (accounts, len(roster.modules), reference)
        return self._known(number)


def _ranks(wrapper: Any) -> int:
    """How many ranks a wrapper's group has; 0 where its backend does not count collectives: making
    the wrapper has launched some."""
    group = getattr(wrapper, "process_group", None)
    try:
        counts = group is not None and group._get_sequence_number_for_group() > 0
    except (AttributeError, RuntimeError):
        return 0
    return dist.get_world_size(group) if counts else 0


def _gradients(accounts: Sequence[Account]) -> Sample:
    pairs = [(account.number, account.ref()) for account in accounts]
    return _sample([(number, None if held is None else held.grad) for number, held in pairs])


def _parameters(accounts: Sequence[Account]) -> Sample:
    return _sample([(account.number, account.ref()) for account in accounts[:TENSORS]])


def _sample(tensors: list[tuple[int, torch.Tensor | None]]) -> Sample:
    with torch.no_grad():
        return {
            number: values.reshape(-1)[:ELEMENTS].clone()
            for number, tensor in tensors
            if tensor is not None and (values := values_of(tensor)) is not None
        }


def _same(these: Sample, those: Sample) -> bool:
    """Whether all of these are among those, and equal."""
    return all(
        number in those and torch.equal(values, those[number]) for number, values in these.items()
    )
