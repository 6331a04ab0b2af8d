"""Line by line tracing: what each line did is told apart, and nothing of it stays behind."""

import asyncio
import gc
import linecache
import os
import sys
import textwrap
import threading
from types import CodeType
from typing import Any

import pytest

from steplens.record import activations
from steplens.record.lines import TraceTaken, trace_lines

FILE = "<user>"


def program(source: str) -> dict[str, Any]:
    """The names that ``source`` defines, compiled as the user's code."""
    names: dict[str, Any] = {"__name__": "user"}
    exec(compile(textwrap.dedent(source).strip(), FILE, "exec"), names)
    return names


def is_user(code: CodeType) -> bool:
    return code.co_filename == FILE


class Account:
    """Says for each item put on ``log`` which line put it there, as (function, line, run, item)."""

    def __init__(self) -> None:
        self.log: list[object] = []
        self.told: list[tuple[str, int, int, object]] = []
        self.bounds: list[tuple[str, int, int]] = []

    def __call__(self, code: CodeType, line: int, run: int) -> None:
        self.bounds.append((code.co_name, line, run))
        self.told += [(code.co_name, line, run, item) for item in self.log[len(self.told) :]]


def watched(source: str, call: str = "main") -> list[tuple[str, int, int, object]]:
    names, account = program(source), Account()
    names["put"] = account.log.append
    remove = trace_lines(is_user, account, None)
    try:
        names[call]()
    except Exception as error:
        account.log.append(type(error).__name__)
    finally:
        remove()
    assert sys.gettrace() is None
    return account.told


def test_each_line_is_told_what_it_did_and_how_often_it_ran():
    told = watched("""
        def main():
            for i in range(3):
                put(i)
            put("end")
    """)
    assert told == [("main", 3, 1, 0), ("main", 3, 2, 1), ("main", 3, 3, 2), ("main", 4, 1, "end")]


def test_code_of_which_nothing_ever_comes_is_let_go():
    account = Account()
    names = program("""
        def digit(text):
            return int(text)
        def told(item):
            put(item)
        def main():
            for i in range(3000):
                digit("7")
            for i in range(3000):
                told(i)
    """)
    names["put"] = account.log.append

    def boundary(code: CodeType, line: int, run: int) -> bool:
        heard = len(account.told)
        account(code, line, run)
        return len(account.told) > heard

    remove = trace_lines(is_user, boundary, None)
    try:
        names["main"]()
    finally:
        remove()
    names_heard = [name for name, _, _ in account.bounds]
    assert names_heard.count("digit") == activations.IDLE
    assert names_heard.count("told") == 3000
    assert account.told[-1] == ("told", 4, 3000, 2999)


def test_a_nested_call_suspends_the_line_and_gives_it_back():
    told = watched("""
        def inner():
            put("b")
            return 1
        def main():
            put((put("a"), inner(), "c")[2])
            put("d")
    """)
    assert told == [
        ("main", 5, 1, "a"),
        ("inner", 2, 1, "b"),
        ("main", 5, 1, "c"),
        ("main", 6, 1, "d"),
    ]


def test_a_statement_over_several_lines_starts_once():
    told = watched("""
        def main():
            for i in range(2):
                put(
                    max(
                        i,
                        0,
                    )
                )
    """)
    assert told == [("main", 3, 1, 0), ("main", 3, 2, 1)]


def whole(source: str) -> tuple[list[tuple[str, int, int, object]], list[int]]:
    """As ``watched``, of code whose source can be read; and the lines of the parts of ``main``."""
    text = textwrap.dedent(source).strip()
    linecache.cache[FILE] = (len(text), None, text.splitlines(keepends=True), FILE)
    names, account, parts = program(source), Account(), []
    names["put"] = account.log.append
    hear = lambda code, line: parts.append(line) if code.co_name == "main" else None  # noqa: E731
    remove = trace_lines(is_user, account, None, None, hear)
    try:
        names["main"]()
    finally:
        remove()
        del linecache.cache[FILE]
    return account.told, [line for line in parts if line]


def test_a_statement_over_several_lines_is_one_line():
    told, parts = whole("""
        def main():
            for i in range(2):
                pair = (
                    put(i),
                    put("b"),
                )
            put("end")
    """)
    assert told == [
        ("main", 3, 1, 0), ("main", 3, 1, "b"),
        ("main", 3, 2, 1), ("main", 3, 2, "b"),
        ("main", 7, 1, "end"),
    ]  # fmt: skip
    assert [parts.count(line) for line in (4, 5)] == [2, 2]


def test_a_statement_that_is_suspended_goes_on_in_the_same_run():
    told, _ = whole("""
        def inner():
            put("in")
        def main():
            while True:
                got = [
                    put("a"),
                    inner(),
                    put("b"),
                ]
                if len(seen) > 1: break
                seen.append(got)
        seen = [0]
    """)
    one = [("main", 5, 1, "a"), ("inner", 2, 1, "in"), ("main", 5, 1, "b")]
    assert told == [*one, *((name, line, 2, item) for name, line, _, item in one)]


