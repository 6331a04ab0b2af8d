"""RULES: the one list."""

from steplens.rules.base import Rule

RULES: tuple[Rule, ...] = ()
