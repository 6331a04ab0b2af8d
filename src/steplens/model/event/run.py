"""Events of the run as a whole: what cannot be watched, marks, rounds left out, its end."""

from steplens.model.event.seen import Seen
from steplens.model.site import Site


class Unseen(Seen, frozen=True, tag="unseen"):
    """A region that cannot be watched: ``what`` is compiled, scripted, captured or sharded,
    ``name`` says which, ``why`` what is not seen of it."""

    what: str
    name: str
    why: str = ""


class Failure(Seen, frozen=True, tag="failure"):
    """The program raised. ``explains`` names what was learnt of one of torch's autograd errors:
    no-graph, second-backward, overwritten.

    no-graph: ``how`` is no-grad (the Forward ``cause`` ran with recording off, ``where`` the
    function decorated so), frozen (nothing in it required grad), or cut (``detail`` is the call at
    ``where`` that ended the graph of the Forward ``cause``).
    second-backward: ``cause`` is the earlier Backward, ``where`` the line at which its graph
    entered the new loss, ``made`` the line that made the newest of it, ``detail`` how many of the
    nodes are old; ``how`` is whole when all are.
    overwritten: ``made`` is where the value was saved for ``detail`` (the operation), ``tensor``
    the parameter it belongs to (-1: a value in between), ``where`` the line that wrote it,
    ``cause`` the Step that did.
    """

    type: str
    message: str
    explains: str = ""
    cause: int = -1
    where: Site | None = None
    detail: str = ""
    how: str = ""
    made: Site | None = None
    tensor: int = -1


class Mark(Seen, frozen=True, tag="mark"):
    """A place in the run that a trainer or the program names: ``epoch 2, validation``."""

    text: str


class Repeat(Seen, frozen=True, tag="repeat"):
    """The ``events`` events that follow had happened ``times`` times before them, each time in the
    same order, at the same lines and with the same effect: they differed in indices, steps, losses
    and learning rates only. ``steps`` optimizer steps and ``counts`` events of each kind are in one
    round; ``index`` is that of the last event left out."""

    events: int
    times: int
    steps: int = 1
    counts: dict[str, int] = {}


class End(Seen, frozen=True, tag="end"):
    """The watched run ended. ``training`` are the models in train mode then; ``status`` is done,
    failed or stopped."""

    status: str = "done"
