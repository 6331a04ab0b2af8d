"""Site: a place in the user's code."""

import msgspec


class Site(msgspec.Struct, frozen=True, gc=False, order=True):
    """A file, line, column and function of the user's own code.

    ``line`` and ``column`` are 1-based. In a notebook ``file`` is the notebook, ``cell`` the
    1-based number of the code cell and ``line`` the line within that cell; elsewhere ``cell``
    is 0. ``end_line`` and ``end_column`` (1-based, exclusive) close the expression, 0 when not
    known. ``file`` is relative to the working folder where it lies below it.
    """

    file: str
    line: int
    column: int = 1
    end_line: int = 0
    end_column: int = 0
    function: str = "<module>"
    cell: int = 0

    @property
    def place(self) -> str:
        """The site as a person writes it: ``train.py:19`` or ``lab.ipynb[4]:2``."""
        cell = f"[{self.cell}]" if self.cell else ""
        return f"{self.file}{cell}:{self.line}"
