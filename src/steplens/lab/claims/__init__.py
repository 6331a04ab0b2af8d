"""CLAIMS, the one list, in the order in which a learner would walk through them."""

from types import ModuleType

from steplens.lab.base import Claim
from steplens.lab.claims import (
    accumulation,
    checkpoints,
    copies,
    decorators,
    grad_modes,
    gradients,
    graphs,
    in_place,
    losses,
    modes,
    norms_and_dropout,
    optimizers,
    parameters_and_buffers,
    precision,
    random_numbers,
    ranks,
    schedulers,
    zero_grad,
)

MODULES: tuple[ModuleType, ...] = (
    modes,
    grad_modes,
    decorators,
    gradients,
    zero_grad,
    ranks,
    optimizers,
    schedulers,
    norms_and_dropout,
    parameters_and_buffers,
    copies,
    in_place,
    graphs,
    accumulation,
    checkpoints,
    random_numbers,
    precision,
    losses,
)
GROUPS = tuple(module.__name__.rpartition(".")[2].replace("_", "-") for module in MODULES)
CLAIMS: tuple[Claim, ...] = tuple(
    item for module in MODULES for item in vars(module).values() if isinstance(item, Claim)
)
BY_NAME = {claim.name: claim for claim in CLAIMS}
if len(BY_NAME) < len(CLAIMS):
    raise ValueError("two claims have one name")
