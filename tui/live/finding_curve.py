"""The piece of curve that a finding speaks of, and where it is in the whole run."""

import dataclasses

from tmssl.runs.events import Finding
from tmssl.runs.findings.evaluation import EVALUATION_CODES
from tmssl.runs.history import History
from tui.charts.curves import ColumnCache, read_curves
from tui.charts.render import RenderedChart, render_chart
from tui.charts.run_charts import make_chart, whole_range
from tui.charts.view_state import ViewState
from tui.options import DisplayOptions

_CHARTS = {"collapse": "spread", "non-finite": "grad", "slow-momentum": "momentum"}
_SHARE = 0.2  # of the run that a piece shows
_LEAST_EPOCHS = 0.5


@dataclasses.dataclass(frozen=True)
class CurveRequest:
    """A finding, and the sizes of its charts."""

    finding: Finding
    history: History
    sizes: dict[str, tuple[int, int]]
    """columns and rows, with the line of the title, of `piece` and `whole`; those that are shown"""
    options: DisplayOptions


def chart_name(finding: Finding) -> str:
    """The chart of what a finding speaks of, by a name that `make_chart` takes: the loss unless it says otherwise."""
    return "hits" if finding.code in EVALUATION_CODES else _CHARTS.get(finding.code, "loss")


def draw_curves(request: CurveRequest, cache: ColumnCache) -> dict[str, RenderedChart]:
    """The charts of a request by their names; the piece has the finding in its middle."""
    curves = read_curves(request.history, cache)
    name, at = chart_name(request.finding), request.finding.epoch
    low, high = whole_range(name, curves, ViewState())
    half = max(_LEAST_EPOCHS, _SHARE * (high - low)) / 2
    begin = max(low, min(at - half, high - 2 * half))
    window = (begin, min(high, begin + 2 * half))
    views = {"piece": ViewState(window=window), "whole": ViewState()}
    return {
        part: render_chart(
            make_chart(name, curves, views[part], []), *size, request.options, framed=True
        )
        for part, size in request.sizes.items()
    }
