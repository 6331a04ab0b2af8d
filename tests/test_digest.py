"""A Digest of every kind of tensor: what it says, and that none makes it fail."""

import math

import msgspec
import pytest
import torch

from steplens.model.state import Digest
from steplens.record import norms
from steplens.record.digest import digest

NAN, INF = float("nan"), float("inf")
FLOAT8 = [
    getattr(torch, name)
    for name in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
    if hasattr(torch, name)
]


def test_a_small_tensor_shows_its_values() -> None:
    found = digest(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    assert (found.dtype, found.shape, found.norm, found.zeros) == ("f32", (2, 2), 5.0, 2)
    assert found.values == (3.0, 0.0, 0.0, 4.0)


def test_a_large_tensor_shows_none() -> None:
    found = digest(torch.ones(100, 100))
    assert found.norm == pytest.approx(100.0)
    assert found.values is None
    assert found.zeros == 0


@pytest.mark.parametrize("size", [3, 300])
def test_values_that_are_not_finite_are_counted_and_left_out_of_the_norm(size: int) -> None:
    tensor = torch.zeros(size)
    tensor[:3] = torch.tensor([NAN, -INF, 2.0])
    found = digest(tensor)
    assert (found.norm, found.nonfinite, found.zeros) == (2.0, 2, size - 3)
    if size == 3:
        assert found.values == ("nan", "-inf", 2.0)


@pytest.mark.parametrize("size", [4, 400])
def test_nan_equals_itself(size: int) -> None:
    one, other = torch.full((size,), NAN), torch.full((size,), NAN)
    assert digest(one).same(digest(other))
    assert not digest(one).same(digest(torch.zeros(size)))


@pytest.mark.parametrize(
    "dtype",
    [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.bool,
     torch.float16, torch.bfloat16, torch.float64, *FLOAT8],
)  # fmt: skip
@pytest.mark.parametrize("size", [4, 400])
def test_every_plain_type_is_read(dtype: torch.dtype, size: int) -> None:
    tensor = torch.zeros(size)
    tensor[0] = 1.0
    found = digest(tensor.to(dtype))
    assert (found.norm, found.zeros, found.nonfinite) == (1.0, size - 1, 0), found.note
    assert not found.note


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_rare_types_are_read_or_say_why_not(dtype: torch.dtype) -> None:
    assert digest(torch.ones(40).to(dtype)).shape == (40,)


@pytest.mark.parametrize("size", [2, 200])
def test_a_complex_tensor(size: int) -> None:
    tensor = torch.zeros(size, dtype=torch.complex64)
    tensor[0] = 3 + 4j
    found = digest(tensor)
    assert (found.dtype, found.zeros) == ("c64", size - 1)
    assert found.norm == pytest.approx(5.0)
    assert digest(tensor.conj()).norm == pytest.approx(5.0)
    assert not digest(tensor.conj()).same(found)


def test_an_empty_tensor_has_norm_0() -> None:
    assert digest(torch.empty(0, 3)) == digest(torch.empty(0, 3))
    assert digest(torch.empty(0, 3)).norm == 0.0


def test_a_scalar_has_no_shape() -> None:
    assert digest(torch.tensor(2.0)).values == (2.0,)
    assert digest(torch.tensor(2.0)).shape == ()


def test_a_meta_tensor_says_so() -> None:
    found = digest(torch.empty(3, device="meta"))
    assert (found.norm, found.note, found.shape) == (None, "meta", (3,))


def sparse(columns: list[int], size: int = 100) -> torch.Tensor:
    places = torch.tensor([[0] * len(columns), columns])
    return torch.sparse_coo_tensor(places, torch.full((len(columns),), 2.0), (2, size))


@pytest.mark.parametrize("kind", ["coo", "csr", "csc", "bsr"])
def test_a_sparse_tensor(kind: str) -> None:
    def made(columns: list[int]) -> torch.Tensor:
        dense = sparse(columns).to_dense()
        ways = {
            "coo": dense.to_sparse, "csr": dense.to_sparse_csr, "csc": dense.to_sparse_csc,
            "bsr": lambda: dense.to_sparse_bsr((1, 1)),
        }  # fmt: skip
        return ways[kind]()

    found = digest(made([3, 5]))
    assert found.norm == pytest.approx(math.sqrt(8))
    assert (found.zeros, found.shape, found.note) == (198, (2, 100), "")
    assert found.same(digest(made([3, 5])))
    assert not found.same(digest(made([3, 6])))  # the same values elsewhere


def test_an_uncoalesced_sparse_tensor_is_the_sum_of_its_parts() -> None:
    twice = torch.sparse_coo_tensor(torch.tensor([[1, 1]]), torch.tensor([1.0, 2.0]), (50,))
    assert digest(twice).norm == 3.0


def test_a_quantized_tensor() -> None:
    found = digest(torch.quantize_per_tensor(torch.ones(40), 0.1, 0, torch.qint8))
    assert found.norm == pytest.approx(math.sqrt(40), rel=1e-3) or found.note


def test_an_expanded_tensor_is_not_written_out() -> None:
    found = digest(torch.tensor([0.0, 2.0]).expand(10**12, 2))
    assert (found.zeros, found.norm) == (10**12, pytest.approx(2e6))


def test_an_expanded_tensor_equals_a_real_one() -> None:
    assert digest(torch.ones(1).expand(100)).same(digest(torch.ones(100)))


def test_a_transposed_tensor_is_read_in_its_own_order() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    assert digest(tensor.T).values == (0.0, 3.0, 1.0, 4.0, 2.0, 5.0)


@pytest.mark.parametrize("size", [4, 400])
def test_large_values_do_not_overflow_the_norm(size: int) -> None:
    assert digest(torch.full((size,), 3e38)).norm == pytest.approx(3e38 * math.sqrt(size), rel=1e-6)
    assert digest(torch.full((size,), 60000.0, dtype=torch.float16)).nonfinite == 0
    huge = digest(torch.full((size,), 1.7e308, dtype=torch.float64))
    assert (huge.norm, huge.nonfinite, huge.note) == (None, 0, "norm too big")


def test_tensors_that_refuse_say_so() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.ones(40)
    assert "not readable" in digest(fake).note
    assert digest(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])).norm is None


