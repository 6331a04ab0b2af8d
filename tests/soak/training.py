"""Runs a Plan, the same way each time, and gives the bits of all that it made."""

import pickle
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy
import torch
from torch import nn

import models
import tricks
from plans import Plan
from witness import Silent, bits

Result = list[tuple[str, Any]]


class Program:
    """One running program."""

    def __init__(self, plan: Plan, witness: Silent) -> None:
        torch.manual_seed(plan.seed)
        random.seed(plan.seed)
        numpy.random.seed(plan.seed)
        self.plan, self.witness = plan, witness
        self.log: Result = []
        self.kept: list[torch.Tensor] = []
        self.x = torch.randn(5, models.FEATURES)
        self.y = torch.randn(5, models.FEATURES)
        self.models = [models.make(shape) for shape in plan.models]
        self.averages: list[Any] = []
        self.know()
        self.owned: list[list[torch.Tensor]] = []
        self.optimizers: list[Any] = []
        self.schedules: list[Any] = []
        for number, steps in enumerate(plan.optimizers):
            self.make_optimizers(number, steps)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=plan.scaler)
        self.hooks()

    def know(self) -> None:
        self.witness.know(p for model in self.models for p in model.parameters())

    # -- making -------------------------------------------------------------------------------

    def make_optimizers(self, number: int, steps: Any) -> None:
        held = [p for p in self.models[number % len(self.models)].parameters() if p.is_leaf]
        if steps.share == "all":
            held = list({p: 0 for model in self.models for p in model.parameters()})
        elif steps.share == "first-half":
            held = held[: max(1, len(held) // 2)]
        shares = [[p] for p in held] if steps.share == "per-tensor" else [held]
        for share in shares:
            self.optimizer(steps, share)

    def optimizer(self, steps: Any, held: list[torch.Tensor]) -> None:
        options = dict(steps.options)
        if options.get("fused"):
            options.pop("foreach", None)
        half = len(held) // 2
        groups: Any = held
        if steps.groups == 2 and half:
            groups = [{"params": held[:half]}, {"params": held[half:], "lr": options["lr"] * 0.5}]
        made = getattr(torch.optim, steps.kind)(groups, **options)
        self.optimizers.append(made)
        self.owned.append(held)
        self.schedules.append(models.schedule_of(steps.schedule, made))

    def hooks(self) -> None:
        for hook in self.plan.hooks:
            if hook == "step-inside" and self.plan.optimizers[0].share == "per-tensor":
                for number, held in enumerate(self.owned):
                    for tensor in held:
                        tensor.register_post_accumulate_grad_hook(self.step_inside(number))
            elif hook == "module":
                self.models[0].register_forward_hook(lambda *_: None)
                self.models[0].register_full_backward_hook(lambda *_: None)
            elif hook == "tensor":
                for tensor in self.models[0].parameters():
                    tensor.register_hook(lambda gradient: gradient * 2)

    def step_inside(self, number: int) -> Callable[[torch.Tensor], None]:
        def step(_: torch.Tensor) -> None:
            if not self.plan.scaler:
                self.step(number, "plain")
                self.clear(number, "optimizer")

        return step

    # -- passes -------------------------------------------------------------------------------

    def forward(self, number: int, x: torch.Tensor | None = None) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.plan.autocast):
            return self.models[number % len(self.models)](self.x if x is None else x)

    def loss_of(self, out: torch.Tensor) -> torch.Tensor:
        if self.plan.loss == "cross-entropy":
            return nn.functional.cross_entropy(out.float(), self.y.argmax(1))
        if self.plan.loss == "sum":
            return out.float().sum()
        if self.plan.loss == "zero":
            return out.float().sum() * 0
        if self.plan.loss == "smooth":
            return nn.functional.smooth_l1_loss(out.float(), self.y)
        return (out.float() - self.y).pow(2).mean()

    def backward(self, loss: torch.Tensor, **options: Any) -> None:
        self.log.append(("loss", bits(loss)))
        with self.witness.during("backward"):
            (self.scaler.scale(loss) if self.plan.scaler else loss).backward(**options)

    def run_pass(self, number: int, how: str) -> None:
        if how == "chained":
            self.backward(self.loss_of(self.forward(number + 1, self.forward(number))))
            return
        loss = self.loss_of(self.forward(number))
        held = [p for p in self.models[number % len(self.models)].parameters() if p.requires_grad]
        if how == "twice":
            self.backward(loss, retain_graph=True)
        elif how == "weighted":
            self.backward(loss, gradient=torch.tensor(0.5))
            return
        elif how == "penalty":
            slopes = torch.autograd.grad(loss, held, create_graph=True, allow_unused=True)
            loss = loss + sum(slope.pow(2).sum() for slope in slopes if slope is not None)
        elif how == "inputs":
            self.backward(loss, inputs=held[: max(1, len(held) // 2)])
            return
        elif how == "several":
            other = self.loss_of(self.forward(number + 1))
            with self.witness.during("backward"):
                torch.autograd.backward([loss, other])
            return
        self.backward(loss)

    # -- clears, clips, steps -----------------------------------------------------------------

    def clear(self, number: int, how: str) -> None:
        number %= len(self.optimizers)
        optimizer, held = self.optimizers[number], self.owned[number]
        model = self.models[number % len(self.models)]
        if how.startswith("optimizer"):
            with self.witness.during("clear", held):
                optimizer.zero_grad(set_to_none=not how.endswith("zero"))
        elif how.startswith("model"):
            with self.witness.during("clear", list(model.parameters())):
                model.zero_grad(set_to_none=not how.endswith("zero"))
        for tensor in held:
            if how == "none":
                tensor.grad = None
            elif tensor.grad is not None and how == "zero":
                tensor.grad.zero_()
            elif tensor.grad is not None and how == "data-zero":
                tensor.grad.data.zero_()
            elif tensor.grad is not None and how == "mul":
                tensor.grad.mul_(0)

    def clip(self, number: int, how: str) -> None:
        held = self.owned[number % len(self.optimizers)]
        if how == "own":
            for tensor in held:
                if tensor.grad is not None:
                    tensor.grad.clamp_(-0.1, 0.1)
            return
        with self.witness.during("write", held):
            if how == "value":
                nn.utils.clip_grad_value_(held, 0.05)
            else:
                most = 1e9 if how == "norm-infinite" else 0.1
                self.log.append(("norm", bits(nn.utils.clip_grad_norm_(held, most))))

    def step(self, number: int, how: str) -> None:
        number %= len(self.optimizers)
        optimizer, held = self.optimizers[number], self.owned[number]
        closure = how == "closure" or isinstance(optimizer, torch.optim.LBFGS)

        def evaluate() -> torch.Tensor:
            with self.witness.during("clear", held):
                optimizer.zero_grad()
            loss = self.loss_of(self.forward(number))
            self.backward(loss)
            return loss

        with self.witness.during("step", held):
            if self.plan.scaler and not closure:
                self.scaler.step(optimizer)
            elif closure:
                self.log.append(("closure", bits(optimizer.step(evaluate))))
            else:
                optimizer.step()
            self.witness.stepped(number, held)
        if self.plan.scaler and not closure:
            self.scaler.update()

    def schedule(self, number: int) -> None:
        scheduler = self.schedules[number % len(self.schedules)]
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step(1.0)
        elif scheduler is not None:
            scheduler.step()

    # -- looks --------------------------------------------------------------------------------

    def look(self, number: int, how: str) -> None:
        model = self.models[number % len(self.models)]
        if how in ("eval", "eval-no-grad", "left-eval"):
            model.eval()
        if how in ("no-grad", "eval-no-grad"):
            with torch.no_grad():
                self.log.append(("seen", bits(self.forward(number))))
        elif how == "inference":
            with torch.inference_mode():
                self.forward(number)
        elif how == "grad-off":
            torch.set_grad_enabled(False)
            self.forward(number)
            torch.set_grad_enabled(True)
        elif how == "func":
            held = {name: p.detach() for name, p in model.named_parameters()}
            given = held | dict(model.named_buffers())
            slope = torch.func.grad(
                lambda x: torch.func.functional_call(model, given, (x,)).float().sum()
            )(self.x)
            self.log.append(("slope", bits(slope)))
        else:
            self.log.append(("seen", bits(self.forward(number))))
        if how not in ("left-eval",):
            model.train()

    # -- the whole ----------------------------------------------------------------------------

    def act(self, action: tuple[Any, ...]) -> None:
        kind, number, how = action
        self.know()  # tricks make new ones
        if kind == "pass":
            self.run_pass(number, how)
        elif kind == "trick":
            getattr(tricks, how.replace("-", "_"))(self, number)
        elif kind == "schedule":
            self.schedule(number)
        else:
            getattr(self, kind)(number, how)

    def run(self) -> Result:
        for _ in range(self.plan.rounds):
            for action in self.plan.actions:
                try:
                    self.act(action)
                except Exception as error:
                    self.log.append(("raised", f"{type(error).__name__}: {str(error)[:60]}"))
                    torch.set_grad_enabled(True)
        return self.log + self.state()

    def state(self) -> Result:
        """The bits of every weight, buffer, gradient, optimizer tensor and random state."""
        found: Result = []
        for place, model in enumerate(self.models):
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                found.append((f"{place}.{name}", bits(tensor)))
                found.append((f"{place}.{name} trainable", tensor.requires_grad))
                if tensor.grad is not None:
                    found.append((f"{place}.{name}.grad", bits(tensor.grad)))
            found.append((f"{place} modes", [module.training for module in model.modules()]))
        for place, optimizer in enumerate(self.optimizers):
            found += _flat(f"optimizer {place}", optimizer.state_dict())
            if self.schedules[place] is not None:
                found += _flat(f"schedule {place}", self.schedules[place].state_dict())
        found += _flat("scaler", self.scaler.state_dict())
        found.append(("torch random", torch.get_rng_state()))
        found.append(("python random", random.getstate()))
        found.append(("numpy random", pickle.dumps(numpy.random.get_state())))
        found.append(("grad mode", torch.is_grad_enabled()))
        return found


def _flat(name: str, value: Any) -> Result:
    if isinstance(value, torch.Tensor):
        return [(name, bits(value))]
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in _flat(f"{name}.{key}", item)]
    if isinstance(value, (list, tuple)):
        return [pair for key, item in enumerate(value) for pair in _flat(f"{name}.{key}", item)]
    return [] if callable(value) or hasattr(value, "__dict__") else [(name, repr(value))]


def differences(one: Result, other: Result) -> list[str]:
    """The names of what differs between two runs."""
    if [name for name, _ in one] != [name for name, _ in other]:
        pairs = zip(one, other, strict=False)
        return [f"{a} against {b}" for a, b in pairs if a[0] != b[0]][:3] or ["a longer log"]
    return [
        name
        for (name, a), (_, b) in zip(one, other, strict=True)
        if not (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b)
    ]


def quietly(run: Callable[[], Any]) -> Any:
    """Run without warnings, and leave grad mode on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run()
    finally:
        torch.set_grad_enabled(True)
