"""What a wide screen shows beside the list of runs: curves, the last evaluation, and its best matches."""

import collections
import dataclasses
import functools
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from tmssl.errors import InputError, JournalError
from tmssl.retrieval.evaluation.matches import QueryMatches
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tmssl.runs.journal import sample
from tmssl.runs.main_figure import beginning
from tmssl.text import number, safe
from tui.bars import bar
from tui.charts.curves import Curves, read_curves
from tui.charts.render import render_chart
from tui.charts.run_charts import OverlayRun, make_chart
from tui.charts.view_state import ViewState
from tui.matches.evaluations import LoadedEvaluation, load_evaluation, main_figures
from tui.matches.export import open_cached_pack
from tui.matches.match_grid import PageSpec, match_page
from tui.matches.query_list import filter_queries
from tui.options import DisplayOptions, display_options, picture_way, pixel_pictures
from tui.pictures.pixels import PixelPictures
from tui.theme import StyleOf, colour_styles
from tui.widgets.line_static import LineStatic
from tui.widgets.panel import panel, set_title

if TYPE_CHECKING:
    from tmssl.types import Pixels

_REST_S = 0.12  # that the cursor rests on a run before its files are read
_KEPT = 12  # runs whose curves stay in memory
_LARGE = 4 << 20  # bytes of a journal of which a sample is read
_FIGURES = 6  # of an evaluation
_MATCHES = 6  # of a query


