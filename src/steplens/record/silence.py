"""Silence: steplens's own calls of torch on this thread, which no Recorder must hear."""

import threading


class Silence(threading.local):
    """``quiet`` is True while steplens itself works with torch on this thread."""

    quiet = False


SILENCE = Silence()
