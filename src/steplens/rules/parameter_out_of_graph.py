"""SL303: a parameter that the optimizer holds and that no loss graph reaches."""

from collections.abc import Collection

from steplens.model.event import Backward, Cut, End, Forward, GradCall, Made, Misnamed, Step
from steplens.model.finding import Because
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, rule, seen


@rule("SL303", "parameter-out-of-graph", "warning", needs=("step", "backward"))
class ParameterOutOfGraph:
    """Parameters that an optimizer holds and that no loss graph reaches.

    ## What it does
    Reports trainable parameters that no backward has reached by the second step of their optimizer,
    although their module ran forward in train mode with gradient recording on: somewhere between
    the module and the loss its output became plain numbers. An optimizer that holds nothing but
    parameters with `requires_grad=False` is reported as well: no loss can ever reach them; and so
    are parameters that an attribute which torch does not read was meant to unfreeze
    (`model.body.requires_grad = True`).

    ## Why is this bad?
    A step passes over tensors without a gradient and says nothing. What is behind the cut never
    learns, while the rest of the program looks as if it trained.

    ## Example
        loss = torch.tensor(-log_prob.item() * reward, requires_grad=True)
        loss.backward()

    ## Use instead
        loss = -log_prob * reward
        loss.backward()

    ## When it is fine
    Parts that did not run, and parts whose output nothing took out of the graph (a pooler, a spare
    head), are a note at the end of the run, as are parts that ran under `no_grad`, which may be
    frozen on purpose. A part that another loss trains is reached by that loss. Cuts by `data` or by
    an operation without a derivative (`argmax`, `>`) are looked for in the next forwards, once a
    step has shown parameters that no loss reaches.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.ran: dict[int, int] = {}  # module -> its last forward in train mode with grad on
        self.forwards = -1  # the last of these forwards
        self.begun: dict[int, int] = {}  # optimizer -> the step after which its iteration began
        self.ended: dict[int, int] = {}  # optimizer -> its last step
        self.cuts: list[Cut] = []
        self.steps: dict[int, tuple[int, int]] = {}  # optimizer -> (steps, backwards at the last)
        self.backwards = 0
        self.found: dict[int, set[int]] = {}  # optimizer -> tensors of its finding
        self.spare: dict[int, set[int]] = {}  # optimizer -> tensors not reached so far
        self.sites: dict[int, Step] = {}
        self.dark: dict[int, Site | None] = {}  # model -> its last forward in train mode, no grad
        self.open: dict[int, Step] = {}  # optimizer -> the step of a finding without a place
        self.whole: set[int] = set()  # optimizers that have never had a gradient at all

    def made(self, event: Made) -> None:
        if event.what == "optimizer":
            self.steps[event.number] = (0, self.backwards)

    def forward(self, event: Forward) -> None:
        if event.grad and event.training and event.ran:
            self.forwards = event.index
            for module in event.ran:
                self.ran[module] = event.index
            for module in event.without_grad:
                self.ran.pop(module, None)
        elif event.training and not event.grad and (len(self.dark) < 256):
            self.dark[event.module] = event.site

    def cut(self, event: Cut) -> None:
        if len(self.cuts) < 256:
            self.cuts.append(event)
        for optimizer, tensors in self.found.items():
            if not tensors.isdisjoint(event.leaves):
                self._also(optimizer, event)

    def _also(self, optimizer: int, cut: Cut) -> None:
        """Place a finding that had none at a cut heard since, or add it to the first one."""
        known = self.cases.findings[optimizer]
        step = self.open.pop(optimizer, None)
        if step is not None and cut.site is not None:
            why = (*self._called(cut), *because("stepped here, with nothing for them", step.site))
            made = [old for old in known.because if old.at != step.site]
            self.cases.amend(optimizer, at=cut.site, label=self._label(cut), because=(*why, *made))
        elif step is None and cut.how != "no_grad" and len(known.because) < 6:
            places = {known.at, *[why.at for why in known.because]}
            if cut.site not in places:
                more = because(f"`{cut.how}` takes values out of it here", cut.site)
                self.cases.amend(optimizer, because=(*known.because, *more))

    def _called(self, cut: Cut | None) -> tuple[Because, ...]:
        if cut is None:
            return ()
        return (
            *because("recording is switched off by this decorator", cut.decorated),
            *because("called here", cut.caller),
        )

    def backward(self, event: Backward) -> None:
        self.backwards += 1
        if self.found or self.spare:
            self._reached(event.leaves)

    def grad(self, event: GradCall) -> None:
        if self.found or self.spare:
            self._reached(event.leaves, self.whole)  # what it gave was put in no gradient

    def _reached(self, leaves: tuple[int, ...], but: Collection[int] = ()) -> None:
        """A loss reaches them after all; not for these optimizers."""
        for optimizer, tensors in list(self.found.items()):
            if optimizer not in but and not tensors.isdisjoint(leaves):
                self.found.pop(optimizer)
                self.cases.withdraw(optimizer)
        for tensors in self.spare.values():
            tensors.difference_update(leaves)
        if not any(self.spare.values()):
            self.spare.clear()

    def step(self, event: Step) -> None:
        count, backwards = self.steps.get(event.optimizer, (0, 0))
        self.steps[event.optimizer] = (count + 1, self.backwards)
        ended = self.ended.get(event.optimizer, -1)
        if self.forwards > ended:  # else one more step on the forwards of the last
            self.begun[event.optimizer] = ended
        self.ended[event.optimizer] = event.index
        if event.skipped or not (event.frozen or event.unreached):
            if event.optimizer in self.found:
                self.cases.again(event.optimizer, event.step + 1)
            return
        if event.optimizer in self.found or self.backwards == backwards:
            self.cases.again(event.optimizer, event.step + 1)
            return
        if count and len(event.frozen) == len(self.roster.optimizers[event.optimizer].tensors):
            self._frozen(event)
        elif event.unreached:
            self._unreached(event)

    def misnamed(self, event: Misnamed) -> None:
        """An attribute set to True that unfroze nothing."""
        if not event.value:
            return
        on = "a module" if event.module >= 0 else "parameters"
        names = named(self.roster, event.tensors)
        self.cases.open(
            ("misnamed", event.name, event.module),
            event.step + 1,
            event.site,
            f"`{event.name} = True` set on {on} does not unfreeze {names}: no loss can reach them",
            label="torch does not read this attribute here",
            evidence=[
                seen(f"tensors behind `{event.name} = True` that do not require a gradient",
                     len(event.tensors), 0)
            ],
            help="call `module.requires_grad_(True)`, or set `requires_grad` on each parameter",
            event=event.index,
            tensors=event.tensors,
        )  # fmt: skip

    def _frozen(self, event: Step) -> None:
        entry = self.roster.optimizers[event.optimizer]
        self.found[event.optimizer] = {*event.frozen}
        names = named(self.roster, event.frozen)
        self.cases.open(
            event.optimizer,
            event.step + 1,
            entry.site,
            f"the optimizer holds only {names}, which do not require gradients: no step can move "
            "them",
            label="made with frozen parameters only",
            because=because("stepped here, with nothing to use", event.site),
            evidence=[seen("tensors that require a gradient", 0, f"some of {len(entry.tensors)}")],
            help="set `requires_grad_(True)` on the parameters that are to be trained, or make the "
            "optimizer with those that are",
            event=event.index,
            tensors=event.frozen,
        )

    def _unreached(self, event: Step) -> None:
        entry = self.roster.optimizers[event.optimizer]
        begun = self.begun.get(event.optimizer, -1)
        module_of = {t: self.roster.tensors[t].module for t in event.unreached}
        ran = {t for t, module in module_of.items() if self.ran.get(module, -1) > begun}
        cuts = [cut for cut in self.cuts if cut.how != "no_grad"]
        cut = next((cut for cut in cuts if not ran.isdisjoint(cut.leaves)), None)
        whole = not event.uses and not event.unknown
        if whole and cut is None and not self._covers(ran, entry.tensors):
            whole = False
        if not ran or not (cut or whole):
            self.spare.setdefault(event.optimizer, set()).update(event.unreached)
            self.sites.setdefault(event.optimizer, event)
            return
        tensors = sorted(ran.intersection(cut.leaves)) if cut and not whole else sorted(ran)
        self.found[event.optimizer] = {*tensors}
        if whole:
            self.whole.add(event.optimizer)
        self._open(event, tensors, cut)
        if cut is None:
            self.open[event.optimizer] = event

    def _label(self, cut: Cut | None) -> str:
        if cut is not None and cut.how == "no_grad":
            return "`no_grad` was on as they ran here"
        return f"`{cut.how if cut else ''}` takes the values out of the graph here"

    def _covers(self, ran: set[int], held: tuple[int, ...]) -> bool:
        """Whether all that the optimizer holds has run."""
        return all(tensor in ran for tensor in held)

    def _open(self, event: Step, tensors: list[int], cut: Cut | None) -> None:
        entry = self.roster.optimizers[event.optimizer]
        names = named(self.roster, tensors)
        last = self.roster.tensors[max(tensors)].module
        after = f"; the graph ends after `{self.roster.module_name(last)}`" if last >= 0 else ""
        self.cases.open(
            event.optimizer,
            event.step + 1,
            (cut.site if cut else None) or event.site,
            f"no loss reaches {names}, which the optimizer holds and whose modules ran{after}",
            label=self._label(cut) if cut else "stepped here",
            because=(
                *because("stepped here, with nothing for them", event.site if cut else None),
                *because("the optimizer was made here", entry.site),
            ),
            evidence=[
                seen("tensors reached by no backward", len(tensors), 0),
                seen("backward passes so far", self.backwards),
            ],
            help="keep the values in the graph: compute the loss from the tensors themselves, "
            "without `item`, `detach`, `data`, `numpy` or `torch.tensor` on the way",
            event=event.index,
            tensors=tensors,
        )

    def end(self, event: End) -> None:
        for optimizer, tensors in self.spare.items():
            left = sorted(tensors - self.found.get(optimizer, set()))
            if not left or optimizer in self.found:
                continue
            entry, step = self.roster.optimizers[optimizer], self.sites[optimizer]
            dark = [cut for cut in self.cuts if cut.how == "no_grad"]
            cut = next((cut for cut in dark if not tensors.isdisjoint(cut.leaves)), None)
            ran = [self.dark.get(self.roster.tensors[tensor].root) for tensor in left]
            site = cut.site if cut is not None else next((s for s in ran if s is not None), None)
            self.cases.open(
                optimizer,
                step.step + 1,
                site or entry.site,
                f"no loss of this run reached {named(self.roster, left)}, held by the optimizer",
                label="`no_grad` was on as they ran here" if site else "made with them",
                because=because("the optimizer was made with them", entry.site if site else None),
                evidence=[seen("tensors reached by no backward", len(left))],
                help="leave them out of the optimizer, or use what they make in the loss",
                severity="note",
                event=step.index,
                tensors=left,
            )
