"""Output: what a command prints and writes, and how wide it may be."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from steplens.errors import SteplensError


def width() -> int:
    """Columns to write prose at: the terminal's, within reason."""
    from steplens.rules import catalogue

    return catalogue.fitting(columns(catalogue.WIDEST))


def columns(without: int = 140) -> int:
    """The terminal's columns; a fixed number into a file or a pipe."""
    return shutil.get_terminal_size((without, 24)).columns


def write(path: Path, text: str) -> None:
    """Write a file; SteplensError where that is not possible."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SteplensError(f"cannot write `{path}`: {error.strerror or error}") from None


def emit(text: str) -> None:
    """Print, quietly giving up when the reader of a pipe has gone."""
    try:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        click.echo(text.encode(encoding, "replace").decode(encoding), nl=False, color=True)
        sys.stdout.flush()
    except BrokenPipeError:
        close(sys.stdout)
    except ValueError:  # the program closed its standard output
        return


def close(stream: Any) -> None:
    """Flush a stream; when its reader has gone, point it at nothing, so that the exit is quiet."""
    try:
        stream.flush()
    except (BrokenPipeError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
