"""Leaves the process as it was: random numbers, grad mode, default dtype, threads, warnings."""

import random
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

SEED = 0  # every experiment begins here, so that its numbers are the same each time


@contextmanager
def as_it_was(seed: int | None = SEED) -> Generator[list[warnings.WarningMessage]]:
    """Run a block under a forked random state that begins at ``seed``; yields what it warned of.

    torch's generators (of the GPUs too, where they are in use), Python's and numpy's are put back,
    and so are the grad mode, the default dtype and the number of threads. numpy is never imported.
    """
    numpy: Any = sys.modules.get("numpy")
    python_state = random.getstate()
    numpy_state: Any = numpy.random.get_state() if numpy is not None else None
    grad, dtype, threads = (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
    )
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices=gpus), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            torch.set_grad_enabled(True)
            if seed is not None:
                torch.default_generator.manual_seed(seed)
                random.seed(seed)
            yield said
    finally:
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        random.setstate(python_state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)
