"""Snapshot and Delta: the state by name, and exactly what differs."""

import warnings

import torch
from torch import nn

from steplens.model.roster import Roster
from steplens.model.state import Delta, Digest, Snapshot
from steplens.record.census import Census
from steplens.record.places import Places
from steplens.record.snapshot import TRUSTED, Camera


def camera(*objects: object) -> Camera:
    census = Census(Roster(), Places())
    for found in objects:
        if isinstance(found, nn.Module):
            for module in found.modules():
                census.module_born(module)
            census.module(found)
        elif isinstance(found, torch.optim.Optimizer):
            census.enter_groups(found, census.optimizer(found))
    return Camera(census)


def changed(before: Snapshot, after: Snapshot) -> dict[str, str]:
    return {change.subject: change.part for change in before.delta(after).changes}


def test_nothing_differs_when_nothing_is_done() -> None:
    shots = camera(nn.Linear(3, 2))
    assert not shots.take().delta(shots.take())


def test_each_part_is_under_its_own_name() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    shots = camera(model)
    keys = set(shots.take().tensors)
    assert ("parameter", "0.weight") in keys
    assert ("gradient", "0.weight.grad") in keys
    assert ("buffer", "1.running_mean") in keys


def test_a_backward_changes_gradients_only() -> None:
    model = nn.Linear(3, 2)
    shots = camera(model)
    before = shots.take()
    model(torch.ones(1, 3)).sum().backward()
    assert changed(before, shots.take()) == {"weight.grad": "gradient", "bias.grad": "gradient"}


def test_a_step_changes_parameters_and_optimizer_state() -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    shots = camera(model, optimizer)
    model(torch.ones(1, 3)).sum().backward()
    before = shots.take()
    optimizer.step()
    delta = before.delta(shots.take())
    assert {change.subject for change in delta.of("parameter")} == {"weight", "bias"}
    assert {c.subject.partition("[")[0].partition(".")[2] for c in delta.of("optimizer")} == {
        "exp_avg", "exp_avg_sq", "step"
    }  # fmt: skip
    assert not delta.of("gradient")


def test_clearing_is_a_change_to_none_and_zeroing_to_zeros() -> None:
    model = nn.Linear(3, 2)
    shots = camera(model)
    model(torch.ones(1, 3)).sum().backward()
    full = shots.take()
    model.zero_grad(set_to_none=False)
    zeroed = shots.take()
    model.zero_grad()
    gone = shots.take()
    after = [change.after for change in full.delta(zeroed).of("gradient")]
    assert all(isinstance(found, Digest) and found.norm == 0 for found in after)
    assert [change.after for change in zeroed.delta(gone).of("gradient")] == [None, None]


def test_modes_and_flags() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout())
    shots = camera(model)
    before = shots.take()
    model.eval()
    model[0].weight.requires_grad_(False)
    delta = before.delta(shots.take())
    assert {change.after for change in delta.of("mode")} == {"eval"}
    assert [(c.subject, c.before, c.after) for c in delta.of("trainable")] == [
        ("0.weight", True, False)
    ]


def test_nan_that_stays_is_no_change() -> None:
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.fill_(float("nan"))
    shots = camera(model)
    before = shots.take()
    with torch.no_grad():
        model.weight.mul_(1.0)
    assert not before.delta(shots.take())


def test_a_write_that_changes_nothing_is_no_change() -> None:
    model = nn.Linear(3, 2)
    shots = camera(model)
    before = shots.take()
    with torch.no_grad():
        model.weight.add_(0.0)
    assert not before.delta(shots.take())


def test_a_write_through_data_to_a_small_tensor_is_seen() -> None:
    model = nn.Linear(3, 2)
    shots = camera(model)
    shots.moved()
    before = shots.take()
    model.weight.data.zero_()
    assert shots.moved()
    assert changed(before, shots.take()) == {"weight": "parameter"}


def test_a_large_tensor_is_read_again_when_its_counter_moves() -> None:
    model = nn.Linear(TRUSTED, 2)
    shots = camera(model)
    before = shots.take()
    with torch.no_grad():
        model.weight[0, 0] += 1.0
    assert changed(before, shots.take()) == {"weight": "parameter"}


def test_every_kind_of_tensor_fits_into_a_snapshot() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.tensor(3))
            self.register_buffer("mask", torch.tensor([True, False]))
            self.register_buffer("none", torch.empty(0))
            self.register_buffer("wave", torch.ones(3, dtype=torch.complex64))
            self.register_buffer("grid", torch.eye(3).to_sparse())
            self.register_buffer("brain", torch.ones(20, dtype=torch.bfloat16))
            self.register_buffer("later", torch.empty(3, device="meta"))

    shots = camera(model := Odd())
    before = shots.take()
    assert len([key for key in before.tensors if key[0] == "buffer"]) == 7
    buffers = dict(model.named_buffers())
    buffers["count"].add_(1)
    buffers["mask"].logical_not_()
    assert changed(before, shots.take()) == {"count": "buffer", "mask": "buffer"}


def test_sparse_gradients() -> None:
    model = nn.Embedding(10, 3, sparse=True)
    shots = camera(model)
    before = shots.take()
    model(torch.tensor([1, 1, 4])).sum().backward()
    (change,) = before.delta(shots.take()).changes
    assert isinstance(change.after, Digest)
    assert change.after.shape == (10, 3)


def test_a_tensor_that_goes_is_a_change_to_none() -> None:
    gone = Snapshot({("buffer", "cache"): Digest("f32", (1,), 1.0, bits=5)}, {})
    (change,) = gone.delta(Snapshot({}, {})).changes
    assert (change.subject, change.after) == ("cache", None)


def test_a_delta_says_whether_there_is_anything() -> None:
    assert not Delta(())


def test_taking_a_snapshot_draws_no_random_number_and_warns_of_nothing() -> None:
    model = nn.Linear(3, 2)
    shots = camera(model)
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shots.take()
    assert torch.equal(state, torch.get_rng_state())


def test_a_weight_turned_round_through_data_is_seen() -> None:
    model = nn.Linear(3, 3)
    shots = camera(model)
    before = shots.take()
    model.weight.data = model.weight.data.t()
    assert changed(before, shots.take()) == {"weight": "parameter"}