def test_a_statement_that_is_the_whole_loop_starts_anew_each_time():
    told, _ = whole("""
        def main():
            try:
                while True:
                    put(
                        next(
                            numbers
                        )
                    )
            except StopIteration:
                put("end")
        numbers = iter([1, 2])
    """)
    assert told == [("main", 4, 1, 1), ("main", 4, 2, 2), ("main", 10, 1, "end")]


def test_heads_over_several_lines_are_apart_from_their_bodies():
    told, _ = whole("""
        from contextlib import nullcontext
        def main():
            if (
                put("a")
                or True
            ):
                put("b")
            with (
                nullcontext(put("c")) as x,
                nullcontext(put("d")) as y,
            ):
                put("e")
            @both(
                put("f"),
                put("g"),
            )
            def inner(
                x=put("h"),
            ):
                pass
            match put("i"):
                case None if not (
                    put("j")
                ):
                    put("k")
        def both(*_):
            return lambda function: function
    """)
    assert [(line, item) for _, line, _, item in told] == [
        (3, "a"), (7, "b"), (8, "c"), (8, "d"), (12, "e"), (13, "f"), (13, "g"), (17, "h"),
        (21, "i"), (22, "j"), (25, "k"),
    ]  # fmt: skip


def test_a_generator_goes_on_within_its_statement():
    told, _ = whole("""
        def gen():
            while True:
                put(
                    (yield "x")
                    + 1,
                )
        def main():
            it = gen()
            next(it)
            it.send(1)
            it.send(2)
    """)
    assert told == [
        ("gen", 3, 1, 2), ("gen", 3, 2, 3),
    ]  # fmt: skip


def test_recursion_keeps_the_run_of_each_activation():
    told = watched("""
        def down(n):
            if n: down(n - 1); put(n)
        def main():
            down(2)
    """)
    assert told == [("down", 2, 2, 1), ("down", 2, 1, 2)]


def test_an_exception_ends_lines_on_its_way_up():
    told = watched("""
        def fails():
            put("before"); raise ValueError
        def main():
            try:
                fails()
            except ValueError:
                put("caught")
            finally:
                put("finally")
            put("after")
    """)
    assert [(name, line, item) for name, line, _, item in told] == [
        ("fails", 2, "before"),
        ("main", 7, "caught"),
        ("main", 9, "finally"),
        ("main", 10, "after"),
    ]


def test_generators_are_told_apart_from_the_line_that_pulls_them():
    told = watched("""
        def gen():
            put("g1")
            got = yield 1; put(got)
            try:
                yield 2
            finally:
                put("closed")
        def main():
            it = gen()
            put(next(it))
            put(it.send("sent"))
            it.close()
            put("end")
    """)
    assert [(name, line, item) for name, line, _, item in told] == [
        ("gen", 2, "g1"),
        ("main", 10, 1),
        ("gen", 3, "sent"),
        ("main", 11, 2),
        ("gen", 7, "closed"),
        ("main", 13, "end"),
    ]


def test_coroutines_are_heard_through_their_awaits():
    names, account = (
        program("""
        async def inner(x):
            put(x)
            await asyncio.sleep(0)
            put(x + 1)
        async def both():
            await asyncio.gather(inner(10), inner(20))
            put("end")
        def main():
            asyncio.run(both())
    """),
        Account(),
    )
    names.update(put=account.log.append, asyncio=asyncio)
    remove = trace_lines(is_user, account, None)
    names["main"]()
    remove()
    assert [(line, item) for _, line, _, item in account.told] == [
        (2, 10), (2, 20), (4, 11), (4, 21), (7, "end"),
    ]  # fmt: skip


def test_user_code_called_back_from_a_library_is_heard():
    told = watched("""
        def key(x):
            put(x)
            return x
        def main():
            sorted([2, 1], key=key)
            [key(x) for x in (5,)]
            import functools; functools.reduce(lambda a, b: put(b), [0, 9])
    """)
    assert [item for *_, item in told] == [2, 1, 5, 9]
    assert told[-1][:2] == ("<lambda>", 7)


def test_frames_that_already_run_are_heard_and_restored():
    account = Account()

    names = program("""
        def inner():
            begin()
            put("in")
        def main():
            inner()
            put("out")
            remove()
            put("unheard")
            return frame().f_trace
    """)

    def begin() -> None:
        names["remove"] = trace_lines(is_user, account, sys._getframe())

    names.update(put=account.log.append, begin=begin, frame=sys._getframe)
    assert names["main"]() is None
    assert account.told == [("inner", 3, 1, "in"), ("main", 6, 1, "out")]
    assert ("main", 5, 1) in account.bounds
    assert sys.gettrace() is None


