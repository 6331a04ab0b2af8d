"""The whole run in stretches: bounded, and exact in its counts."""

from msgspec.structs import replace

from steplens.model import event as ev
from steplens.model.course import STRETCHES, Course, Span, Surveyor
from steplens.model.site import Site
from steplens.model.timeline import AROUND, HEAD, TAIL, Timeline

SITE = Site("train.py", 9)
NAN = float("nan")


def run(steps: int) -> Course:
    course = Course()
    surveyor = Surveyor(course)
    for step in range(steps):
        index = 3 * step
        surveyor.hear(ev.Forward(index, step, SITE, 0, True, True, training=step % 10 != 9))
        surveyor.hear(ev.Step(index + 1, step, replace(SITE, line=11), 0, (), lrs=(0.1, 0.2)))
        surveyor.hear(
            ev.Values(index + 2, step + 1, None, index + 1, loss=1 / (step + 1), gradient=2.0)
        )
    return course


def test_a_short_run_keeps_every_event_apart() -> None:
    course = run(3)
    assert course.width == 1
    assert [each.number for each in course.stretches] == [0, 1, 3, 4, 6, 7]
    assert course.stretches[1].loss == Span(1.0, 1.0, 1.0)


def test_a_long_run_is_bounded_and_loses_no_count() -> None:
    course = run(50_000)
    assert len(course.stretches) <= STRETCHES
    assert course.width == 256
    assert sum(each.counts["forward"] for each in course.stretches) == 50_000
    assert sum(each.evals for each in course.stretches) == 5_000
    assert course.calls == {"train.py:9": {"forward": 50_000}, "train.py:11": {"step": 50_000}}


def test_a_stretch_tells_the_least_the_largest_and_the_last_value() -> None:
    course = run(50_000)
    losses = [each.loss for each in course.stretches if each.loss is not None]
    assert losses[0].high == 1.0
    assert losses[-1].last == losses[-1].low == 1 / 50_000
    assert course.stretches[5].rates["0.1"] == Span(0.2, 0.2, 0.2)


def test_values_that_are_not_finite_are_counted() -> None:
    course = Course()
    Surveyor(course).hear(ev.Values(5, 1, None, 4, loss=None, loss_finite=False, gradient=NAN))
    (stretch,) = course.stretches
    assert stretch.loss == Span(bad=1)
    assert stretch.gradient == Span(bad=1)
    assert stretch.number == 4


def test_the_events_before_a_finding_are_kept_in_the_middle_of_a_long_run() -> None:
    timeline = Timeline()
    for index in range(20_000):
        timeline.append(ev.Forward(index, 0, SITE, 0, True, True, True))
        if index == 9_000:
            timeline.keep()
    kept = [event.index for event in timeline.events]
    assert set(range(9_000 - AROUND + 1, 9_001)) <= set(kept)
    assert kept == sorted(set(kept))
    assert timeline.dropped == 20_000 - HEAD - AROUND - TAIL


def test_a_loss_that_the_backward_told_is_taken_once() -> None:
    course = Course()
    surveyor = Surveyor(course)
    surveyor.hear(ev.Backward(0, 0, SITE, (0,), loss=0.5))
    surveyor.hear(ev.Values(2, 1, None, 1, loss=0.5, gradient=1.0))
    assert [(each.number, each.loss) for each in course.stretches] == [
        (0, Span(0.5, 0.5, 0.5)),
        (1, None),
    ]
