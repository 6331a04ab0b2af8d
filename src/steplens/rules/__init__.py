"""RULES: the one list."""

from steplens.rules.base import Rule
from steplens.rules.unused_suppression import UnusedSuppression

RULES: tuple[Rule, ...] = (UnusedSuppression,)
