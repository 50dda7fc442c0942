"""The page with every figure of an evaluation: bars from chance to 1, its history, and the table in words."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, ScrollableContainer
from textual.widgets import Footer, Input, Static

from tmssl.retrieval.evaluation.table import table_lines
from tmssl.runs.eval_table import eval_row
from tmssl.runs.events import Division, Eval, Score
from tmssl.runs.main_figure import BEFORE, UNTRAINED, beginning
from tmssl.text import number, safe
from tui.bars import above_chance, bar
from tui.bindings import TEXT_SCREEN
from tui.matches.evaluations import Evaluation, history_lines
from tui.options import display_options
from tui.theme import StyleOf, colour_styles
from tui.widgets.panel import panel
from tui.widgets.searchable_screen import FilteredScreen

_NAME = 35  # cells of a figure's name
_INTERVAL = 16  # cells of its interval, which a narrow page leaves out
_NARROW = 96  # cells
_LEAST_BAR = 6
_FRAME = 5  # cells of a frame, its spacing and a scroll bar
_LEAST_QUERIES = 5  # that make the figure of a division worth showing


class FiguresScreen(FilteredScreen):
    """Every figure of an evaluation; what does not contain the typed text is hidden."""

    BINDINGS = TEXT_SCREEN

    AUTO_FOCUS = CONTENT = "#page"

    def __init__(self, evaluations: tuple[Evaluation, ...], index: int) -> None:
        super().__init__()
        self._evaluations = evaluations
        self._index = index

    def compose(self) -> ComposeResult:
        """The bars, and beside them the words; a screen that is not wide has the words below."""
        name = safe(self._evaluations[self._index].name)
        yield Input(placeholder="only lines that hold this", id="search", compact=True)
        with Horizontal(id="all"):
            with panel(ScrollableContainer(id="page", classes="main"), f"Figures of {name}"):
                yield Static("", id="text", classes="unwrapped")
            with panel(ScrollableContainer(id="words", classes="side"), "with every reference"):
                yield Static("", id="told", classes="unwrapped")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Hide the filter."""
        self.query_one("#search").display = False
        self.app.theme_changed_signal.subscribe(self, lambda _: self.show_content())

    def on_resize(self) -> None:
        """Draw the bars for the width."""
        self.call_after_refresh(self.show_content)

    def show_content(self) -> None:
        """Show what contains the text of the filter."""
        event = self._evaluations[self._index].event
        words = [] if event is None else list(map(Text, table_lines(event)))
        longest = max((line.cell_len for line in words), default=0)
        self.query_one("#words").styles.width = longest + _FRAME
        self.query_one("#told", Static).update(Text("\n").join(self._held(words)))
        self.call_after_refresh(self._show_bars, event, words)  # for the width that is left

    def _show_bars(self, event: Eval | None, words: list[Text]) -> None:
        """Show the bars, and on a screen that is not wide the words below them."""
        width = self.query_one("#page", ScrollableContainer).scrollable_content_region.width
        style_of = colour_styles(display_options(self.app))
        if event is None:
            lines = [Text("they cannot be read; press e to evaluate again")]
        else:
            rows = len(self._evaluations) + 2
            lines = figure_bars(event, width, style_of)
            lines += [Text(), *history_lines(self._evaluations, self._index, rows, style_of)]
            lines += division_bars(event, width, style_of)
        if not self.has_class("-wide"):
            lines += [Text(), *words]
        self.query_one("#text", Static).update(Text("\n").join(self._held(lines)))

    def _held(self, lines: list[Text]) -> list[Text]:
        """The lines that contain the text of the filter."""
        wanted = self.filter_text.casefold()
        return [line for line in lines if wanted in line.plain.casefold()]


def figure_bars(event: Eval, width: int, style_of: StyleOf) -> list[Text]:
    """Every score as a line: name, value, chance, lift, interval, what it was untrained, and a bar from chance to 1."""
    began_as = BEFORE if any(beginning(s)[0] == BEFORE for s in event.scores) else UNTRAINED
    head = f"{'figure':{_NAME}}{'value':>7}{'chance':>8}{'lift':>6}"
    if width >= _NARROW:
        head += f"{'95 % interval':>{_INTERVAL}}"
    began = "before" if began_as == BEFORE else began_as
    lines = [Text(f"{head}{began:>10}  chance to 1", "bold")]
    return lines + [_figure_line(score, width, began_as, style_of) for score in event.scores]


def _figure_line(score: Score, width: int, began_as: str, style_of: StyleOf) -> Text:
    row = eval_row(score, [began_as], 2)
    codes = "" if score.codes == "all" else f", {row.codes.text}"
    line = Text(f"{f'{row.level.text} {row.name.text}{codes}'[:_NAME]:{_NAME}}{row.value.text:>7}")
    line.append(f"{row.chance.text:>8}", style_of("reference"))
    line.append(f"{row.lift.text:>6}")
    if width >= _NARROW:
        line.append(f"{row.interval.text:>{_INTERVAL}}")
    line.append(f"{row.references[began_as].text:>10}  ", style_of("reference"))
    cells = max(_LEAST_BAR, width - len(line))
    return line.append_text(bar(score.value, score.chance, beginning(score)[1], cells, style_of))


def division_bars(event: Eval, width: int, style_of: StyleOf) -> list[Text]:
    """The divisions with enough queries as bars, furthest above chance first; nothing without any."""
    counted = [
        one for one in event.divisions if one.queries >= _LEAST_QUERIES and one.value is not None
    ]
    if not counted:
        return []
    counted.sort(key=lambda one: -above_chance(one.value or 0.0, one.chance))
    head = f"{f'hit@{counted[0].k} by division':{_NAME}}{'value':>7}{'chance':>8}{'queries':>9}"
    return [Text(), Text(head, "bold")] + [_division_line(one, width, style_of) for one in counted]


def _division_line(division: Division, width: int, style_of: StyleOf) -> Text:
    name = safe(f"{division.code} {division.title}", _NAME - 1)
    line = Text(f"{name:{_NAME}}{number(division.value, 2):>7}")
    line.append(f"{number(division.chance, 2):>8}", style_of("reference"))
    line.append(f"{division.queries:>9,}  ")
    cells = max(_LEAST_BAR, width - len(line))
    return line.append_text(bar(division.value, division.chance, None, cells, style_of))
