"""The Ledger against an account written by hand: which backward passes each step used.

Backward passes and steps are counted from 1 in the order of their events. A gradient that holds
backward 1, used by step 1, and backward 2 is written ``[(1, [1]), (2, [])]``, ``HAND`` is one that
somebody wrote, ``[]`` one that holds nothing.
"""

import copy
import warnings
from collections.abc import Callable

import torch
from torch import nn

import watching
from steplens.model.event import Backward, Clear, Share, Step

HAND = "written by hand"
Held = list[tuple[int, list[int]]] | str


class Told:
    """What the events of a run tell, in ordinals and the names of the parameters."""

    def __init__(self, program: Callable[[], object]) -> None:
        self.report = watching.watched(program)
        events = self.report.timeline.events
        backwards = [event for event in events if isinstance(event, Backward)]
        self.made = [event for event in events if isinstance(event, Step)]
        self.first = {event.index: place for place, event in enumerate(backwards, 1)}
        self.second = {event.index: place for place, event in enumerate(self.made, 1)}
        self.steps = [self._step(event) for event in self.made]
        clears = [event for event in events if isinstance(event, Clear) and event.lost]
        self.clears = [(event.by, self._shares(event.lost)) for event in clears]
        self.leaves = [sorted(self._name(leaf) for leaf in event.leaves) for event in backwards]

    def _name(self, tensor: int) -> str:
        return self.report.roster.tensors[tensor].name

    def _shares(self, shares: tuple[Share, ...]) -> dict[str, Held]:
        return {
            self._name(tensor): [
                (self.first[c.backward], [self.second[step] for step in c.used_by])
                for c in share.holds
            ]
            for share in shares
            for tensor in share.tensors
        }

    def _step(self, event: Step) -> dict[str, Held]:
        none: dict[str, Held] = {self._name(tensor): [] for tensor in event.idle}
        hand: dict[str, Held] = {self._name(tensor): HAND for tensor in event.unknown}
        return self._shares(event.uses) | none | hand


def alone() -> nn.Module:
    return nn.Linear(3, 1, bias=False)


def sgd(model: nn.Module, **options: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, **options)


def loss_of(model: nn.Module) -> torch.Tensor:
    return model(torch.ones(2, 3)).sum()


def test_a_plain_loop_uses_each_backward_once() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()

    told = Told(program)
    assert told.steps == [{"weight": [(1, [])]}, {"weight": [(2, [])]}, {"weight": [(3, [])]}]
    assert told.clears == [("optimizer", {"weight": [(n, [n])]}) for n in (1, 2)]


def test_accumulation_adds_up_until_the_step() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        for batch in range(4):
            loss_of(model).backward()
            if batch % 2:
                optimizer.step()
                optimizer.zero_grad()

    told = Told(program)
    assert told.steps == [{"weight": [(1, []), (2, [])]}, {"weight": [(3, []), (4, [])]}]
    assert told.clears == [
        ("optimizer", {"weight": [(1, [1]), (2, [1])]}),
        ("optimizer", {"weight": [(3, [2]), (4, [2])]}),
    ]


def test_what_is_never_cleared_stays_used() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        for _ in range(3):
            loss_of(model).backward()
            optimizer.step()

    assert Told(program).steps == [
        {"weight": [(1, [])]},
        {"weight": [(1, [1]), (2, [])]},
        {"weight": [(1, [1, 2]), (2, [2]), (3, [])]},
    ]


def test_what_is_never_cleared_is_known_beyond_the_window() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        for _ in range(40):
            loss_of(model).backward()
            optimizer.step()

    told = Told(program)
    assert all(step["weight"][-1] == (n, []) for n, step in enumerate(told.steps, 1))
    assert all(
        step["weight"][-2] == (n - 1, [n - 1]) for n, step in enumerate(told.steps, 1) if n > 1
    )


def test_several_losses_reach_different_tensors() -> None:
    def program() -> None:
        body, one, two = alone(), nn.Linear(1, 1, bias=False), nn.Linear(1, 2, bias=False)
        model = nn.ModuleDict({"body": body, "one": one, "two": two})
        optimizer = sgd(model)
        features = body(torch.ones(2, 3))
        one(features).sum().backward(retain_graph=True)
        two(features).sum().backward()
        optimizer.step()

    told = Told(program)
    assert told.leaves == [["body.weight", "one.weight"], ["body.weight", "two.weight"]]
    assert told.steps == [
        {
            "body.weight": [(1, []), (2, [])],
            "one.weight": [(1, [])],
            "two.weight": [(2, [])],
        }
    ]


