"""Charts as a person reads them: nothing lost, nothing that breaks them, the same cells at every size."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.histories import history_of
from tmssl.runs.events import Segment, Step
from tui.charts.axes import hours_label, label, log_ticks, round_limits, ticks
from tui.charts.chart import Chart, Series, loss_chart, metric_chart
from tui.charts.chart_widget import value_at
from tui.charts.curves import STEP_FIELDS, ColumnCache, read_curves, smoothed, smoothing_unit
from tui.charts.raster import braille, dots, ordered, spans, thinned
from tui.charts.render import RenderedChart, render_chart, render_string
from tui.charts.run_charts import RenderRequest, render_charts, whole_range
from tui.charts.view_state import ViewState
from tui.options import FULL, PLAIN, DisplayOptions

numbers = st.floats(-1e6, 1e6)


def slow_spans(
    x: list[float], y: list[float], edges: list[float]
) -> list[tuple[float, float] | None]:
    """The obvious way: every point, and where each stretch of line crosses the borders."""
    spans_found: list[tuple[float, float] | None] = []
    for low, high in itertools.pairwise(edges):
        inside = [b for a, b in zip(x, y, strict=True) if low <= a <= high and not math.isnan(b)]
        inside += [
            y[i] + (y[i + 1] - y[i]) * (edge - x[i]) / (x[i + 1] - x[i])
            for i in range(len(x) - 1)
            for edge in (low, high)
            if x[i] < edge < x[i + 1]
        ]
        inside = [value for value in inside if not math.isnan(value)]
        spans_found.append((min(inside), max(inside)) if inside else None)
    return spans_found


@given(
    st.lists(
        st.tuples(st.integers(0, 50), numbers | st.just(math.nan)),
        max_size=40,
        unique_by=lambda p: p[0],
    )
)
def test_spans_are_those_of_the_obvious_way(points: list[tuple[int, float]]) -> None:
    x, y = ordered([a for a, _ in points], [b for _, b in points])
    edges = [-0.5 + 3.71 * i for i in range(16)]  # no point lies on a border
    low, high = spans(x, y, np.array(edges))
    for at, expected in enumerate(slow_spans(x.tolist(), y.tolist(), edges)):
        if expected is None:
            assert math.isnan(low[at])
        else:
            assert (low[at], high[at]) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(st.lists(numbers, min_size=1, max_size=400), st.integers(1, 40))
def test_thinning_keeps_the_ends_and_every_extreme(values: list[float], buckets: int) -> None:
    x, y = thinned(np.arange(float(len(values))), np.array(values), buckets)
    assert (y[0], y[-1]) == (values[0], values[-1])
    assert (min(y), max(y)) == (min(values), max(values))
    assert x.tolist() == sorted(x)
    assert len(x) <= 4 * buckets + 4 or len(values) <= 4 * buckets


@given(st.lists(numbers | st.just(math.nan), max_size=300), st.sampled_from([0.0, 0.6, 0.9, 0.99]))
def test_smoothing_is_the_recursion(values: list[float], weight: float) -> None:
    mean, share, expected = 0.0, 0.0, []
    for value in values:
        if not math.isnan(value):
            mean, share = weight * mean + (1 - weight) * value, weight * share + 1 - weight
        expected.append(math.nan if math.isnan(value) else mean / share)
    assert smoothed(np.array(values), weight) == pytest.approx(expected, nan_ok=True, abs=1e-6)


@given(
    st.lists(st.tuples(st.integers(1, 10_000), numbers), min_size=1, max_size=60),
    st.sampled_from([0.6, 0.9, 0.99]),
)
def test_smoothing_weighs_a_point_by_its_distance(
    points: list[tuple[int, float]], weight: float
) -> None:
    places = list(itertools.accumulate(gap for gap, _ in points))
    values = [value for _, value in points]
    unit = smoothing_unit(places[0], places[-1], len(places))
    for at, mean in enumerate(smoothed(np.array(values), weight, np.array(places, float))):
        weights = [weight ** ((places[at] - place) / unit) for place in places[: at + 1]]
        expected = sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights)
        assert mean == pytest.approx(expected, abs=1e-6, rel=1e-9)


def test_eleven_epochs_are_drawn_where_they_are() -> None:
    losses = np.array([7.0] * 10 + [4.79])
    places = 525.0 * np.array([*range(11, 21), 25])
    assert smoothed(losses, 0.9, places)[-1] == pytest.approx(4.79, abs=0.15)


def test_a_dot_is_a_bit_of_its_braille_character() -> None:
    grid = np.zeros((4, 2), dtype=bool)
    for bit, place in enumerate(((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1))):
        grid[:] = False
        grid[place] = True
        assert braille(grid)[0, 0] == 1 << bit


@pytest.mark.parametrize("spike_at", [1, 54_321, 99_999])
def test_a_spike_of_one_sample_among_100_000_is_seen(spike_at: int) -> None:
    y = np.ones(100_000)
    y[spike_at] = 9.0
    x = np.arange(100_000.0)
    assert dots(x, y, (0, 99_999), (1, 9), 100, 40)[0].sum() == 1
    drawn = render_chart(Chart("t", (Series("a", x, y, "cyan"),)), 60, 12)
    assert drawn.plot is not None
    top = drawn.lines[drawn.plot.top].plain[drawn.plot.left :]
    above = [drawn.lines[row].plain[drawn.plot.left :] for row in range(1, 4)]
    assert any(set(line) - {" "} for line in above), top


def test_the_picture_of_few_points_is_the_line_between_them() -> None:
    grid = dots(np.array([0.0, 9.0]), np.array([0.0, 9.0]), (0, 9), (0, 9), 10, 10)
    assert grid.sum(axis=0).min() >= 1
    assert grid[9, 0]
    assert grid[0, 9]


def test_gaps_stay_open_and_are_counted_and_marked() -> None:
    history = history_of(100)
    history.add([Step(step=101 + i, epoch=10.1 + i / 10, loss=None, t=9e3 + i) for i in range(60)])
    history.add([Step(step=161, epoch=16.1, loss=2.0, t=1e4)])
    data = loss_chart(history, axis="epoch", weight=0.9)
    assert len(data.nonfinite) == 60
    drawn = render_chart(data, 90, 14, PLAIN)
    assert drawn.plot is not None
    assert "! 60 not finite" in drawn.lines[0].plain
    bottom = drawn.lines[drawn.plot.top + drawn.plot.rows - 1].plain[drawn.plot.left :]
    assert "xxxxxxxx" in bottom
    middle = drawn.plot.column_of(13.0) + drawn.plot.left
    rows = [drawn.lines[drawn.plot.top + r].plain[middle] for r in range(drawn.plot.rows - 1)]
    assert {sign for sign in rows if sign != " "} <= set(map(chr, range(0x2800, 0x2900)))
    curve = Chart("t", (Series("a", *ordered([0, 1, 2, 3], [1, math.inf, math.nan, 1]), "cyan"),))
    gap = render_chart(curve, 60, 10, PLAIN)
    assert gap.plot is not None
    assert gap.lines[-3].plain.count(" ") > 20 or gap.lines[5].plain.count(" ") > 20


wild = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(st.tuples(wild, wild), max_size=30),
    st.booleans(),
    st.booleans(),
    st.integers(0, 90),
    st.integers(0, 30),
    st.none() | st.tuples(numbers, st.floats(1e-3, 1e6)),
)
def test_no_data_breaks_a_chart_of_any_size(
    points: list[tuple[float, float]],
    log: bool,
    clipped: bool,
    width: int,
    height: int,
    window: tuple[float, float] | None,
) -> None:
    shown = (window[0], window[0] + window[1]) if window else None
    line = Series("a", [a for a, _ in points], [b for _, b in points], "cyan")
    data = Chart("t", (line,), (0.0,), log, [0.0], shown, "epoch", clipped=clipped)
    for look in (FULL, DisplayOptions(ascii=True, colour=False)):
        drawn = render_chart(data, width, height, look)
        assert len(drawn.lines) in (0, 3, height)
        assert all(text.cell_len <= max(width, 26) for text in drawn.lines)


def test_colour_is_left_out_and_ascii_is_ascii() -> None:
    data = loss_chart(history_of(), axis="epoch", weight=0.9)
    assert "\x1b" not in render_string(data, 80, 14, PLAIN)
    assert "\x1b[" in render_string(data, 80, 14)
    plain = render_string(data, 80, 14, DisplayOptions(ascii=True, colour=False))
    assert plain.isascii()
    assert "- chance 5.50" in plain
    assert plain.count("-") > 100


def test_a_logarithmic_axis_leaves_out_what_is_not_positive() -> None:
    line = Series("a", [1, 2, 3, 4], [0.0, -1.0, 10.0, 1000.0], "cyan")
    drawn = render_string(Chart("t", (line,), log=True), 60, 14, PLAIN)
    assert "(log)" in drawn
    assert "100" in drawn
    nothing = Series("a", [1], [0.0], "cyan")
    assert "nothing to draw" in render_string(Chart("t", (nothing,), log=True), 60, 14, PLAIN)


def test_segments_are_marked_and_the_chance_level_steps_with_them() -> None:
    history = history_of(300, resumed_at=151)
    data = loss_chart(history, axis="epoch", weight=0.9)
    assert data.segment_starts == (15.0,)
    assert data.series[0].y == [5.5, 5.5, 4.0, 4.0]
    assert "┊" in render_string(data, 80, 14, PLAIN)


@pytest.mark.parametrize("name", [*(f for f in STEP_FIELDS if f not in ("loss", "lr"))])
def test_every_figure_has_a_chart(name: str) -> None:
    curves = read_curves(history_of())
    data = metric_chart(curves, "title", name, axis="time", weight=0.9)
    assert "title" in render_string(data, 60, 10, PLAIN)
    assert len(data.series) == 2


def test_a_cache_follows_a_history_that_grows_and_one_that_was_cut() -> None:
    history, cache = history_of(100), ColumnCache()
    first = read_curves(history, cache)
    history.add([Step(step=101, epoch=10.1, loss=7.0)])
    second = read_curves(history, cache)
    assert (len(first.step), len(second.step)) == (100, 101)
    assert second.columns["loss"][-1] == 7.0
    history.add([Segment(step=50, epoch=5.0), Step(step=51, loss=1.0)])
    third = read_curves(history, cache)
    assert len(third.step) == 51
    assert third.columns["loss"][-1] == 1.0
    assert second.columns["loss"][-1] == 7.0  # what was handed out stays
    assert np.isnan(third.columns["lr"][-1])


def test_several_runs_lie_over_each_other_with_a_letter_each() -> None:
    first, second = (
        read_curves(history_of(), name="one"),
        read_curves(history_of(200, spike_at=50), name="two\x1b[2J"),
    )
    drawn = render_string(
        loss_chart(first, axis="epoch", weight=0.9, others=[second]), 90, 16, PLAIN
    )
    assert "A one" in drawn.splitlines()[0]
    assert "B two␛[2J" in drawn.splitlines()[0]
    assert sum("A" in line for line in drawn.splitlines()[1:]) == 1
    assert sum("B" in line for line in drawn.splitlines()[1:]) == 1


def drawn_chart(view: ViewState, name: str = "loss", width: int = 80) -> RenderedChart:
    request = RenderRequest("r", history_of(1000, spike_at=150), view, {name: (width, 16)}, FULL)
    return render_charts(request, ColumnCache()).charts[name]


def test_the_crosshair_reads_the_nearest_point_and_what_lies_under_its_column() -> None:
    drawn = drawn_chart(ViewState(axis="step", weight=0.0))
    line = drawn.chart.series[1]
    assert value_at(drawn, line, 150.0) == "90.00 (4.532 to 90.00)"
    close = drawn_chart(ViewState(axis="step", weight=0.0, window=(145.0, 155.0)))
    assert value_at(close, close.chart.series[1], 150.2) == "90.00"
    assert value_at(close, close.chart.series[1], 149.1) == "4.553"
    assert value_at(drawn, line, 1e9) == ""


def test_a_level_far_away_does_not_flatten_what_was_zoomed_to() -> None:
    drawn = drawn_chart(ViewState(axis="step", window=(900.0, 1000.0)))
    assert drawn.plot is not None
    ticks_shown = [
        row.plain[: drawn.plot.left].strip("│┤└ ") for row in drawn.lines[1 : 1 + drawn.plot.rows]
    ]
    assert max(float(tick) for tick in ticks_shown if tick) < 4.0


def test_zooming_keeps_the_point_in_place_and_ends_at_the_whole() -> None:
    view, all_of_it = ViewState(), (0.0, 100.0)
    closer = view.zoomed(2.0, all_of_it, all_of_it, 50.0)
    assert closer.window == (25.0, 75.0)
    assert view.zoomed(2.0, all_of_it, all_of_it, None).window == (50.0, 100.0)
    assert closer.zoomed(0.4, (25.0, 75.0), all_of_it, 50.0).window is None
    assert closer.panned(10.0, (25.0, 75.0), all_of_it).window == (50.0, 100.0)
    assert view.panned(0.1, all_of_it, all_of_it) == view
    deep = view
    for _ in range(100):
        deep = deep.zoomed(2.0, deep.window or all_of_it, all_of_it, 30.0)
    assert deep.window is not None
    assert deep.window[1] > deep.window[0]


def test_the_crosshair_carries_the_window_over_its_border() -> None:
    view = ViewState(window=(40.0, 60.0))
    moved = view.with_cursor(61.0, (40.0, 60.0), (0.0, 100.0))
    assert moved.window is not None
    assert moved.window[0] <= 61.0 <= moved.window[1]
    assert view.with_cursor(None, (0.0, 1.0), (0.0, 1.0)).cursor is None


def test_another_axis_shows_the_same_part_of_the_run() -> None:
    curves = read_curves(history_of())
    view = ViewState(axis="epoch", window=(10.0, 20.0), cursor=15.0).next_axis(curves)
    assert (view.axis, view.window, view.cursor) == ("step", (100.0, 200.0), 150.0)
    assert view.next_axis(curves).axis == "time"


def test_the_plan_reaches_to_the_end_and_the_loss_to_the_newest() -> None:
    curves = read_curves(history_of())
    assert whole_range("lr", curves, ViewState()) == (0.1, 40.0)
    assert whole_range("loss", curves, ViewState()) == (0.1, 30.0)


@given(numbers, st.floats(1e-2, 1e9), st.integers(2, 20))
def test_ticks_are_round_inside_and_few(low: float, span: float, count: int) -> None:
    low, high = round_limits(low, low + span)
    assert low < high
    places = ticks(low, high, count)
    assert len(places) <= count + 1
    assert all(low - span * 1e-6 <= place <= high + span * 1e-6 for place in places)
    assert all(len(label(place, high - low)) <= 10 for place in places)


def test_limits_stay_while_a_curve_grows() -> None:
    limits = {round_limits(0.0, 1000.0 + i, 40) for i in range(100)}
    assert len(limits) <= 8


@pytest.mark.parametrize(
    ("value", "span", "words"),
    [
        (0.0, 1.0, "0"),
        (0.025, 0.1, "0.025"),
        (12_000, 50_000, "12k"),
        (2_500_000, 5e6, "2.5M"),
        (0.0003, 0.0003, "3e-4"),
        (5.5, 2.0, "5.5"),
        (30.0, 40.0, "30"),
    ],
)
def test_labels_are_short(value: float, span: float, words: str) -> None:
    assert label(value, span) == words


@pytest.mark.parametrize(
    ("hours", "span", "words"),
    [
        (0.0, 5.0, "0h"),
        (2.5, 5.0, "2h30"),
        (0.25, 1.0, "15m"),
        (0.01, 0.02, "36s"),
        (96.0, 100.0, "4d"),
    ],
)
def test_hours_are_told_as_a_person_would(hours: float, span: float, words: str) -> None:
    assert hours_label(hours, span) == words


@pytest.mark.parametrize(
    ("low", "high"), [(-3.0, 2.0), (0.1, 0.9), (0.0, 0.1), (-150.0, 150.0), (0.30, 0.31)]
)
def test_exponents_have_ticks(low: float, high: float) -> None:
    assert len(log_ticks(low, high, 4)) >= 2
