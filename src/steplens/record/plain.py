"""Plain: values of the user's as the report can hold them."""

from numbers import Integral, Real


def plain(value: object) -> bool | int | float | str | None:
    """A number or text as Python's own type; None for anything else.

    A number of numpy's is one too: ``np.float64`` is a float, and still no JSON encoder takes it.
    The methods of a user's subclass of float, int or str are not called.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else None