def test_several_optimizers_use_the_same_backward() -> None:
    def program() -> None:
        model = nn.ModuleDict({"body": alone(), "head": nn.Linear(1, 1, bias=False)})
        of_body, of_head = sgd(model["body"]), sgd(model["head"])
        for _ in range(2):
            of_body.zero_grad()
            of_head.zero_grad()
            model["head"](model["body"](torch.ones(2, 3))).sum().backward()
            of_body.step()
            of_head.step()

    assert Told(program).steps == [
        {"body.weight": [(1, [])]},
        {"head.weight": [(1, [])]},
        {"body.weight": [(2, [])]},
        {"head.weight": [(2, [])]},
    ]


def test_parameters_shared_by_two_optimizers() -> None:
    def program() -> None:
        model = alone()
        one, two = sgd(model), sgd(model)
        loss_of(model).backward()
        one.step()
        two.step()
        two.zero_grad()
        loss_of(model).backward()
        one.step()

    told = Told(program)
    assert told.steps == [{"weight": [(1, [])]}, {"weight": [(1, [1])]}, {"weight": [(2, [])]}]
    assert told.clears == [("optimizer", {"weight": [(1, [1, 2])]})]


def test_a_closure_leaves_what_its_last_backward_made() -> None:
    def program() -> None:
        model = alone()
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = (model(torch.eye(3)) - 1).pow(2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        optimizer.step(closure)

    told = Told(program)
    assert told.steps == [{"weight": [(2, [])]}, {"weight": [(4, [])]}]
    assert told.clears == [
        ("optimizer", {"weight": [(1, [])]}),
        ("optimizer", {"weight": [(2, [1])]}),
        ("optimizer", {"weight": [(3, [])]}),
    ]


def test_an_optimizer_that_steps_inside_backward() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 1, bias=False))
        optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

        def step(parameter: torch.Tensor) -> None:
            optimizers[parameter].step()
            optimizers[parameter].zero_grad()

        for parameter in model.parameters():
            parameter.register_post_accumulate_grad_hook(step)
        for _ in range(2):
            loss_of(model).backward()

    told = Told(program)
    assert told.steps == [
        {"1.weight": [(1, [])]},
        {"0.weight": [(1, [])]},
        {"1.weight": [(2, [])]},
        {"0.weight": [(2, [])]},
    ]
    assert [lost for _, lost in told.clears] == [
        {"1.weight": [(1, [1])]},
        {"0.weight": [(1, [2])]},
        {"1.weight": [(2, [3])]},
        {"0.weight": [(2, [4])]},
    ]


def test_updates_by_hand_without_an_optimizer() -> None:
    def program() -> None:
        model = alone()
        for _ in range(3):
            loss_of(model).backward()
            with torch.no_grad():
                model.weight -= 0.1 * model.weight.grad
            model.weight.grad = None

    told = Told(program)
    assert told.steps == []
    assert told.clears == [("hand", {"weight": [(n, [])]}) for n in (1, 2, 3)]


def cleared_by(clear: Callable[[nn.Module], object]) -> Told:
    """A loop of three steps that clears in this way after each."""

    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        for _ in range(3):
            loss_of(model).backward()
            optimizer.step()
            clear(model)

    return Told(program)


ONE_EACH = [{"weight": [(n, [])]} for n in (1, 2, 3)]


def test_grad_set_to_none_by_hand_is_a_clear() -> None:
    told = cleared_by(lambda model: setattr(model.weight, "grad", None))
    assert told.steps == ONE_EACH
    assert told.clears[:2] == [("hand", {"weight": [(n, [n])]}) for n in (1, 2)]


def test_grad_zeroed_in_place_is_a_clear() -> None:
    told = cleared_by(lambda model: model.weight.grad.zero_())
    assert told.steps == ONE_EACH
    assert told.clears[:2] == [("hand", {"weight": [(n, [n])]}) for n in (1, 2)]


def test_grad_zeroed_through_data_is_a_clear() -> None:
    told = cleared_by(lambda model: model.weight.grad.data.zero_())
    assert told.steps == ONE_EACH
    assert told.clears[:2] == [("hand", {"weight": [(n, [n])]}) for n in (1, 2)]


def test_module_zero_grad_is_a_clear() -> None:
    told = cleared_by(lambda model: model.zero_grad())
    assert told.steps == ONE_EACH
    assert told.clears == [("module", {"weight": [(n, [n])]}) for n in (1, 2, 3)]


def test_zeros_in_place_of_none_hold_nothing() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model, momentum=0.9)
        loss_of(model).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        optimizer.step()
        loss_of(model).backward()
        optimizer.step()

    assert Told(program).steps == [{"weight": [(1, [])]}, {"weight": []}, {"weight": [(2, [])]}]


