"""steplens.watch: nested, repeated, with an exception in the block, and leaving nothing behind."""

import copy
import gc
import io
import linecache
import pickle
import sys
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_modules
from torch.optim import optimizer as torch_optimizer
from torch.utils.data import DataLoader

import steplens
import watching
from steplens.model.event import GradCall, Line
from steplens.record import detail


def train(steps: int = 3) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(16, 4)).pow(2).mean().backward()
        optimizer.step()
    return model


def never_cleared(steps: int = 3) -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        model(torch.randn(16, 4)).pow(2).mean().backward()
        optimizer.step()


def patched() -> dict[str, object]:
    """Everything of torch that a probe replaces, as it is now."""
    return {
        "call": nn.Module.__call__,
        "train": nn.Module.train,
        "init": nn.Module.__init__,
        "setstate": nn.Module.__setstate__,
        "clear": nn.Module.zero_grad,
        "load": nn.Module.load_state_dict,
        "backward": torch.autograd.backward,
        "grad": torch.autograd.grad,
        "optimizer": torch.optim.Optimizer.__init__,
        "optimizer clear": torch.optim.Optimizer.zero_grad,
        "schedule": torch.optim.lr_scheduler.LRScheduler.step,
        "clip": nn.utils.clip_grad_norm_,
        "loader": DataLoader.__iter__,
        "no_grad": torch.no_grad.__enter__,
        "copy": torch.Tensor.copy_,
        "setitem": torch.Tensor.__setitem__,
        "dropout": nn.functional.dropout,
        "trace": sys.gettrace(),
        "pre hooks": dict(torch_optimizer._global_optimizer_pre_hooks),
        "post hooks": dict(torch_optimizer._global_optimizer_post_hooks),
        "module hooks": dict(torch_modules._global_forward_hooks),
        "written": sorted(name for name in vars(torch.Tensor) if name.endswith("_")),
    }


def test_a_watched_block_reports_its_findings_and_steps() -> None:
    with steplens.watch() as lens:
        never_cleared()
    assert [finding.code for finding in lens.findings] == ["SL201"]
    assert lens.report.steps == 3
    assert lens.report.complete


def test_findings_can_be_read_while_the_block_runs() -> None:
    with steplens.watch() as lens:
        never_cleared()
        assert [finding.code for finding in lens.findings] == ["SL201"]


def test_a_clean_block_passes_assert_clean_and_a_bad_one_says_why() -> None:
    with steplens.watch() as lens:
        train()
    lens.assert_clean()
    with steplens.watch() as lens:
        never_cleared()
    with pytest.raises(AssertionError, match="gradients-never-cleared"):
        lens.assert_clean()


def test_nested_watches_see_the_same_and_both_let_go() -> None:
    before = patched()
    with steplens.watch() as outer:
        with steplens.watch() as inner:
            never_cleared()
    assert [f.code for f in inner.findings] == [f.code for f in outer.findings] == ["SL201"]
    assert patched() == before


def test_watches_closed_in_the_wrong_order_leave_nothing_that_listens() -> None:
    first, second = steplens.watch(), steplens.watch()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    never_cleared()
    second.__exit__(None, None, None)
    assert [finding.code for finding in second.findings] == ["SL201"]
    assert first.findings == []


def test_an_exception_in_the_block_goes_on_its_way_and_is_reported() -> None:
    before = patched()
    lens = steplens.watch()
    with pytest.raises(ZeroDivisionError), lens:  # noqa: PT012
        train(1)
        raise ZeroDivisionError
    assert patched() == before
    assert lens.report.status == "failed"
    assert lens.report.steps == 1


def test_a_hundred_watches_leave_no_trace() -> None:
    before = patched()
    for _ in range(100):
        with steplens.watch(lines=0):
            train(1)
    assert patched() == before


def test_models_and_optimizers_made_before_are_found() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with steplens.watch() as lens:
        for _ in range(3):
            model(torch.randn(16, 4)).pow(2).mean().backward()
            optimizer.step()
    assert [finding.code for finding in lens.findings] == ["SL201"]
    assert {entry.name for entry in lens.report.roster.tensors.values()} >= {"weight", "bias"}


