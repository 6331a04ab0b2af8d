"""Event: one observed call, its Site, its step number and what it changed.

Events refer to each other by ``index`` and to tensors, modules and optimizers by their number in
the Roster. ``step`` is the number of optimizer steps that had ended when the Event happened.
"""

from steplens.model.event.data import (
    Alike,
    Apart,
    Batch,
    Foreseen,
    Mixed,
    Padded,
    Positioned,
    ReadAlike,
    Redraw,
    Refolded,
    Rewritten,
    Spent,
    Summed,
    Undrawn,
    Unmatched,
)
from steplens.model.event.graphs import Cut, Drawn, Idle, Kept, Term
from steplens.model.event.passes import (
    Backward,
    Behind,
    Blended,
    Drop,
    Forward,
    GradCall,
    GradMode,
    Mode,
)
from steplens.model.event.run import End, Failure, Mark, Repeat, Unseen
from steplens.model.event.seen import Contribution, Overlap, Real, Seen, Share
from steplens.model.event.steps import (
    Clear,
    Clip,
    Effect,
    Exchange,
    Made,
    Masked,
    Opposed,
    Scale,
    Schedule,
    Standing,
    Step,
    Update,
)
from steplens.model.event.values import Faint, Origin, Twins, Units, Values
from steplens.model.event.written import (
    Drift,
    Flagged,
    Held,
    Line,
    Load,
    Misnamed,
    Parted,
    Shared,
    Vain,
    Write,
)

__all__ = [
    "EVENTS",
    "TAGS",
    "Alike",
    "Apart",
    "Backward",
    "Batch",
    "Behind",
    "Blended",
    "Clear",
    "Clip",
    "Contribution",
    "Cut",
    "Drawn",
    "Drift",
    "Drop",
    "Effect",
    "End",
    "Event",
    "Exchange",
    "Failure",
    "Faint",
    "Flagged",
    "Foreseen",
    "Forward",
    "GradCall",
    "GradMode",
    "Held",
    "Idle",
    "Kept",
    "Line",
    "Load",
    "Made",
    "Mark",
    "Masked",
    "Misnamed",
    "Mixed",
    "Mode",
    "Opposed",
    "Origin",
    "Overlap",
    "Padded",
    "Parted",
    "Positioned",
    "ReadAlike",
    "Real",
    "Redraw",
    "Refolded",
    "Repeat",
    "Rewritten",
    "Scale",
    "Schedule",
    "Seen",
    "Share",
    "Shared",
    "Spent",
    "Standing",
    "Step",
    "Summed",
    "Term",
    "Twins",
    "Undrawn",
    "Units",
    "Unmatched",
    "Unseen",
    "Update",
    "Vain",
    "Values",
    "Write",
    "kind",
]

Event = (
    Mode | GradMode | Forward | Backward | GradCall | Clear | Step | Write | Load | Clip | Schedule
    | Scale | Batch | Made | Idle | Drop | Line | Values | Unseen | Cut | Parted | Shared | Misnamed
    | Held | Failure | End | Kept | Drift
    | Redraw | Alike | ReadAlike | Mixed | Rewritten | Mark | Repeat | Vain | Apart | Undrawn
    | Padded | Positioned | Foreseen | Behind | Drawn | Refolded | Unmatched | Blended | Summed
    | Spent
    | Term | Flagged
)  # fmt: skip
EVENTS = (
    Mode, Forward, GradMode, Backward, GradCall, Clear, Step, Write, Load, Clip, Schedule, Scale,
    Batch, Made, Idle, Drop, Line, Values, Unseen, Cut, Parted, Shared, Misnamed, Held, Failure,
    End, Kept, Drift, Redraw, Alike, ReadAlike, Mixed, Rewritten, Mark, Repeat, Vain, Apart,
    Undrawn, Padded, Positioned, Foreseen, Behind, Drawn, Refolded, Unmatched, Term, Blended,
    Summed, Spent, Flagged,
)  # fmt: skip


def kind(event: Event) -> str:
    """The event's kind as it stands in the file: ``step``, ``grad-mode``."""
    return TAGS[type(event)]


TAGS: dict[type, str] = {event: str(event.__struct_config__.tag) for event in EVENTS}