def test_the_tracing_can_end_within_a_boundary():
    seen: list[tuple[str, int]] = []

    def boundary(code: CodeType, line: int, run: int) -> None:
        seen.append((code.co_name, line))
        if len(seen) == 4:
            remove()

    names = program("""
        def gen():
            yield frame()
            yield 2
        def inner(n):
            a = n
            b = a
            return frame(), frame().f_back
        def main():
            it = gen()
            first = next(it)
            pair = inner(1)
            return [first, *pair]
    """)
    names["frame"] = sys._getframe
    remove = trace_lines(is_user, boundary, None)
    frames = names["main"]()
    assert len(seen) == 4
    assert sys.gettrace() is None
    assert [frame.f_trace for frame in frames] == [None, None, None]
    remove()


def test_a_suspended_generator_keeps_no_trace():
    names = program("""
        def gen():
            yield 1
            yield 2
        def main():
            it = gen()
            next(it)
            return it
    """)
    remove = trace_lines(is_user, lambda code, line, run: None, None)
    it = names["main"]()
    remove()
    assert it.gi_frame.f_trace is None
    assert next(it) == 2


def test_a_fault_in_the_boundary_ends_the_tracing_and_not_the_program():
    faults: list[Exception] = []

    def boundary(code: CodeType, line: int, run: int) -> None:
        raise RuntimeError("ours")

    names = program("""
        def main():
            a = 1
            b = a + 1
            return b
    """)
    remove = trace_lines(is_user, boundary, None, faults.append)
    assert names["main"]() == 2
    assert sys.gettrace() is None
    assert [str(fault) for fault in faults] == ["ours"]
    remove()


def test_other_threads_are_left_alone():
    told = watched("""
        import threading
        def work():
            x = 1
            here.append(threading.get_ident())
        here = []
        def main():
            thread = threading.Thread(target=work)
            thread.start(); thread.join()
            put("main")
    """)
    assert told == [("main", 9, 1, "main")]


def test_a_thread_of_the_users_is_never_mixed_in():
    gc.collect()  # generators of other tests, which would go on to their end here
    account = Account()
    names = program("""
        def work():
            for i in range(50):
                done.append(i)
        def main():
            thread = Thread(target=work)
            thread.start()
            for i in range(50):
                put(i)
            thread.join()
    """)
    names.update(put=account.log.append, done=[], Thread=threading.Thread)
    remove = trace_lines(is_user, account, None)
    names["main"]()
    remove()
    assert {name for name, _, _ in account.bounds} == {"main"}
    assert len(names["done"]) == 50


def test_a_debuggers_trace_is_never_displaced():
    def debugger(frame: object, event: str, arg: object) -> None:
        return None

    sys.settrace(debugger)
    try:
        with pytest.raises(TraceTaken, match="debugger"):
            trace_lines(is_user, lambda code, line, run: None, None)
    finally:
        held = sys.gettrace()
        sys.settrace(None)
    assert held is debugger


def test_a_debugger_that_comes_later_is_not_displaced_either():
    names = program("""
        def main():
            sys.settrace(debugger)
            return 1
    """)

    def debugger(frame: object, event: str, arg: object) -> None:
        return None

    names.update(sys=sys, debugger=debugger)
    remove = trace_lines(is_user, lambda code, line, run: None, None)
    names["main"]()
    remove()
    held = sys.gettrace()
    sys.settrace(None)
    assert held is debugger


def test_equal_code_in_another_file_is_not_taken_for_the_users():
    source, account = "def f():\n    put(1)\n", Account()
    mine, other = {"put": account.log.append}, {"put": account.log.append}
    exec(compile(source, FILE, "exec"), mine)
    exec(compile(source, "<library>", "exec"), other)
    remove = trace_lines(is_user, account, None)
    other["f"]()
    mine["f"]()
    remove()
    assert account.bounds == [("f", 2, 1)]


def test_a_with_over_several_lines_starts_once():
    told = watched("""
        from contextlib import contextmanager
        @contextmanager
        def region():
            put("in")
            yield
            put("out")
        def main():
            with region():
                put("body")
                put("more")
    """)
    assert [(line, run, item) for _, line, run, item in told] == [
        (4, 1, "in"), (9, 1, "body"), (10, 1, "more"), (6, 1, "out"),
    ]  # fmt: skip


def test_a_second_window_hears_what_the_first_heard():
    source = """
        def main():
            put(1)
    """
    assert watched(source) == watched(source) == [("main", 2, 1, 1)]


def test_a_forked_child_is_not_heard():
    account = Account()
    names = program("""
        def main():
            pid = os.fork()
            if not pid:
                os._exit(0 if sys.gettrace() is None and not monitored() else 1)
            return os.waitpid(pid, 0)[1]
    """)
    monitored = lambda: sys.version_info >= (3, 12) and sys.monitoring.get_tool(4)  # noqa: E731
    names.update(os=os, sys=sys, monitored=monitored)
    remove = trace_lines(is_user, account, None)
    status = names["main"]()
    remove()
    assert status == 0
    assert account.bounds[-1] == ("main", 5, 1)
