"""A page of text over the curves of the runs that it is about, where there is room for both."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal

from tmssl.runs.folder import Run
from tui.runs.preview import RunPreview, chart_panel
from tui.widgets.text_screen import TextScreen


class ChartedPage(TextScreen):
    """Text, and below it some charts of one run or of several."""

    def __init__(
        self, title: str, lines: list[str], runs: tuple[Run, ...], charts: Sequence[str]
    ) -> None:
        """Show a text over charts.

        Args:
            title: heading of the text.
            lines: the text.
            runs: whose curves are drawn; the first is A.
            charts: names that `make_chart` takes, from the left.
        """
        super().__init__(title, lines)
        self._runs = runs
        self._charts = charts

    def compose_below(self) -> ComposeResult:
        """The charts, and what draws them."""
        yield Horizontal(*map(chart_panel, self._charts), id="below-runs")
        preview = RunPreview()
        preview.display = False  # it draws the charts; its own panels are of the list of runs
        yield preview

    @property
    def column_rows(self) -> int:
        """Rows of a column: some of the screen, so that the page leaves the rest to the charts."""
        low = self.has_class("-narrow") or not self.has_class("-tall")
        return super().column_rows if low else self.size.height // 3

    def on_line_static_resized(self) -> None:
        """Draw the charts for their sizes."""
        self.query_one(RunPreview).show(self._runs)
