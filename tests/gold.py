"""Gold files: what a view printed when it was last read and found right."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "gold"


def agree(name: str, text: str) -> None:
    """Assert that ``text`` is the gold file's; ``STEPLENS_GOLD=1`` rewrites it first."""
    path = FOLDER / name
    if os.environ.get("STEPLENS_GOLD"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
