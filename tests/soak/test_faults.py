"""Every function of steplens made to fail in turn: the program runs on, and the Report names the
fault."""

import os
import warnings
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from zlib import crc32

import pytest
import torch

import breaking
from plans import Plan, Shape, Steps
from standing import changed, standing
from steplens.check.reporting import Report
from steplens.check.session import Session
from steplens.config import Config
from steplens.record import vain
from training import Program, Result, differences, quietly
from witness import Silent

SOAK = bool(os.environ.get("STEPLENS_SOAK"))
EVERY = 1 if SOAK else 120  # functions tried: one in so many
SHAPE = Shape("mlp", 4, 1, "batch", 0.3, "relu", "none", "none")
CALLS = """pass pass clip step clear look-eval-no-grad look-no-grad schedule pass trick-write-data
step clear-zero trick-loader trick-replace-gradients step trick-own-load pass trick-fill step
clear-model trick-freeze-first pass-penalty step-closure trick-half-backward trick-keep-graph
trick-non-finite pass step trick-seed trick-raises trick-optimizer-load trick-average"""


def plan(scaler: bool) -> Plan:
    """A short program that goes through most of steplens."""
    actions = []
    for word in CALLS.split():
        kind, _, how = word.partition("-")
        default = {"clear": "optimizer", "clip": "norm"}.get(kind, "plain")
        actions.append((kind, 0, how or default))
    steps = Steps("Adam", (("lr", 0.01),), "own", "step")
    return Plan(3, (SHAPE,), (steps,), tuple(actions), 1, "cross-entropy", scaler=scaler, lines=3)


QUIET = (  # a tensor or a graph that cannot be read is left unsaid, whatever it raises
    "record/digest.py", "record/divisors.py", "record/losses.py", "record/matrices.py",
    "record/nil.py", "record/nodes.py", "record/padded.py", "record/raw.py", "record/single.py",
    "record/turned.py", "record/unreachable.py",
    "record/units.py:Alive.__init__",
    "record/lifetimes.py:_died", "record/lifetimes.py:Lifetimes.died",
    "record/recorder.py:Recorder.fault",
    "check/session.py:Session._faults", "check/session.py:Session._settle",
    "record/data.py:Loaders.number.<locals>",
    "record/silence.py:aside",  # our operators are then heard by the program's modes
    "record/origin.py:_power", "record/units.py:_weight", "record/source.py:_parsed",
    "record/saved.py:raw_saved",
    # called by what dies: Python prints what they raise, and goes on
    "record/census.py:Census._died", "record/census.py:Census._forget",
    "record/census.py:Census._gone", "record/census.py:Census._lost",
    "record/census.py:Census._new_account.<locals>",
    "record/census.py:Census._number_module.<locals>",
    "record/census.py:Census.module_born.<locals>", "record/census.py:Census.optimizer.<locals>",
    "record/forwards.py:_watched.<locals>", "record/numbers.py:Numbers.give_back",
    "record/registration.py:Registrations._died",
    "record/registration.py:Registrations._enter.<locals>",
    "record/schedule.py:_number.<locals>.gone",
    "record/readings.py:latest.<locals>",  # one of several that share their code is broken
    "record/origin.py:_nan.<locals>",  # made when the module is imported, before it is broken
)  # fmt: skip


def run(number: int) -> Result:
    return quietly(lambda: Program(plan(bool(number)), Silent()).run())


def watched(number: int, folder: Path) -> tuple[Result, Report]:
    vain._files.clear()  # or what reads a file would run in the first trial only
    session = Session(Config(folder=str(folder), lines=3), "program.py")
    session.search = False
    session.start()
    error = None
    try:
        result = run(number)
    except BaseException as raised:
        error = raised
    report = session.stop("failed" if error else "done", error)
    if error is not None:
        raise error
    return result, report


