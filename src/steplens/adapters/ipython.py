"""The IPython extension: under each cell what it did to the training state, and findings as they
happen. ``%load_ext steplens``, then ``%steplens``, ``%steplens off`` and ``%steplens on``."""
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false

from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.display import display

from steplens.check.cells import Cells
from steplens.check.shell import PYTHON_MAGICS
from steplens.views.paint import PLAIN, Row, as_html, paint

WORDS = "`%steplens` shows the timeline so far, `%steplens off` stops watching, `on` begins anew"


class Shown:
    """Rows as a notebook shows them: HTML where there is a page, text on a terminal."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def __repr__(self) -> str:
        return paint(self.rows, PLAIN).rstrip()

    def _repr_html_(self) -> str:
        return as_html(self.rows)


@magics_class
class Lens(Magics):
    """The magic, and what listens to the shell while it is on."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.host = shell
        self.cells: Cells | None = None

    @line_magic
    def steplens(self, line: str) -> None:
        """The timeline so far; ``off`` stops watching, ``on`` begins anew."""
        word = line.strip()
        if word == "off":
            self.off()
        elif word == "on":
            self.off()
            self.on()
        elif word:
            print(f"steplens: `{word}` is no word of `%steplens`; {WORDS}")  # noqa: T201
        elif self.cells is None:
            print("steplens is off; `%steplens on` begins to watch")  # noqa: T201
        else:
            show(self.cells.timeline())

    def on(self) -> None:
        """Listen to the shell."""
        self.cells = Cells(show)
        self.host.events.register("pre_run_cell", self.before)
        self.host.events.register("post_run_cell", self.after)
        compiler: Any = self.host.compile
        cache, magic = compiler.cache, self.host.run_cell_magic

        def named(code: str, number: int = 0, raw_code: str | None = None) -> str:
            name = cache(code, number, raw_code)
            if self.cells is not None:
                self.cells.named(name, number)
            return name

        def run_cell_magic(magic_name: str, line: str, cell: str) -> Any:
            if magic_name in PYTHON_MAGICS and not cell.startswith("%%"):
                cell = "#\n" + cell  # the body's line numbers are those of the cell
            return magic(magic_name, line, cell)

        compiler.cache, self.host.run_cell_magic = named, run_cell_magic

    def off(self) -> None:
        """Stop, and leave nothing in the shell."""
        if self.cells is None:
            return
        cells, self.cells = self.cells, None
        self.host.events.unregister("pre_run_cell", self.before)
        self.host.events.unregister("post_run_cell", self.after)
        for owner, name in ((self.host.compile, "cache"), (self.host, "run_cell_magic")):
            vars(owner).pop(name, None)
        show(cells.stop())

    def before(self, info: Any) -> None:
        """A cell is about to run."""
        if self.cells is not None and not info.silent:
            self.cells.begin(info.raw_cell)

    def after(self, result: Any) -> None:
        """A cell has run, or raised."""
        if self.cells is not None:
            show(self.cells.end(result.error_in_exec))


def show(rows: list[Row]) -> None:
    """Show rows under the running cell; nothing for none."""
    if rows:
        display(Shown(rows))


def load_ipython_extension(shell: InteractiveShell) -> None:
    """``%load_ext steplens``."""
    lens = Lens(shell)
    shell.register_magics(lens)
    vars(shell)["_steplens"] = lens
    lens.on()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """``%unload_ext steplens``."""
    lens = vars(shell).pop("_steplens", None)
    if lens is not None:
        lens.off()
