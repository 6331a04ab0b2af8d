"""What lies behind the program's hooks is let be, on a torch that does not show them, too."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

import steplens
from steplens.record import packing, saved


@pytest.fixture
def unshown(monkeypatch):
    """As torch 2.4 to 2.8 are, which this is not: no hook is shown."""
    heard = packing.Packing()
    for module in (packing, saved):
        monkeypatch.setattr(module, "SHOWN", False)
        monkeypatch.setattr(module, "PACKING", heard)


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(checkpoint(self.body, x, use_reentrant=False))


def train(steps):
    torch.manual_seed(0)
    model = Checkpointed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.nll_loss(model(torch.randn(8, 4)), torch.randint(0, 3, (8,))).backward()  # no log_softmax
        optimizer.step()
    return model


@pytest.mark.usefixtures("unshown")
def test_a_checkpoint_runs_as_often_as_without_a_watch_and_what_came_after_it_is_read():
    plain = train(4)
    with steplens.watch() as lens:
        watched = train(4)
    assert int(watched.body[1].num_batches_tracked) == int(plain.body[1].num_batches_tracked) == 8
    assert torch.equal(watched.head.weight, plain.head.weight)
    assert [finding.code for finding in lens.findings] == ["SL503"]
    assert not lens.report.faults


@pytest.mark.usefixtures("unshown")
def test_nodes_made_before_and_after_hooks_may_be_read_and_those_within_may_not():
    x = torch.ones(2, requires_grad=True)
    unpacked = []
    with steplens.watch():
        before = x * torch.ones(2)
        with saved_tensors_hooks(lambda value: value, lambda value: unpacked.append(1) or value):
            within = before * torch.ones(2)
            with pytest.raises(saved.Packed):
                saved.saved(within.grad_fn, "other")
        after = within * torch.ones(2)
        assert saved.saved(before.grad_fn, "other").tolist() == [1, 1]
        assert saved.saved(after.grad_fn, "other").tolist() == [1, 1]
        assert saved.saved_tensors(after.grad_fn)
        assert not saved.saved_tensors(within.grad_fn)
        with pytest.raises(saved.Packed):
            saved.saved(within.grad_fn, "other")
    assert not unpacked
