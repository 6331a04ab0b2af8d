"""Matrices: what a matrix is that was made of two lists, one along each of its dimensions."""

import torch

BLOCK = 8  # rows and columns of a difference that are compared


def crossing(prediction: tuple[int, ...], result: tuple[int, ...]) -> tuple[int, int] | None:
    """Where a prediction's batch lies in the result, and the dimension that repeats it as often as
    there are samples; None when the result is not such."""
    batch = len(result) - len(prediction)
    if not prediction or batch < 0 or prediction[0] < 2 or result[batch] != prediction[0]:
        return None
    for place, size in enumerate(result):
        own = prediction[place - batch] if place >= batch else 1
        if own == 1 and size == prediction[0]:
            return batch, place
    return None


def separable(pair: tuple[torch.Tensor, torch.Tensor | None], one: int, two: int) -> bool:
    """Whether a block of differences is ``a[i] - b[j]``: each row was given the same targets."""
    blocks: list[torch.Tensor] = []
    eps = 0.0
    for tensor in pair:
        if tensor is not None:
            block = tensor.detach().movedim((one, two), (0, 1))[:BLOCK, :BLOCK]
            blocks.append(block.flatten(2)[..., :32] if block.dim() > 2 else block.unsqueeze(2))
            eps = max(eps, torch.finfo(tensor.dtype).eps) if tensor.is_floating_point() else eps
    values = blocks[0].double() - (blocks[1].double() if len(blocks) > 1 else 0.0)
    scale = max(float(block.double().abs().max()) for block in blocks)
    left = values - values[:1] - values[:, :1] + values[:1, :1]
    varied = float((values[:, :1] - values[:1, :1]).abs().max())
    return varied > 0 and float(left.abs().max()) <= 32 * eps * scale


def of_two(matrix: torch.Tensor, one: int, two: int) -> bool:
    """Whether a matrix is ``a[i] + b[j]`` of two lists, as the advantage is that was made of
    returns of [N] and values of [N, 1]; not the differences within one list, which are pairs."""
    block = matrix.detach().movedim((one, two), (0, 1))[:BLOCK, :BLOCK]
    within = len(block) < 3 or not bool(block.diagonal().any())
    return not within and all(separable((matrix, None), *way) for way in ((one, two), (two, one)))
