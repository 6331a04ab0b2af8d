"""SL205: a step used contributions from before and after another optimizer's step."""

from collections import deque

from steplens.model.event import Backward, Contribution, Share, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.against import Against, Pass
from steplens.rules.base import Cases, because, named, rule, seen


@rule(
    "SL205",
    "gradients-from-another-loss",
    "warning",
    needs=("step",),
    claims=("backward-adds-to-grad",),
)
class GradientsFromAnotherLoss:
    """Gradients that one network's loss left in another network, used by the other's step.

    ## What it does
    Reports a step whose gradients hold the contributions of two losses, where another optimizer
    stepped on the first of them before the second was backwarded: the first loss was for the other
    optimizer, and its gradient leaked into this one's update. And an optimizer that holds all that
    another one trains, and more, and steps it by a loss of its own, the other way: the cosine of
    the two gradients was under -0.5 at eight turns running.

    ## Why is this bad?
    In a GAN the discriminator's loss, taken on samples that were not detached, also gives the
    generator a gradient: one that helps the discriminator. Added to the generator's own it nearly
    cancels it. The losses look plausible. So they do where the discriminator's optimizer was given
    `gan.parameters()`: each of its steps takes the generator back where it came from.

    ## Example
        d_loss = bce(D(real), ones) + bce(D(fake), zeros)
        d_loss.backward(retain_graph=True)
        opt_D.step()
        bce(D(fake), ones).backward()
        opt_G.step()

    ## Use instead
        d_loss = bce(D(real), ones) + bce(D(fake.detach()), zeros)
        d_loss.backward()
        opt_D.step()
        bce(D(fake), ones).backward()
        opt_G.step()

    ## When it is fine
    Several losses backwarded first and all optimizers stepped then. Contributions that are cleared
    before the second loss. The same loss accumulated over batches while a faster optimizer steps. A
    body trained by the losses of several heads, each with an optimizer of its own. A first loss for
    both: one of its summands depends on what this optimizer holds, and on nothing that the other
    does (BicycleGAN steps its encoder on the sum of losses, its generator on one more). An
    optimizer of everything beside one of a part, unless their gradients oppose each other, the
    first has a loss that the part has no share in, and the loss of the part runs through the rest.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.passes = Newest[int, Pass](64)
        self.steps: deque[Step] = deque(maxlen=32)
        # line of a backward -> for each summand of its loss, the optimizers whose tensors it is of
        self.summands = Newest[Site | None, tuple[tuple[int, ...], ...]](64)
        self.against = Against(roster, cases, self.passes, self.steps)

    def backward(self, event: Backward) -> None:
        self.passes[event.index] = Pass(event.site, event.leaves)
        self.against.backward(event)
        if event.summands:
            self.summands[event.site] = event.summands

    def step(self, event: Step) -> None:
        if event.skipped:
            return
        for share in event.uses:
            if len(share.holds) > 1 and self._leaked(event, share):
                break
        self.steps.append(event)
        self.against.step(event)

    def _leaked(self, event: Step, share: Share) -> bool:
        newest = share.holds[-1]
        for contribution in share.holds[:-1]:
            if contribution.used_by:
                continue
            between = self._stepped_between(event, contribution, newest)
            if between is not None and self._other_loss(event, between, contribution, newest):
                self._open(event, between, contribution, newest, share)
                return True
        return False

    def _stepped_between(
        self, event: Step, first: Contribution, second: Contribution
    ) -> Step | None:
        """Another optimizer's step on the first contribution, before the second was made."""
        for step in self.steps:
            if (
                first.backward < step.index < second.backward
                and step.optimizer != event.optimizer
                and step.moved
                and any(c.backward == first.backward for s in step.uses for c in s.holds)
            ):
                return step
        return None

    def _other_loss(
        self, event: Step, between: Step, first: Contribution, second: Contribution
    ) -> bool:
        """Whether the two are different losses, and the second is of the network just stepped or of
        this optimizer alone."""
        one, two = self.passes.get(first.backward), self.passes.get(second.backward)
        if one is None or two is None or (one.site == two.site and one.leaves == two.leaves):
            return False
        summands = self.summands.get(one.site, ())
        if any(event.optimizer in each and between.optimizer not in each for each in summands):
            return False  # this one's own loss, which the other stepped on first
        stepped = {tensor for share in between.uses for tensor in share.tensors}
        mine = frozenset(self.roster.optimizers[event.optimizer].tensors)
        return not stepped.isdisjoint(two.leaves) or mine.issuperset(two.leaves)

    def _open(
        self, event: Step, between: Step, first: Contribution, second: Contribution, share: Share
    ) -> None:
        one, two = self.passes[first.backward], self.passes[second.backward]
        cause = one.site or event.optimizer
        if self.cases.again(cause, event.step + 1):
            return
        other = self.roster.optimizers[between.optimizer]
        mine = self.roster.optimizers[event.optimizer]
        names = (other.label or other.type, mine.label or mine.type)
        self.cases.open(
            cause,
            event.step + 1,
            one.site,
            f"a loss that `{names[0]}` stepped on also went into the update of `{names[1]}`",
            label="this backward reached both networks",
            because=(
                *because(f"`{names[0]}` stepped on it here", between.site),
                *because("this backward added to what it had left", two.site),
                *because("used both here", event.site),
            ),
            evidence=(
                seen(
                    "gradients that hold both losses",
                    f"{len(share.tensors)} ({named(self.roster, share.tensors)})",
                    0,
                ),
            ),
            help="`detach()` what the first loss takes from the other network, or call "
            f"`{names[1]}.zero_grad()` before the second backward",
            event=event.index,
            tensors=share.tensors,
        )
