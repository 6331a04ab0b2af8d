"""SL001 unused-suppression: an ignore comment that suppressed nothing."""

from steplens.model.event import End
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule


@rule("SL001", "unused-suppression", "note", needs=("end",))
class UnusedSuppression:
    """An `ignore` comment that suppressed nothing.

    ## What it does
    Reports `# steplens: ignore[...]` comments at lines where the rules they name ran and found
    nothing, and comments that name no known rule. Only files of which a line was watched are
    read. A comment for a rule that was not selected, or that had nothing to look at, is left
    alone.

    ## Why is this bad?
    A comment that silences nothing today will silence a new mistake at that line tomorrow, and
    it tells the reader of an exception that is no longer there.

    ## Example
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()  # steplens: ignore[gradients-never-cleared] we accumulate

    ## Use instead
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    ## When it is fine
    A line that is wrong only in some runs, under some option of the program. Take the rule
    out of the comment and name the file in `per-file-ignores` of `[tool.steplens]` instead.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        pass

    def end(self, event: End) -> None:
        """Hear nothing: the comments are read, and the findings made, by the suppressions."""
