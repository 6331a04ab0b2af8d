"""Heap: the memory of the C library, as the detail window leaves it."""

import ctypes
from collections.abc import Callable


def _trimmer() -> Callable[[int], int] | None:
    """The C library's ``malloc_trim``; None where it has none (it is glibc's own)."""
    try:
        return ctypes.CDLL(None).malloc_trim  # type: ignore[no-any-return]
    except (AttributeError, OSError, TypeError):  # no such function; no handle on the program
        return None


class Heap:
    """Gives the free memory back once, when the counting begins for the first time.

    The window frees many small blocks between the program's own. What the program allocates at each
    step then comes from all over the heap: a loop of 1,000 parameter tensors goes 3 % slower for
    as long as it runs, also once the watch has ended, one of convolutions 1 to 2 % (measured on
    torch 2.13, glibc 2.36; docs/performance.md). ``malloc_trim`` joins the blocks and returns whole
    free pages to the system: 1 to 5 ms, and as much again at the next step, which gets them anew.
    """

    def __init__(self) -> None:
        self.tidied = False

    def tidy(self) -> None:
        """Do it, if it has not been done."""
        if self.tidied:
            return
        self.tidied = True
        trim = _trimmer()
        if trim is not None:
            trim(0)
