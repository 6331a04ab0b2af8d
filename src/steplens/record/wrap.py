"""Wrapping torch's functions, and taking the wrappers off again."""

import functools
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from torch.compiler import is_compiling
from torch.jit import _builtins

from steplens.record.resting import rest, wake
from steplens.record.silence import alone
from steplens.record.stopwatch import CLOCK
from steplens.record.uncompiled import known_to_compiler

# wrappers that were to be taken off while another was above them: what each was put over
_below: "WeakKeyDictionary[Any, tuple[bool, Any]]" = WeakKeyDictionary()
_over: dict[Any, Any] = {}  # wrappers that are on, and what each was put over


class Guard(Protocol):
    """What a wrapper needs of the Recorder: is it listening on this thread, where do faults go,
    and what has to be undone."""

    removals: list[Callable[[], None]]
    off: set[str]

    def listening(self) -> bool: ...

    def fault(self, probe: str, error: BaseException) -> None: ...

    def leave(self) -> None: ...


def replace(guard: Guard, owner: Any, name: str, wrapper: Any) -> Callable[[], None]:
    """Set ``owner.name`` to ``wrapper`` and return what undoes it, which is among the guard's
    ``removals`` at once, should the rest of an installation fail. Undoing twice is once.

    If somebody else has wrapped it again since, theirs stays: our wrapper is then a pass-through,
    as it stops listening with the Recorder, until the one above it is taken off too, if that is
    ours. ``jit.script`` knows torch's builtins by their
    identity: it is told that this is one.
    """
    own = name in vars(owner)
    original = vars(owner)[name] if own else getattr(owner, name)
    builtins = _builtins._get_builtin_table()
    if id(original) in builtins:
        builtins[id(wrapper)] = builtins[id(original)]
    setattr(owner, name, wrapper)
    _over[wrapper] = original

    def undo() -> None:
        if _over.pop(wrapper, None) is None:
            return
        try:
            known_to_compiler([(wrapper, original)])
        except Exception as error:  # the wrapper is to go all the same
            note(guard, "compiler", error)
        if vars(owner).get(name) is not wrapper:
            _below[wrapper] = own, original
            return
        builtins.pop(id(wrapper), None)
        had, below = own, original
        while had and below in _below:
            had, below = _below.pop(below)
        if had:
            setattr(owner, name, below)
        else:
            delattr(owner, name)

    guard.removals.append(undo)
    return undo


def compiler_arrived() -> None:
    """The compiler has been imported: it is to know what our wrappers were put over."""
    pairs: list[tuple[Any, Any]] = []
    for wrapper in list(_over):
        original = wrapper
        while original in _over:
            original = _over[original]
        pairs.append((wrapper, original))
    known_to_compiler(pairs)


def note(guard: Guard, probe: str, error: BaseException) -> None:
    """Report a fault; nothing that goes wrong in that reaches the program."""
    try:
        guard.fault(probe, error)
    except Exception:  # nobody is left to tell
        return


def around(
    guard: Guard,
    probe: str,
    owner: Any,
    name: str,
    before: Callable[..., Any] | None = None,
    after: Callable[..., Any] | None = None,
    failed: Callable[..., Any] | None = None,
    *,
    once: bool = False,
    calm: bool = False,
) -> Callable[[], None]:
    """Wrap ``owner.name`` in what ``hearing`` makes of it."""
    original = getattr(owner, name)
    wrapper = hearing(guard, probe, original, before, after, failed, once=once, calm=calm)
    return replace(guard, owner, name, wrapper)


def hearing(  # noqa: C901  one frame for all
    guard: Guard,
    probe: str,
    original: Any,
    before: Callable[..., Any] | None = None,
    after: Callable[..., Any] | None = None,
    failed: Callable[..., Any] | None = None,
    *,
    once: bool = False,
    calm: bool = False,
) -> Callable[..., Any]:
    """A wrapper around a function.

    ``before(*args, **kwargs)`` gives a token; ``after(token, result)`` hears the result,
    ``failed(token, error)`` the exception. None as token skips both. A fault in any of them is
    reported and the call goes on; nothing of ours runs while a compiler traces. ``once`` says that
    arguments may be generators, which can be read once only: they go on as tuples. Unless the probe
    is ``calm`` (it neither reads nor writes what gradients hold), the counting of rounds ends here.
    """

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if is_compiling():
            return original(*args, **kwargs)
        if not calm:
            guard.leave()
        token: Any = None
        if once:
            args = tuple([_kept(value) for value in args])
            kwargs = {key: _kept(value) for key, value in kwargs.items()}
        trace, began = rest(), CLOCK.start()
        try:
            if guard.listening():
                with alone():
                    token = before(*args, **kwargs) if before is not None else ()
        except Exception as error:
            note(guard, probe, error)
        finally:
            CLOCK.stop(began)
            wake(trace)
        if token is None:
            return original(*args, **kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            if failed is not None:
                try:
                    with alone():
                        failed(token, error)
                except Exception as fault:
                    note(guard, probe, fault)
            raise
        if after is not None:
            trace, began = rest(), CLOCK.start()
            try:
                with alone():
                    after(token, result)
            except Exception as fault:
                note(guard, probe, fault)
            finally:
                CLOCK.stop(began)
                wake(trace)
        return result

    return wrapper


def overhear(
    guard: Guard,
    probe: str,
    owner: Any,
    name: str,
    due: Callable[[], bool],
    heard: Callable[..., Any],
) -> Callable[[], None]:
    """Wrap ``owner.name``, which is called often, so that ``heard(result, *args, **kwargs)`` hears
    it while that is ``due``, and little is done while it is not. The counting of rounds goes on;
    ``jit.script`` sees the function itself."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if is_compiling():
            return result
        try:
            if due() and guard.listening() and probe not in guard.off:
                heard(result, *args, **kwargs)
        except Exception as error:
            note(guard, probe, error)
        return result

    call.__prepare_scriptable__ = lambda: original  # type: ignore[attr-defined]
    return replace(guard, owner, name, call)


def _kept(value: Any) -> Any:
    return tuple(value) if hasattr(type(value), "__next__") else value