def test_watched_numbers_equal_plain_ones_bit_for_bit() -> None:
    plain = train(20)
    state = torch.get_rng_state()
    with steplens.watch():
        seen = train(20)
    assert torch.equal(state, torch.get_rng_state())
    for one, other in zip(plain.state_dict().values(), seen.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_pickle_deepcopy_and_save_work_while_watching() -> None:
    with steplens.watch():
        model = train(1)
        copied = copy.deepcopy(model)
        pickled = pickle.loads(pickle.dumps(model))
        torch.save(model.state_dict(), io.BytesIO())
    assert len(list(copied.parameters())) == len(list(pickled.parameters())) == 6
    for attribute in vars(model):
        assert "steplens" not in attribute


def test_objects_die_when_they_would_have_died() -> None:
    with steplens.watch():
        model = train(2)
        parameter = weakref.ref(model[0].weight)
        gradient = weakref.ref(model[0].weight.grad)
        module = weakref.ref(model)
        del model
        gc.collect()
        assert module() is None
        assert parameter() is None
        assert gradient() is None


def test_a_report_saved_is_the_report_loaded(tmp_path) -> None:
    with steplens.watch() as lens:
        never_cleared()
    loaded = steplens.load(lens.report.save(tmp_path / "run.json"))
    assert loaded.findings == lens.report.findings
    assert loaded.timeline.events == lens.report.timeline.events
    assert loaded.text("full") == lens.report.text("full")


def twice(x: torch.Tensor) -> torch.Tensor:
    return x * torch.tensor(2.0)


class Box:
    def __init__(self, x: torch.Tensor):
        self.x = twice(x)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_class_scripted_in_a_watch_finds_the_names_of_its_module_and_torchs_builtins():
    with steplens.watch() as lens:
        scripted = torch.jit.script(Box)
    assert scripted(torch.ones(1)).x.item() == 2
    assert lens.report.not_seen == [
        "scripted `Box`: the calls inside it, and the lines that made its graph"
    ]
    assert lens.report.faults == []


def test_one_line_wrong_for_two_objects_is_one_finding():
    program = watching.load(watching.PROGRAMS / "scheduler_before_step.py")
    report = watching.watched(program.bad_one_loop_for_two_models)
    assert [finding.code for finding in report.findings] == ["SL305"]


class Half(float):
    """A number of the user's own that does not want to be one."""

    def __float__(self) -> float:
        raise AssertionError


def test_numbers_of_numpy_and_of_the_users_own_are_told_as_numbers(tmp_path):
    model = nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    (group,) = optimizer.param_groups
    group["lr"], group["betas"] = np.float64(0.01), (np.float64(0.9), 0.99)
    group["count"], group["half"] = np.int64(2), Half(0.5)
    with steplens.watch(model, optimizer) as lens:
        for step in range(3):
            optimizer.zero_grad()
            model(torch.ones(2, 4)).sum().backward()
            optimizer.step()
            group["lr"] = np.float64(0.01) / (step + 2)
    report = steplens.load(lens.report.save(tmp_path / "report.json"))
    entries = report.roster.optimizers.values()  # another test's may be alive still
    (entry,) = [each for each in entries if "half" in each.groups[0]]
    assert entry.groups[0]["count"] == 2
    assert entry.groups[0]["half"] == 0.5
    assert type(entry.groups[0]["lr"]) is float


def test_the_window_of_a_loop_that_trains_by_hand_ends_after_as_many_updates() -> None:
    layer = torch.nn.Linear(4, 1)
    with steplens.watch(lines=3) as lens:
        for _ in range(20):
            layer.zero_grad()
            layer(torch.randn(8, 4)).pow(2).mean().backward()
            with torch.no_grad():
                for parameter in layer.parameters():
                    parameter -= 0.1 * parameter.grad
    lines = [event for event in lens.report.timeline.events if isinstance(event, Line)]
    assert (lens.report.window.ended, lens.report.window.reason) == ("steps", "passes")
    assert len({line.site for line in lines}) > 3
    assert len(lines) < 10 * 6


def test_the_window_ends_once_it_has_cost_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with steplens.watch() as lens:
        train(1)
        monkeypatch.setattr(detail, "MOST_SECONDS", 0.0)
        train(4)
    window = lens.report.window
    assert (window.kept, window.ended) == (1, "cost")


def test_the_window_ends_where_only_gradients_are_asked_for() -> None:
    """After 32 passes, each further one is what a step is."""
    model = nn.Linear(4, 1)
    with steplens.watch(lines=5) as lens:
        for _ in range(60):
            loss = model(torch.randn(8, 4)).square().mean()
            slopes = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, slope in zip(model.parameters(), slopes, strict=True):
                    parameter -= 0.01 * slope
    report = lens.report
    assert (report.steps, report.window.kept, report.window.ended) == (0, 0, "steps")
    assert report.window.reason == "passes"
    last = max(event.index for event in report.timeline.events if isinstance(event, Line))
    passes = [each.index for each in report.timeline.events if isinstance(each, GradCall)]
    assert sum(index < last for index in passes) == 32 + 4  # the line of the 37th changes nothing


@pytest.mark.parametrize("width", [60, 2000])
def test_a_write_through_data_is_told_at_its_line_in_a_small_model(width: int) -> None:
    """In a large one, of which not all is read at each line, at the next counted write."""
    model = nn.Linear(100, width, bias=False)
    with steplens.watch(lines=5) as lens:
        for _ in range(3):
            model.zero_grad()
            model(torch.randn(8, 100)).square().mean().backward()
            for parameter in model.parameters():
                parameter.data.add_(parameter.grad.data, alpha=-0.1)  # a write past the counter
    found = [
        linecache.getline(__file__, event.site.line)
        for event in lens.report.timeline.events
        if isinstance(event, Line)
        and event.site is not None
        and any(
            change.part == "parameter" and change.before is not None for change in event.changes
        )
    ]
    assert sum("past the counter" in line for line in found) == (3 if width == 60 else 0)
