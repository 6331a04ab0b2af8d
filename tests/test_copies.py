"""Copies: what is counted later, many at a time, is what a look at each tensor would have said."""

import itertools
import math

import pytest
import torch
from torch import nn

from steplens.model.state import Digest
from steplens.record.copies import MOST, Copies, copied
from steplens.record.digest import digest, dtype_name


def filled(size: int, dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(size)
    if dtype == torch.int64:
        return [torch.arange(size) - 3, torch.zeros(size, dtype=dtype)]
    odd = torch.randn(size, dtype=dtype)
    odd[::3] = 0
    broken = torch.randn(size, dtype=dtype)
    broken[0], broken[-1] = math.nan, math.inf
    return [
        torch.randn(size, dtype=dtype),
        torch.zeros(size, dtype=dtype),
        torch.full((size,), 0.25, dtype=dtype),
        torch.rand(size, dtype=dtype) * 1e-30,
        torch.randn(size, dtype=dtype).mul(3).round(),
        torch.full((size,), 3e38, dtype=dtype),
        torch.full((size,), -math.inf, dtype=dtype),
        odd,
        broken,
    ]


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        *itertools.product(
            [torch.float32, torch.float64], [1, 16, 17, 640, 4095, 4096, 10000, 30000]
        ),
        (torch.int64, 1),
        (torch.int64, 16),
    ],
    ids=str,
)
def test_what_is_counted_later_is_what_is_counted_at_once(dtype: torch.dtype, size: int) -> None:
    copies, told = Copies(), []
    for tensor in filled(size, dtype):
        data = copied(tensor, MOST)
        assert data is not None
        now = copies.put(dtype_name(dtype), dtype, tuple(tensor.shape), tensor._version, data)
        told.append((now, digest(tensor)))
    assert all(now.bits < 0 for now, _ in told)
    copies.count()
    for now, once in told:
        assert (now.norm is None) == (once.norm is None)
        assert now.norm is None or math.isclose(now.norm, once.norm or 0.0, rel_tol=1e-12)
        assert _rest(now) == _rest(once)


def _rest(found: Digest) -> list[object]:
    return [getattr(found, name) for name in Digest.__struct_fields__ if name != "norm"]


def test_equal_values_under_another_counter_are_the_same() -> None:
    copies, tensor = Copies(), torch.randn(50)
    data = copied(tensor, MOST)
    assert data is not None
    first = copies.put("f32", tensor.dtype, (50,), 0, data)
    again = copies.again(first, tensor.dtype, 1, data)
    other = copies.put("f32", tensor.dtype, (50,), 2, data[::-1])
    assert first.same(again)
    assert not first.same(other)
    copies.count()
    assert first.same(again)
    assert not first.same(other)
    assert (again.version, again.norm) == (1, first.norm)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(4, 4).t(),
        torch.ones(17, dtype=torch.int64),
        torch.ones(4, dtype=torch.int32),
        torch.randn(8).bfloat16(),
        torch.randn(0),
        torch.randn(8, device="meta"),
        torch.randn(8).to_sparse(),
        torch.randn(MOST),
        nn.UninitializedParameter(),
    ],
)
def test_no_copy_is_kept_of_what_is_large_or_not_plain(tensor: torch.Tensor) -> None:
    assert copied(tensor, MOST) is None


@pytest.mark.parametrize("state", ["default device", "inference", "no numbers drawn"])
def test_counting_minds_no_state_of_the_programs(state: str) -> None:
    copies, tensor = Copies(), torch.randn(100)
    data = copied(tensor, MOST)
    assert data is not None
    now = copies.put("f32", tensor.dtype, (100,), tensor._version, data)
    before = torch.get_rng_state()
    try:
        if state == "default device":
            torch.set_default_device("meta")
        with torch.inference_mode(state == "inference"):
            copies.count()
    finally:
        torch.set_default_device(None)
    assert torch.equal(before, torch.get_rng_state())
    assert _rest(now) == _rest(digest(tensor))
