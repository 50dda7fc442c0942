"""The screen of a run's findings: each with its advice and the piece of curve that it speaks of."""

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.worker import get_current_worker

from tmssl.runs.events import Finding
from tmssl.runs.findings.standing import standing_findings
from tmssl.runs.history import History
from tmssl.text import count, safe
from tui.bindings import FINDINGS
from tui.charts.chart_widget import ChartWidget
from tui.charts.curves import ColumnCache
from tui.charts.render import RenderedChart
from tui.live.finding_curve import CurveRequest, draw_curves
from tui.live.messages import GoToStep
from tui.options import display_options
from tui.signs import badge, level_sign
from tui.theme import StyleOf, colour_styles
from tui.widgets.choices import Choices
from tui.widgets.panel import panel, set_title

_BADGE = 12  # cells
_ADVISED = 130  # cells of the list from which the advice stands beside the text
_TEXT = 70  # cells of the text there
_REST_S = 0.05  # that the cursor rests on a finding before its curve is drawn


def finding_line(finding: Finding, width: int, style_of: StyleOf, *, stands: bool = True) -> Text:
    """A finding as a line of the list: level, epoch, text, and its advice where there is room.

    One that is no longer true is quiet and has no badge.
    """
    sign = level_sign(finding.level)
    head = badge(sign, style_of, _BADGE) if stands else Text(f" {sign.text}".ljust(_BADGE))
    text = safe(finding.text)
    if width >= _ADVISED and finding.advice:
        text = f"{safe(finding.text, _TEXT):{_TEXT}}  -> {safe(finding.advice)}"
    quiet = "" if stands else style_of("quiet")
    return Text.assemble(head, (f"{finding.epoch:>8.4g}  {text}", quiet))


def finding_details(finding: Finding, *, stands: bool = True) -> str:
    """A finding in full: text, advice, code and step, and whether it is still true."""
    advice = f"-> {safe(finding.advice)}" if finding.advice else "no advice"
    past = "" if stands else "; no longer so"
    place = f"{safe(finding.code)}, at step {finding.step:,}{past}"
    return f"{safe(finding.text)}\n{advice}\n{place}"


class FindingsScreen(Screen[None]):
    """The list of findings, newest first, over the details of the one under the cursor."""

    BINDINGS = FINDINGS

    AUTO_FOCUS = "#findings"

    class Drawn(Message):
        """The curves of a finding are drawn."""

        def __init__(self, finding: Finding, charts: dict[str, RenderedChart]) -> None:
            super().__init__()
            self.finding = finding
            self.charts = charts

    def __init__(self, history: History) -> None:
        super().__init__()
        self._findings: tuple[Finding, ...] = ()
        self._standing: list[Finding] = []
        self._history = history
        self._cache = ColumnCache()

    def compose(self) -> ComposeResult:
        """The list, and below it the finding under the cursor with its curves."""
        yield panel(Choices(id="findings", compact=True))
        with Horizontal(id="about-finding-row"):
            yield panel(Static("", id="about-finding"), "the finding")
            for name in ("piece", "whole"):
                chart = ChartWidget(name)
                chart.can_focus = False
                yield chart
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the findings so far."""
        self.show_history(self._history)
        self.app.theme_changed_signal.subscribe(self, lambda _: self.show_history(self._history))

    def on_resize(self) -> None:
        """Make the lines anew for the width."""
        self.call_after_refresh(self.show_history, self._history)

    def show_history(self, history: History) -> None:
        """Show the findings of a history; the cursor stays on its finding."""
        self._history, self._findings = history, tuple(history.findings)
        self._standing = standing_findings(history)
        total = count(len(self._findings), "finding")
        summary = f"{total}, newest first" if self._findings else "nothing to report"
        choices = self.query_one(Choices)
        set_title(choices, summary)
        style_of, width = colour_styles(display_options(self.app)), choices.size.width
        lines = [
            (str(i), finding_line(finding, width, style_of, stands=finding in self._standing))
            for i, finding in enumerate(self._findings)
        ]
        choices.show(lines[::-1])
        self._show_details()

    @property
    def _chosen(self) -> Finding | None:
        name = self.query_one(Choices).chosen
        return self._findings[int(name)] if name else None

    @on(OptionList.OptionHighlighted, "#findings")
    def _show_details(self) -> None:
        """Show the details of the finding under the cursor."""
        finding = self._chosen
        about = "no finding so far"
        if finding is not None:
            about = finding_details(finding, stands=finding in self._standing)
            self._show_curves(finding)
        self.query_one("#about-finding", Static).update(Text(about))

    def on_chart_widget_resized(self) -> None:
        """Draw the curves for their new size."""
        if self._chosen is not None:
            self._show_curves(self._chosen)

    def _show_curves(self, finding: Finding) -> None:
        sizes = {
            str(w.id): (w.size.width, w.size.height + 1) for w in self.query(ChartWidget) if w.size
        }
        options = display_options(self.app)
        self._draw(CurveRequest(finding, self._history, sizes, options))

    @work(thread=True, exclusive=True, group="finding")
    def _draw(self, request: CurveRequest) -> None:
        """Draw once the cursor rests."""
        worker = get_current_worker()
        if not worker.cancelled_event.wait(_REST_S):
            charts = draw_curves(request, self._cache)
            if not worker.is_cancelled:
                self.post_message(self.Drawn(request.finding, charts))

    def on_findings_screen_drawn(self, message: Drawn) -> None:
        """Show the curves, with a crosshair at the finding."""
        if message.finding == self._chosen:
            for name, chart in message.charts.items():
                self.query_one(f"#{name}", ChartWidget).show(chart, message.finding.epoch)

    @on(OptionList.OptionSelected, "#findings")
    def action_go(self) -> None:
        """Show the step of the finding in the charts."""
        finding = self._chosen
        if finding is not None:
            self.post_message(GoToStep(finding.step))
