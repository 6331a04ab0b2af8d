"""Report to and from its JSON file."""

from pathlib import Path

import msgspec

from steplens.errors import BadReport
from steplens.model.report import FORMAT, Report

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Report)


def encode(report: Report) -> bytes:
    """The report as JSON. Non-finite numbers become null: JSON has none (their counts are in the
    digests)."""
    return _encoder.encode(report)


def decode(data: bytes, origin: str) -> Report:
    """The Report in ``data``; BadReport says in one line what is wrong with ``origin``."""
    try:
        head = msgspec.json.decode(data, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadReport(
            f"`{origin}` is not a steplens report: {_line(error)}; "
            "give a file that `steplens run` wrote"
        ) from None
    if head.format != FORMAT:
        raise BadReport(
            f"`{origin}` has report format {head.format!r}; this steplens reads format {FORMAT}"
        )
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadReport(f"`{origin}` is a damaged steplens report: {_line(error)}") from None


def _line(error: Exception) -> str:
    """What is wrong, in one line of printable characters."""
    text = "".join(each if each.isprintable() else "?" for each in str(error))
    return text[:200] or type(error).__name__


def read(path: Path) -> Report:
    """The Report stored in ``path``; BadReport when it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadReport(
            f"cannot read `{path}`: {error.strerror or error}; give a file `steplens run` wrote"
        ) from None
    return decode(data, str(path))


class _Head(msgspec.Struct):
    format: int
    timeline: dict[str, object]
