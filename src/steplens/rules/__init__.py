"""RULES: the one list."""

from steplens.rules.base import Rule
from steplens.rules.gradients_cleared_before_step import GradientsClearedBeforeStep
from steplens.rules.gradients_never_cleared import GradientsNeverCleared
from steplens.rules.stale_optimizer_state import StaleOptimizerState
from steplens.rules.step_without_backward import StepWithoutBackward
from steplens.rules.unused_suppression import UnusedSuppression

RULES: tuple[Rule, ...] = (
    UnusedSuppression,
    GradientsNeverCleared,
    GradientsClearedBeforeStep,
    StepWithoutBackward,
    StaleOptimizerState,
)
