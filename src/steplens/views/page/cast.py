"""Cast: the models, tensors and optimizers that the page shows, within a bound."""

from steplens.model.report import Report

MODELS = 40  # outermost modules
TENSORS = 4000
OPTIMIZERS = 40


class Cast:
    """Numbers of those shown: what findings are about first, then in the order of appearance.

    A program may make models by the thousand (meta-learning, cross-validation); ``left`` counts
    those that are not shown.
    """

    def __init__(self, report: Report) -> None:
        roster = report.roster
        meant = [tensor for finding in report.findings for tensor in finding.tensors]
        tensors = [t for t in roster.tensors.values() if t.role != "leaf"]
        first = [roster.tensors[n].root for n in meant if n in roster.tensors]
        roots = dict.fromkeys([*first, *(tensor.root for tensor in tensors)])
        self.roots = set(list(roots)[:MODELS])
        self.left = len(roots) - len(self.roots)
        shown = [tensor.number for tensor in tensors if tensor.root in self.roots]
        self.tensors = set(shown[:TENSORS])
        self.tensors_left = len(shown) - len(self.tensors)
        self.modules = {
            module.number for module in roster.modules.values() if module.root in self.roots
        }
        held = [
            number
            for number, entry in roster.optimizers.items()
            if not entry.tensors or self.tensors.intersection(entry.tensors)
        ]
        self.optimizers = set(held[:OPTIMIZERS])

    def holds(self, cell: str) -> bool:
        """Whether a cell of the state (``p3``, ``m2``, ``o0.3.exp_avg``) is of somebody shown."""
        letter, rest = cell[0], cell[1:].split(".")
        if cell == "grad":
            return True
        if letter == "o":
            return _in(rest[0], self.optimizers) and _in(rest[1], self.tensors)
        known = {"m": self.modules, "l": self.optimizers}.get(letter, self.tensors)
        return _in(rest[0], known)


def _in(number: str, known: set[int]) -> bool:
    return number.isdecimal() and int(number) in known
