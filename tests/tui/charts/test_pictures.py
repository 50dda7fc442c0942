import math

from hypothesis import given
from hypothesis import strategies as st

from tmssl.config import Config, changed, to_dict
from tmssl.runs.events import Epoch, Eval, Finding, Score, Segment, Step
from tmssl.runs.history import History, read_history
from tui.charts.chart import draw
from tui.charts.epoch_table import epoch_table
from tui.charts.pictures import (
    Line,
    Picture,
    evaluation_picture,
    loss_picture,
    planned_points,
    rate_picture,
)
from tui.live.words import (
    evaluation_words,
    figure_words,
    newest_finding,
    progress_words,
    state_words,
)
from tui.options import PLAIN, Look

Floats = st.floats(allow_nan=True, allow_infinity=True) | st.none()


def history(count: int = 60, epochs: int = 10) -> History:
    config = changed(Config(), {"epochs": epochs, "lr": 0.1, "warmup_epochs": 0.0})
    segment = Segment(
        config=dict(to_dict(config)),
        chance=5.55,
        solved=1.65,
        chance_ce=6.93,
        batch_size=1024,
        steps_per_epoch=10,
        epochs=epochs,
    )
    steps = [
        Step(
            step=i,
            epoch=i / 10,
            loss=5.5 - i / 40,
            ce=6.8,
            top1=i / 100,
            lr=0.1,
            grad_norm=1.0,
            img_s=100,
            data_s=0.01,
            step_s=1.0,
            feature_std=0.9,
            mem_gib=2.0,
            t=1000.0 + i,
        )
        for i in range(1, count + 1)
    ]
    return read_history([segment, *steps])


@given(st.lists(st.tuples(Floats, Floats), max_size=30), st.booleans())
def test_no_data_breaks_a_chart(points: list[tuple[float | None, float | None]], log: bool) -> None:
    x = tuple(math.nan if a is None else a for a, _ in points)
    y = tuple(math.nan if b is None else b for _, b in points)
    draw(Picture("any", (Line("a", x, y, "cyan"),), log=log), 60, 12)


def test_a_chart_is_as_large_as_asked() -> None:
    lines = draw(Picture("t", (Line("a", (1, 2, 3), (1, 4, 2), "cyan"),)), 50, 12, PLAIN)
    rows = lines.rstrip("\n").split("\n")
    assert len(rows) == 12
    assert all(len(row) <= 50 for row in rows)


def test_missing_losses_are_gaps_with_a_badge() -> None:
    wanted = history()
    wanted.add([Step(step=61, epoch=6.1, loss=None, lr=0.1, t=2000.0)])
    picture = loss_picture(wanted, axis="step", weight=0.9)
    assert picture.gaps == 1
    assert "1 not finite" in draw(picture, 80, 12, PLAIN)


def test_the_loss_stands_beside_its_chance_level() -> None:
    picture = loss_picture(history(), axis="epoch", weight=0.9)
    assert [line.name for line in picture.lines] == ["chance 5.55", "raw", "smoothed"]
    assert set(picture.lines[0].y) == {5.55}


def test_the_plan_ahead_follows_the_closed_form_to_the_end() -> None:
    told = history(30)
    segment = told.segment
    assert segment is not None
    points = planned_points(segment, told.step, 20)
    assert points[0][0] == 30
    assert points[-1][0] == 99
    assert points[0][1] > points[-1][1]
    assert [line.name for line in rate_picture(told, axis="step").lines] == [
        "past",
        "planned",
    ]
    assert planned_points(Segment(config={"x": 1}, epochs=9, steps_per_epoch=9), 0, 5) == []


def test_words_for_a_run_in_progress() -> None:
    told = history(60)
    assert state_words(told, alive=True) == "> running"
    assert "dead" in state_words(told, alive=False)
    words = progress_words(told, alive=True, width=80)
    assert words.startswith("epoch 6.00/10 [")
    assert "end in 40s" in words
    assert len(words) <= 80
    learning, machine = figure_words(told)
    assert "chance 5.550" in learning
    assert "data wait 1.0 %" in machine


def test_words_for_a_run_that_has_not_written() -> None:
    empty = History()
    assert "waiting" in state_words(empty, alive=True)
    assert progress_words(empty, alive=True, width=80) == "no segment yet"
    assert figure_words(empty) == ["", ""]
    assert "press e" in evaluation_words(empty)
    assert newest_finding(empty)[0] == "nothing to report"
    assert epoch_table(empty, 5).startswith("epoch")


def test_the_last_evaluation_keeps_its_chance_in_a_narrow_window() -> None:
    told = history()
    scores = [
        Score(
            metric="hit",
            level="division",
            codes="figurative",
            k=10,
            value=0.62,
            chance=0.41,
            references={"untrained": 0.48},
        ),
        Score(
            metric="group_recall",
            level="group",
            k=10,
            value=0.3,
            chance=0.003,
            references={"untrained": 0.1},
        ),
    ]
    told.add([Eval(epoch=6, scores=scores), Epoch(epoch=6, step=60, loss=4.0)])
    assert "untrained 0.48" in evaluation_words(told, 200)
    narrow = evaluation_words(told, 80)
    assert len(narrow) <= 80
    assert "chance 0.41" in narrow
    assert len(evaluation_picture(told).lines) == 2


def test_hostile_findings_are_made_safe() -> None:
    told = history()
    told.add([Finding(code="x", text="\x1b]52;c;evil\x07", advice="\x9b2J\u202e")])
    assert not any(
        ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for line in newest_finding(told) for c in line
    )


def test_an_ascii_chart_is_ascii() -> None:
    picture = loss_picture(history(), axis="epoch", weight=0.9)
    assert draw(picture, 80, 12, Look(ascii=True, colour=False)).isascii()
