"""Ranks: the place of this process among those that train together."""

import torch.distributed as dist


def place() -> tuple[int, int] | None:
    """The rank and the number of ranks, None while no process group is initialized."""
    if not dist.is_available() or not dist.is_initialized():
        return None
    return dist.get_rank(), dist.get_world_size()


def several() -> bool:
    """Whether more than one rank trains."""
    where = place()
    return where is not None and where[1] > 1
