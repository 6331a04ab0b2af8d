"""RULES: the one list."""

from steplens.rules.base import Rule
from steplens.rules.gradients_never_cleared import GradientsNeverCleared
from steplens.rules.unused_suppression import UnusedSuppression

RULES: tuple[Rule, ...] = (
    UnusedSuppression,
    GradientsNeverCleared,
)
