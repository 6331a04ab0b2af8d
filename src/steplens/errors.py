"""SteplensError and its few children: what went wrong, and the exit status it means."""


class SteplensError(Exception):
    """A mistake in how steplens was called, in one line. ``exit_code`` is the command's status."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def described(error: BaseException) -> str:
    """``KeyError: 'x'``, at most 500 characters; also of an exception whose own text fails."""
    kind = type(error).__name__
    try:
        return f"{kind}: {error}"[:500]
    except Exception as second:
        return f"{kind} (its text cannot be read: {type(second).__name__})"


class BadReport(SteplensError):
    """A report file that is missing, damaged or not ours."""


class BadProgram(SteplensError):
    """A program that cannot be started: missing, unreadable, not Python."""


class BadSetting(SteplensError):
    """An unknown option, rule or setting."""
