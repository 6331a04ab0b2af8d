"""Writes the figures of ``make soak`` into docs/promises.md, from the folder that holds them."""

import json
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "promises.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def rows(folder: Path) -> str:
    """A table with a row for each figure, by the test that measured it."""
    lines = ["| measured by | figure | value |", "|---|---|---|"]
    for file in sorted(folder.glob("*.json")):
        for name, value in json.loads(file.read_text()).items():
            shown = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
            lines.append(f"| {file.stem} | {name} | {shown} |")
    return "\n".join(lines) + "\n"


def main(folder: str) -> None:
    """Put the table in the place of the one before."""
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(head + BEGIN + rows(Path(folder)) + END + tail)


if __name__ == "__main__":
    main(*sys.argv[1:2] or [".soak"])