class CurveReader:
    """The curves of the runs that were looked at last; a journal that grew is read on from where it was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a reading may overlap with the one that follows it
        self._read: collections.OrderedDict[Path, OverlayRun] = collections.OrderedDict()

    def read(self, run: Run) -> Curves:
        """The curves of a run; of a long journal a sample.

        Raises:
            JournalError: the journal cannot be read.
        """
        with self._lock:
            if run.journal.is_file() and run.journal.stat().st_size > _LARGE:
                history = History()
                history.add(sample(run.journal))
                return read_curves(history, name=run.name)
            known = self._read.pop(run.path, None) or OverlayRun(run)
            self._read[run.path] = known
            while len(self._read) > _KEPT:
                self._read.popitem(last=False)
            return known.read()


@dataclasses.dataclass(frozen=True)
class PreviewRequest:
    """Which runs to draw, and the sizes of the panels."""

    runs: tuple[Run, ...]
    """the one under the cursor, then the marked ones"""
    charts: Mapping[str, tuple[int, int]]
    """columns and rows of each chart by its name, with the line of its title"""
    figures: int
    """columns"""
    matches: tuple[int, int]
    options: DisplayOptions
    way: str
    """how pictures are drawn: one of `tui.pictures.ways.DRAWN`"""
    pixels: PixelPictures | None = None
    """where the app keeps what it shows in pixels"""


@dataclasses.dataclass(frozen=True)
class Matches:
    """The matches of one query as lines of text and pictures."""

    lines: tuple[Text, ...]
    evaluation: str = ""
    """its name; empty where there are no matches"""
    mark: "Pixels | None" = None
    """the query, uint8 (h, w, 3)"""


@dataclasses.dataclass(frozen=True)
class Preview:
    """The panels of one request as lines of text; the first line of a chart is its title."""

    request: PreviewRequest
    charts: Mapping[str, tuple[Text, ...]]
    figures: tuple[Text, ...]
    matches: "Matches"


def draw_preview(request: PreviewRequest, reader: CurveReader) -> Preview:
    """Read the runs of a request, and draw them."""
    style_of = colour_styles(request.options)
    run = request.runs[0]
    charts: dict[str, tuple[Text, ...]] = {}
    figures: tuple[Text, ...] = (Text("no evaluation yet"),)
    try:
        curves, *others = [reader.read(one) for one in request.runs]
    except (JournalError, OSError) as error:
        charts = {"loss": (Text("loss"), Text(safe(error)))}
    else:
        for name, size in request.charts.items():
            chart = make_chart(name, curves, ViewState(), others)
            charts[name] = render_chart(chart, *size, request.options, framed=True).lines
        if curves.evals:
            figures = figure_lines(curves.evals[-1], request.figures, style_of)
    matches = _best_matches(run, request) if request.matches[1] else Matches(())
    return Preview(request, charts, figures, matches)


def figure_lines(event: Eval, width: int, style_of: StyleOf) -> tuple[Text, ...]:
    """The main figures of an evaluation: name, value, chance, and a bar from chance to 1."""
    lines = []
    for name, score in main_figures(event, _FIGURES):
        head = f"{safe(name, 22):22}{number(score.value, 2):>6}"
        line = Text(head, no_wrap=True)
        line.append(f"{number(score.chance, 2):>7} ", style_of("reference"))
        cells = max(4, width - len(line))
        line.append_text(bar(score.value, score.chance, beginning(score)[1], cells, style_of))
        lines.append(line)
    return tuple(lines) or (Text("see `tmssl eval`"),)


def _best_matches(run: Run, request: PreviewRequest) -> Matches:
    """The query that the newest evaluation answers best, and its first matches as pictures."""
    changed_ns = run.eval.stat().st_mtime_ns if run.eval.is_dir() else 0
    loaded, best = _newest_evaluation(run.eval, changed_ns)
    if loaded.header is None or not best:
        return Matches((Text(safe(loaded.problem) or "no matches yet"),))
    width, height = request.matches
    way, pixels = request.way, request.pixels
    spec = PageSpec(best[0], 1, len(best), width, height, _MATCHES, way, pixels)
    try:
        pack = open_cached_pack(loaded.header.pack)
        page = match_page(spec, pack)
    except InputError as error:
        return Matches((Text(safe(error)),))
    lines = tuple(page.split("\n", allow_blank=True))
    return Matches(lines, safe(loaded.name), pack.read([best[0].row])[0])


@functools.lru_cache(maxsize=4)
def _newest_evaluation(
    folder: Path, _changed_ns: int
) -> tuple[LoadedEvaluation, tuple[QueryMatches, ...]]:
    """The newest evaluation of a run and its queries, the best first; read again when the folder changed."""
    loaded = load_evaluation(folder, -1)
    return loaded, filter_queries(loaded.queries, "best", "")


def chart_panel(name: str) -> LineStatic:
    """The panel of a chart of the preview, by a name that `make_chart` takes."""
    return panel(LineStatic("", id=f"preview-{name}", classes="preview"), name)


class RunPreview(Vertical):
    """Curves, figures and matches of the run under the cursor, drawn in a thread."""

    class Drawn(Message):
        """A preview is drawn."""

        def __init__(self, preview: Preview) -> None:
            super().__init__()
            self.preview = preview

    def __init__(self) -> None:
        super().__init__(classes="side")
        self._reader = CurveReader()
        self._runs: tuple[Run, ...] = ()
        self.mark: Pixels | None = None
        """the query on show, uint8 (h, w, 3)"""

    def compose(self) -> ComposeResult:
        """The three panels."""
        yield chart_panel("top1")
        yield panel(Static("", id="preview-figures"), "newest evaluation")
        yield panel(LineStatic("", id="preview-matches"), "best matches")

    def on_mount(self) -> None:
        """Draw again in the colours of another theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self.show_again())

    def show(self, runs: tuple[Run, ...]) -> None:
        """Show a run, with others over its curves; without a run the panels stay as they are."""
        self._runs = runs
        if runs and not self.screen.has_class("-narrow"):
            shown = [(w.id or "", w.size) for w in self.screen.query(".preview") if w.size]
            matches = self.query_one("#preview-matches").size
            self._draw(
                PreviewRequest(
                    runs,
                    {n.removeprefix("preview-"): (s.width, s.height + 1) for n, s in shown},
                    self.query_one("#preview-figures").size.width,
                    (matches.width, matches.height),
                    display_options(self.app),
                    picture_way(self.app),
                    pixel_pictures(self.app),
                )
            )

    def show_again(self) -> None:
        """Draw again, for new sizes or colours."""
        self.show(self._runs)

    @work(thread=True, exclusive=True, group="preview")
    def _draw(self, request: PreviewRequest) -> None:
        """Draw once the cursor rests."""
        worker = get_current_worker()
        if not worker.cancelled_event.wait(_REST_S):
            preview = draw_preview(request, self._reader)
            if not worker.is_cancelled:
                self.post_message(self.Drawn(preview))

    def on_run_preview_drawn(self, message: Drawn) -> None:
        """Show what was drawn."""
        drawn = message.preview
        if drawn.request.runs != self._runs:
            return
        for name, lines in drawn.charts.items():
            chart = self.screen.query_one(f".preview#preview-{name}", LineStatic)
            set_title(chart, lines[0] if lines else name)
            chart.draw(lines[1:])
        self.query_one("#preview-figures", Static).update(Text("\n").join(drawn.figures))
        matches = self.query_one("#preview-matches", LineStatic)
        best, self.mark = drawn.matches, drawn.matches.mark
        set_title(
            matches, f"best matches of {best.evaluation}" if best.evaluation else "best matches"
        )
        matches.draw(best.lines)
