"""The screen of findings: which are still true, and the piece of curve that each speaks of."""

import pytest

from tests.helpers.histories import history_of
from tmssl.runs.events import Finding
from tui.charts.curves import ColumnCache
from tui.live.finding_curve import CurveRequest, chart_name, draw_curves
from tui.live.findings import finding_details, finding_line
from tui.options import FULL
from tui.theme import COLOURS, colour_styles

FOUND = Finding(
    code="plateau", level="warning", text="it is flat", advice="lower it", step=150, epoch=15.0
)


def test_the_piece_has_the_finding_in_its_middle_and_the_whole_has_the_run() -> None:
    request = CurveRequest(FOUND, history_of(300), {"piece": (60, 12), "whole": (60, 12)}, FULL)
    charts = draw_curves(request, ColumnCache())
    piece, whole = (charts[name].plot for name in ("piece", "whole"))
    assert piece is not None
    assert whole is not None
    assert piece.x_limits == pytest.approx((12.0, 18.0), abs=0.1)
    assert whole.x_limits[0] <= 0.1 < 30 <= whole.x_limits[1]


def test_a_finding_beyond_the_curve_has_its_end() -> None:
    late = Finding(code="x", step=9999, epoch=999.0)
    charts = draw_curves(
        CurveRequest(late, history_of(300), {"piece": (60, 12)}, FULL), ColumnCache()
    )
    assert charts["piece"].plot is not None


def test_each_finding_has_the_chart_of_its_figure() -> None:
    assert chart_name(FOUND) == "loss"
    assert chart_name(Finding(code="collapse")) == "spread"
    assert chart_name(Finding(code="hash-finds-more")) == "hits"


def test_one_that_is_no_longer_true_is_quiet_and_says_so() -> None:
    style_of = colour_styles(FULL)
    now, past = (finding_line(FOUND, 150, style_of, stands=stands) for stands in (True, False))
    assert now.plain == past.plain
    assert "it is flat" in now.plain
    assert now.plain.endswith("-> lower it")
    assert any("on #" in str(span.style) for span in now.spans)
    assert [span.style for span in past.spans] == [COLOURS["quiet"][0]]
    assert "no longer so" in finding_details(FOUND, stands=False)
