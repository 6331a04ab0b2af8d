"""Probe of CUDA graphs: while one is captured nothing is heard, as nothing may wait for the device
then, and whatever ran would be part of the graph."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.cuda import graphs

from steplens.record.unseen import tell
from steplens.record.wrap import note, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear a capture begin and end (``torch.cuda.graph``, ``make_graphed_callables``)."""
    kind = torch.cuda.CUDAGraph
    begin, end = kind.capture_begin, kind.capture_end

    def capture_begin(graph: Any, *args: Any, **kwargs: Any) -> Any:
        result = begin(graph, *args, **kwargs)
        try:
            if recorder.listening():
                if _called_by_user(recorder):
                    tell(recorder, "captured", graph)
                recorder.pause()
        except Exception as error:
            note(recorder, "capture", error)
        return result

    def capture_end(graph: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return end(graph, *args, **kwargs)
        finally:
            recorder.resume()

    return [
        replace(recorder, kind, "capture_begin", capture_begin),
        replace(recorder, kind, "capture_end", capture_end),
    ]


def _called_by_user(recorder: "Recorder") -> bool:
    """Whether the user's code captures, rather than a compiler."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename == graphs.__file__:
        frame = frame.f_back
    return recorder.places.owns(frame.f_code)