def test_a_clear_before_the_step_loses_what_no_step_used() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        for _ in range(2):
            loss_of(model).backward()
            optimizer.zero_grad()
            optimizer.step()

    told = Told(program)
    assert told.steps == [{"weight": []}, {"weight": []}]
    assert told.clears == [("optimizer", {"weight": [(n, [])]}) for n in (1, 2)]


def test_tied_weights_are_one_tensor() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
        model[1].weight = model[0].weight
        optimizer = sgd(model)
        loss_of(model).backward()
        optimizer.step()

    told = Told(program)
    assert told.leaves == [["0.weight"]]
    assert told.steps == [{"0.weight": [(1, [])]}]


def test_a_module_made_in_mid_run() -> None:
    def program() -> None:
        model = nn.ModuleDict({"body": alone()})
        optimizer = sgd(model)
        model["body"](torch.ones(2, 3)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        model["head"] = nn.Linear(1, 1, bias=False)
        optimizer.add_param_group({"params": model["head"].parameters()})
        model["head"](model["body"](torch.ones(2, 3))).sum().backward()
        optimizer.step()

    assert Told(program).steps == [
        {"body.weight": [(1, [])]},
        {"body.weight": [(2, [])], "head.weight": [(2, [])]},
    ]


def test_a_module_replaced_in_mid_run() -> None:
    def program() -> None:
        model = nn.ModuleDict({"body": alone(), "head": nn.Linear(1, 1, bias=False)})
        old = model["head"]
        optimizer = sgd(model)
        for _ in range(2):
            optimizer.zero_grad()
            model["head"](model["body"](torch.ones(2, 3))).sum().backward()
            optimizer.step()
            model["head"] = nn.Linear(1, 1, bias=False)
        del old

    told = Told(program)
    assert [len(leaves) for leaves in told.leaves] == [2, 2]
    assert list(told.steps[0].values()) == [[(1, [])], [(1, [])]]
    assert sorted(told.steps[1].values(), key=len) == [[], [(2, [])]]


def test_a_gradient_written_by_hand_is_unknown() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        model.weight.grad = torch.ones(1, 3)
        optimizer.step()
        optimizer.zero_grad()
        loss_of(model).backward()
        model.weight.grad = model.weight.grad / 2
        optimizer.step()

    assert Told(program).steps == [{"weight": HAND}, {"weight": HAND}]


def test_a_gradient_scaled_in_place_keeps_what_it_holds() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        loss_of(model).backward()
        model.weight.grad /= 2
        optimizer.step()
        optimizer.zero_grad()
        loss_of(model).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()

    told = Told(program)
    assert told.steps == [{"weight": [(1, [])]}, {"weight": [(2, [])]}]
    assert [step.rewritten for step in told.made] == [1, 0]


def test_a_wrapper_around_an_optimizer_is_one_step() -> None:
    class Wrapper(torch.optim.Optimizer):
        def __init__(self, inner: torch.optim.Optimizer) -> None:
            self.inner = inner
            super().__init__(inner.param_groups[0]["params"], {})

        def step(self, closure: None = None) -> None:
            self.inner.step()

    def program() -> None:
        model = alone()
        optimizer = Wrapper(sgd(model))
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()

    assert Told(program).steps == ONE_EACH


def test_a_step_held_back_by_a_scaler_counts_as_use() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
        for factor in (float("inf"), 1.0):
            optimizer.zero_grad()
            scaler.scale(loss_of(model) * factor).backward()
            scaler.step(optimizer)
            scaler.update()

    told = Told(program)
    assert told.steps == [{"weight": [(1, [])]}, {"weight": [(2, [])]}]
    assert [step.skipped for step in told.made] == [True, False]


def test_a_copied_model_has_gradients_of_its_own() -> None:
    def program() -> None:
        model = alone()
        optimizer = sgd(model)
        loss_of(model).backward()
        twin = copy.deepcopy(model)
        other = sgd(twin)
        optimizer.step()
        loss_of(twin).backward()
        other.step()

    told = Told(program)
    assert told.steps[0] == {"weight": [(1, [])]}
    assert told.steps[1]["weight"] in (HAND, [(2, [])])


def test_a_buffer_that_the_graph_writes_in_place_is_not_asked_for_a_gradient() -> None:
    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Linear(1, 1)
            self.register_buffer("state", torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.state.mul_(self.weight.weight[0])
            self.state.add_(self.weight(x)[0])
            return self.state

    heard: list[str] = []

    def program() -> None:
        model = Cell()
        optimizer = sgd(model)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(4):
                model.state.detach_()
                loss = model(torch.ones(1, 1)).pow(2).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        heard.extend(str(warning.message) for warning in caught)

    watching.watched(program)

    assert heard == []