def test_inference_tensors_have_no_counter() -> None:
    with torch.inference_mode():
        tensor = torch.ones(3)
    assert digest(tensor).version == -1


def test_a_parameter_with_gradient_is_left_alone() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    before = parameter._version
    digest(parameter)
    assert parameter._version == before
    assert parameter.grad_fn is None


@pytest.mark.parametrize(
    "tensor",
    [torch.tensor([NAN, INF]), torch.full((40,), NAN),
     torch.full((40,), 1.7e308, dtype=torch.float64),
     torch.tensor([True, False]), torch.ones(40, dtype=torch.complex64)],
)  # fmt: skip
def test_every_digest_goes_into_the_file_and_back(tensor: torch.Tensor) -> None:
    found = digest(tensor)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Digest) == found


def test_a_tensor_whose_storage_was_let_go_is_not_read() -> None:
    tensor = torch.ones(4)
    tensor.untyped_storage().resize_(0)  # as FSDP does: a read would end the process
    assert digest(tensor).note == "storage freed"
    assert not norms.readable(tensor)


class Sharded(torch.Tensor):
    """As a DTensor: a shape without a storage of its own, and the part that this rank holds."""

    @staticmethod
    def __new__(cls, part: torch.Tensor) -> "Sharded":
        made = torch.Tensor._make_wrapper_subclass(cls, (4, 2), dtype=part.dtype)
        made.part = part
        return made

    @classmethod
    def __torch_dispatch__(cls, *call: object, **more: object) -> object:
        raise NotImplementedError("needs the other ranks")

    def to_local(self) -> torch.Tensor:
        return self.part


def test_of_a_sharded_tensor_the_part_of_this_rank_is_read() -> None:
    found = digest(Sharded(torch.ones(2, 2)))
    assert (found.shape, found.norm) == ((2, 2), 2.0)