EXEMPT = {
    # made by `watch(...)` itself, before the program's block: empty tables
    "check/allow.py:Regions.__init__", "record/places.py:Places.__init__",
    "rules/base.py:Bench.__init__", "rules/base.py:Cases.__init__",
    "check/chronicle/__init__.py:Chronicler.__init__", "check/session.py:Session.__init__",
    "check/chronicle/cycles.py:Cycles.__init__", "check/chronicle/fates.py:Fates.__init__",
    "check/chronicle/losses.py:Losses.__init__", "check/chronicle/phases.py:Phases.__init__",
    "check/chronicle/tally.py:Tally.__init__", "record/places.py:library_folders",
    "model/course.py:Surveyor.__init__", "model/repeats.py:Repeats.__init__",
    "model/newest.py:Newest.__init__",
    # what was asked for is looked up, and refused, before anything is watched
    "rules/selection.py:select", "rules/selection.py:matching", "rules/selection.py:_exactness",
    "config.py:launched", "record/places.py:_working_folder",
    # the very places that catch, and that take out what was put in
    "check/session.py:Session.start", "check/session.py:Session.stop",
    "check/session.py:Session.guarded", "record/recorder.py:Recorder.remove",
    "record/wrap.py:replace.<locals>.undo", "record/clip.py:_clip.<locals>.wrapper",
    "record/forwards.py:inner_call", "record/functions.py:_dropout.<locals>.call",
    "record/stepping.py:_steps.<locals>.before", "record/stepping.py:_steps.<locals>.after",
    "record/wrap.py:around.<locals>.wrapper", "record/wrap.py:note",
    "record/wrap.py:overhear.<locals>.call",
    "record/silence.py:unheard.<locals>.inside",
    "record/module_calls.py:_module_calls.<locals>.call",
    "record/module_calls.py:_module_calls.<locals>.full",
    "record/clears.py:_clears.<locals>.zero_grad", "record/batches.py:install.<locals>.give",
    "record/modes.py:_outermost.<locals>.switch",
    "record/counting.py:counting.<locals>.wrapper",
    "record/grad_modes.py:_outside_steps.<locals>.switch",
    "record/stepping.py:_steps.<locals>.begins",
    "record/listening.py:Listening.__torch_function__", "record/wrap.py:hearing.<locals>.wrapper",
    "record/cuts.py:_outside_steps.<locals>.cut", "record/scaling.py:_calls.<locals>.call",
    "record/writers.py:_writer.<locals>.write", "record/writers.py:_average.<locals>.average",
    "record/lines.py:Traced.remove", "record/placing.py:Placing.finish",
    # in them, before anything is tried: an attribute or a clock is read, the trace function put
    # aside, or the program's own generator gone through
    "record/cadence.py:Cadence.may_look", "record/recorder.py:Recorder.leave",
    "record/stopwatch.py:Clock.start", "record/stopwatch.py:Clock.stop",
    "record/resting.py:rest", "record/resting.py:wake", "record/wrap.py:_kept",
}  # fmt: skip


# what several rules call for their words: none of the causes is told then, and what follows is
UNEXPLAINED = {"model/roster.py:Roster.variable": {"SL601"}}


def test_a_fault_anywhere_in_steplens_leaves_the_program_as_it_is(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    plain = [run(0), run(1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole: list[Report] = []
        for which in (0, 1):
            result, report = watched(which, tmp_path)
            assert differences(plain[which], result) == []
            assert report.faults == []
            whole.append(report)
        places = {
            breaking.name_of(code): (which, function, code)
            for which in (1, 0)
            for function, code in breaking.places(partial(watched, which, tmp_path))
        }
        before, wrong = standing(), []
        for number, name in enumerate(sorted(places)):
            if number % EVERY == 0:
                wrong += trial(*places[name], plain, whole, before, tmp_path)
    assert wrong == []
    print(f"{len(range(0, len(places), EVERY))} of {len(places)} functions made to fail")


def trial(
    which: int,
    function: FunctionType,
    code: CodeType,
    plain: list[Result],
    whole: list[Report],
    before: dict[str, object],
    folder: Path,
) -> list[str]:
    """One function fails throughout: what is wrong then."""
    name = breaking.name_of(code)
    how = list(breaking.ERRORS)[crc32(name.encode()) % len(breaking.ERRORS)]
    if name.rpartition(":")[0] in EXEMPT:
        return []
    wrong: list[str] = []
    try:
        with breaking.broken(function, code, how):
            result, report = watched(which, folder)
    except BaseException as error:
        return [f"{name} ({how}): {type(error).__name__} reached the program"]
    if differences(plain[which], result):
        wrong.append(f"{name} ({how}): another result, {differences(plain[which], result)[:3]}")
    false = {f.code for f in report.findings} - {f.code for f in whole[which].findings}
    if false - UNEXPLAINED.get(name.rpartition(":")[0], set()):
        wrong.append(f"{name} ({how}): told {false}, which the whole run does not")
    if not report.faults and not name.startswith(QUIET):
        wrong.append(f"{name} ({how}): not named")
    after = standing()
    left = changed(before, after)
    before.update(after)
    if left:
        wrong.append(f"{name} ({how}): left behind {left[:3]}")
    return wrong


if __name__ == "__main__":
    pytest.main([__file__, "-s"])
