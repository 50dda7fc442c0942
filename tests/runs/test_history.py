import msgspec
import pytest

from tmssl.runs.events import Axes, End, Epoch, Event, Finding, Segment, Started, Step, Views
from tmssl.runs.history import (
    History,
    caching_text,
    fitting_text,
    read_history,
    state,
    summary,
)


def segment(number: int, step: int, **more: object) -> Segment:
    facts = {"epochs": 10, "steps_per_epoch": 10, "chance": 5.0, **more}
    return Segment(number=number, step=step, epoch=step / 10, **facts)  # type: ignore[arg-type]  # plain facts


def test_after_a_resume_the_later_life_of_a_step_wins() -> None:
    events: list[Event] = [
        segment(0, 0),
        *(Step(step=i, loss=1.0) for i in range(1, 26)),
        Epoch(epoch=1, step=10),
        Epoch(epoch=2, step=20),
        segment(1, 10),
        *(Step(step=i, loss=2.0) for i in range(11, 14)),
    ]
    history = read_history(events)
    assert [step.step for step in history.steps] == list(range(1, 14))
    assert [step.loss for step in history.steps] == [1.0] * 10 + [2.0] * 3
    assert [epoch.epoch for epoch in history.epochs] == [1]
    assert history.step == 13


def test_steps_that_repeat_without_a_segment_are_replaced_too() -> None:
    history = read_history([Step(step=1, loss=1), Step(step=2, loss=1), Step(step=2, loss=3)])
    assert [step.loss for step in history.steps] == [1, 3]


@pytest.mark.parametrize(
    ("events", "alive", "expected"),
    [
        ([], True, "waiting"),
        ([], False, "waiting"),
        ([segment(0, 0)], True, "running"),
        ([segment(0, 0)], False, "dead"),
        ([segment(0, 0), End(status="stopped")], False, "stopped"),
        ([segment(0, 0), End(status="stopped"), segment(1, 0)], True, "running"),
        ([segment(0, 0), End(status="finished"), segment(1, 0)], False, "dead"),
    ],
)
def test_states(events: list[Segment | End], alive: bool, expected: str) -> None:
    assert state(read_history(list(events)), alive) == expected


def test_time_left_is_steps_times_pace() -> None:
    history = read_history([segment(0, 0), *(Step(step=i, step_s=2.0) for i in range(1, 51))])
    assert history.seconds_left() == 100
    assert history.epoch == 5
    assert History().seconds_left() is None


def test_time_left_follows_the_clock_of_the_last_minutes() -> None:
    """A step takes 0.1 s by itself, and 2 s with the evaluations beside it."""
    fast = [Step(step=i, step_s=0.1, t=1000 + 0.1 * i) for i in range(1, 100)]
    slow = [Step(step=i, step_s=0.1, t=1010 + 2.0 * (i - 100)) for i in range(100, 301)]
    history = read_history([segment(0, 0), *fast, *slow])
    assert history.seconds_per_step() == pytest.approx(2.0)
    history.add([segment(1, 300), *(Step(step=i, step_s=3.0, t=5000.0) for i in range(301, 311))])
    assert history.seconds_per_step() == 3.0  # a clock that stands still says nothing


def test_the_segment_of_a_step_is_the_one_that_made_it() -> None:
    history = read_history([segment(0, 0), segment(1, 10)])
    for step, number in ((1, 0), (10, 0), (11, 1)):
        found = history.segment_at(step)
        assert found is not None
        assert found.number == number


def test_the_summary_holds_what_every_view_shows() -> None:
    history = read_history(
        [
            Started(name="r"),
            segment(0, 0),
            Step(step=5, loss=4.0, data_s=0.1, step_s=1.0, t=100.0),
            Finding(code="x", text="seen", advice="do"),
        ]
    )
    told = summary(history, alive=True, now=130.0)
    assert told["name"] == "r"
    assert told["state"] == "running"
    assert told["loss"] == 4.0
    assert told["data_share"] == 0.1
    assert told["seconds_since_write"] == 30.0
    assert told["finding"] == "seen"
    assert summary(History(), alive=False)["state"] == "waiting"


def test_a_resume_before_an_earlier_segment_takes_its_steps_over() -> None:
    history = read_history([segment(0, 0), segment(1, 20), segment(2, 10)])
    for step, number in ((5, 0), (10, 0), (15, 2), (25, 2)):
        found = history.segment_at(step)
        assert found is not None
        assert found.number == number


def test_a_journal_of_epochs_alone_is_drawn_by_its_epochs() -> None:
    history = read_history([Segment(steps_per_epoch=5), Epoch(epoch=3, step=15, loss=2.0, lr=0.1)])
    assert [(point.step, point.epoch, point.loss) for point in history.points] == [(15, 3.0, 2.0)]
    history.add([Step(step=16, loss=1.9)])
    assert [point.step for point in history.points] == [16]


@pytest.mark.parametrize("status", ["", "stoppedNaN", "paused", "running"])
def test_an_end_in_words_that_nobody_knows_is_a_stop(status: str) -> None:
    assert state(read_history([End(status=status, reason="", t=1.0)]), alive=False) == "stopped"


def test_views_are_being_computed_until_all_are_there_or_a_step_is_done() -> None:
    history = read_history([segment(0, 0)])
    assert history.caching is None
    part = Views(done=300, total=1000, found=100, seconds=2.0, seconds_left=7.0, gib=0.1, t=2000.0)
    history.add([part])
    assert history.caching == part
    assert caching_text(part) == "computing views 300/1,000 (30 %), 100/s, ETA 7s"
    told = summary(history, alive=True, now=2010.0)
    assert (told["views_done"], told["views_total"], told["views_seconds_left"]) == (300, 1000, 7)
    assert told["seconds_since_write"] == 10
    done = msgspec.structs.replace(part, done=1000)
    assert read_history([history.segments[0], done]).caching is None
    assert read_history([history.segments[0], part, Step(step=1)]).caching is None
    assert read_history([history.segments[0], part, End(status="failed")]).caching is None
    assert read_history([history.segments[0], part, segment(1, 0)]).views is None


def test_the_whitening_is_being_fitted_until_the_segment_that_waits_for_it_opens() -> None:
    axes = Axes(done=512, total=4096, seconds=4.0, seconds_left=28.0, t=2000.0)
    history = read_history([Started(name="run"), axes])
    assert history.axes == axes
    assert fitting_text(axes) == "fitting the whitening 512/4,096 (12 %), 128/s, ETA 28s"
    assert history.written_at() == 2000
    assert read_history([axes, segment(0, 0)]).axes is None
    assert read_history([axes, End(status="failed")]).axes is None
