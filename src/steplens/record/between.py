"""Between: the short way (``short``) of calls that some loops make between the others: batches,
clips, a GradScaler's, switches of gradient recording."""

from collections.abc import Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from steplens.record.branch import branch
from steplens.record.rounds import Call, there
from steplens.record.short import made_as_many

if TYPE_CHECKING:
    from steplens.record.steady import Steady


def _passed(steady: "Steady", call: Call) -> bool:
    """A call is done; whether it was counted, as another thread may just have ended that."""
    steady.at += 1
    steady.due = call.next
    if not (steady.on or steady.settled()):
        return False
    if not steady.steps and call.next is steady.round[0]:
        steady.rounded()
    return True


# -- clips ----------------------------------------------------------------------------------------


def plain(values: Iterable[Any]) -> bool:
    """Whether these are numbers and flags, which can be compared."""
    return all(value is None or type(value) in (bool, int, float) for value in values)


def clip_counts(
    steady: "Steady", due: Call, tensors: list[Any], args: Any, kwargs: dict[str, Any]
) -> bool:
    """Whether this clip is due, of the same tensors; then it counts as done. What it did to their
    gradients shows at the step."""
    call: Call | None = due
    while call is not None:
        if (
            call.form == "clip"
            and steady.current is None
            and plain(args)
            and plain(kwargs.values())
            and call.given == (args, kwargs)
            and len(tensors) == len(call.ids)
            and (
                steady.brief
                or ([*map(id, tensors)] == call.ids and there(call) and made_as_many(steady, call))
            )
        ):
            return _passed(steady, call)
        call = branch(steady, "clip", None)
    steady.leave()
    return False


# -- batches --------------------------------------------------------------------------------------


def batch_counts(steady: "Steady", call: Call, come: tuple[int, str]) -> bool:
    """Whether the batch that came, the how manyth of its pass and with which digest, was the call
    due; then it counts as done."""
    if (
        steady.due is call
        and steady.current is None
        and (steady.brief or made_as_many(steady, call))
    ):
        call.kept[steady.at // steady.size & 1] = come
        return _passed(steady, call)
    steady.leave()
    return False


# -- a scaler's calls -----------------------------------------------------------------------------


def scale_begins(steady: "Steady", how: str, scaler: Any, optimizer: Any) -> bool:
    """Whether this call of a scaler is the one that is due in a round that is counted; before that
    of `step` the optimizer's own is."""
    due = steady.due
    if due is None or steady.elsewhere():
        return False
    if how == "step":  # which unscales first, if nobody has
        unscales = due.form == "scale" and due.event.how == "unscale"
        first = due.next if unscales else due
        expected = first.form == "step" and first.ref() is optimizer
    else:
        expected = due.form == "scale" and due.event.how == how and due.ref() is scaler
    if not expected:
        steady.leave()
    return expected


def scale_counts(steady: "Steady", how: str, scaler: Any, skipped: bool) -> bool:
    """Whether a scaler's call did what it did before, and held no step back; then it counts as
    done."""
    due = steady.due
    if due is None or steady.elsewhere():
        return False
    if (
        due.form == "scale"
        and due.event.how == how
        and due.ref() is scaler
        and not skipped
        and (steady.brief or (there(due) and made_as_many(steady, due)))
    ):
        return _passed(steady, due)
    steady.leave()
    return False


# -- switches of gradient recording ---------------------------------------------------------------


def _alike(call: Call, how: str, form: str) -> bool:
    """Whether a call of a round is this switch; ``form`` is what torch runs, a block (``enter``)
    may be one by hand (``call``)."""
    used = call.given[1]
    return call.given[0] == how and (used == form or (form == "enter" and used == "call"))


def switch_here(steady: "Steady", due: Call, how: str, form: str, frame: Any) -> bool:
    """Whether the call that is due in a round that is compared in brief is this switch, made right
    in this frame."""
    return (
        due.form == "switch"
        and due.lasti == frame.f_lasti
        and due.code is frame.f_code
        and _alike(due, how, form)
        and steady.current is None
        and steady.owner == get_ident()
    )


def switch_due(steady: "Steady", due: Call, how: str, form: str) -> Call | None:
    """The call that is due, if it is this switch."""
    if steady.owner != get_ident() or steady.current is not None:
        return None
    call: Call | None = due
    while call is not None:
        if (
            call.form == "switch"
            and _alike(call, how, form)
            and there(call)
            and (steady.brief or made_as_many(steady, call))
        ):
            return call
        call = branch(steady, "switch", None)
    return None


def switch_counts(steady: "Steady", call: Call, enabled: bool) -> bool:
    """Whether it has left recording as it did before; then it counts as done."""
    if steady.due is call and call.event.enabled is enabled:
        return _passed(steady, call)
    steady.leave()
    return False
