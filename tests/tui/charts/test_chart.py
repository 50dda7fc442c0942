import math

from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers.histories import short_history
from tests.helpers.scores import division_hit
from tmssl.runs.events import Eval, Segment, Step
from tmssl.runs.main_figure import BEFORE
from tui.charts.chart import (
    Chart,
    Series,
    evaluation_chart,
    learning_rate_chart,
    loss_chart,
    planned_learning_rates,
)
from tui.charts.render import render_string
from tui.options import PLAIN, DisplayOptions

Floats = st.floats(allow_nan=True, allow_infinity=True) | st.none()


@given(st.lists(st.tuples(Floats, Floats), max_size=30), st.booleans())
@example([(-2.2e-313, None), (0.0, 0.0)], False)
def test_no_data_breaks_a_chart(points: list[tuple[float | None, float | None]], log: bool) -> None:
    x = tuple(math.nan if a is None else a for a, _ in points)
    y = tuple(math.nan if b is None else b for _, b in points)
    render_string(Chart("any", (Series("a", x, y, "cyan"),), log=log), 60, 12)


def test_a_chart_is_as_large_as_asked() -> None:
    lines = render_string(Chart("t", (Series("a", (1, 2, 3), (1, 4, 2), "cyan"),)), 50, 12, PLAIN)
    rows = lines.rstrip("\n").split("\n")
    assert len(rows) == 12
    assert all(len(row) <= 50 for row in rows)


def test_missing_losses_are_gaps_with_a_badge() -> None:
    wanted = short_history()
    wanted.add([Step(step=61, epoch=6.1, loss=None, lr=0.1, t=2000.0)])
    chart = loss_chart(wanted, axis="step", weight=0.9)
    assert len(chart.nonfinite) == 1
    assert "1 not finite" in render_string(chart, 80, 12, PLAIN)


def test_the_loss_stands_beside_its_chance_level() -> None:
    chart = loss_chart(short_history(), axis="epoch", weight=0.9)
    assert [line.name for line in chart.series] == ["chance 5.55", "raw", "smoothed"]
    assert set(chart.series[0].y) == {5.55}


def test_the_plan_ahead_follows_the_closed_form_to_the_end() -> None:
    history = short_history(30)
    segment = history.segment
    assert segment is not None
    points = planned_learning_rates(segment, history.step, 20)
    assert points[0][0] == 30
    assert points[-1][0] == 99
    assert points[0][1] > points[-1][1]
    assert [line.name for line in learning_rate_chart(history, axis="step").series] == [
        "past",
        "planned",
    ]
    assert planned_learning_rates(Segment(config={"x": 1}, epochs=9, steps_per_epoch=9), 0, 5) == []


def test_an_ascii_chart_is_ascii() -> None:
    chart = loss_chart(short_history(), axis="epoch", weight=0.9)
    assert render_string(chart, 80, 12, DisplayOptions(ascii=True, colour=False)).isascii()


def test_the_levels_beside_one_evaluation_are_lines_from_the_first_epoch() -> None:
    history = short_history()
    score = division_hit(0.75, 0.25, {BEFORE: 0.5})
    history.add([Eval(epoch=4, scores=[score])])
    chance, before, value = evaluation_chart(history).series
    assert (list(chance.x), list(chance.y)) == ([0, 4], [0.25, 0.25])
    assert (list(before.x), list(before.y)) == ([0, 4], [0.5, 0.5])
    assert list(value.x) == [4]
