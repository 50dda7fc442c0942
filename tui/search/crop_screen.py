"""The screen on which rectangles are moved over a logo, to search for these parts of it alone."""

from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from tmssl.text import safe
from tui.bindings import CROP
from tui.options import display_options, picture_way, pixel_pictures
from tui.pictures.placeholders import COLUMNS, ROWS
from tui.pictures.ways import PIXELS
from tui.search.rectangle import Rectangle, Step, between, outlined, step_of
from tui.theme import colour_styles
from tui.widgets.line_static import LineStatic
from tui.widgets.panel import panel

if TYPE_CHECKING:
    from tmssl.types import Pixels

_MOST = 9  # rectangles of a logo
_MARGIN = 2  # cells and rows around the picture, for the outlines


def fitting_cells(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """The cells of a picture of so many pixels that fills a place, undistorted: a cell is twice as high as wide."""
    scale = min(columns / width, 2 * rows / height)
    return (
        max(1, min(columns, round(width * scale))),
        max(1, min(rows, round(height * scale / 2))),
    )


class CroppedLogo(LineStatic):
    """The picture and the outlines; a drag of the mouse over it names two corners."""

    class Dragged(Message):
        """The mouse went from one cell to another with its button down."""

        def __init__(self, first: tuple[int, int], last: tuple[int, int]) -> None:
            super().__init__()
            self.first = first
            """column and row of the widget's content"""
            self.last = last

    _first: tuple[int, int] | None = None

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Start a drag."""
        self._first = self._cell(event)
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Report the cells between which the button is down."""
        if self._first is not None:
            self.post_message(self.Dragged(self._first, self._cell(event)))

    def on_mouse_up(self) -> None:
        """End the drag."""
        if self._first is not None:
            self._first = None
            self.release_mouse()

    def _cell(self, event: events.MouseEvent) -> tuple[int, int]:
        at = event.get_content_offset_capture(self)
        return at.x, at.y


class CropScreen(Screen[tuple[Rectangle, ...] | None]):
    """Its answer is the rectangles, none for the whole logo; None when it is cancelled."""

    BINDINGS = CROP

    def __init__(self, name: str, logo: "Pixels", rectangles: tuple[Rectangle, ...]) -> None:
        """Show a logo, uint8 (h, w, 3), with the rectangles that there are, or a first one."""
        super().__init__()
        self._logo_name, self._logo = name, logo
        self._rectangles = rectangles or (Rectangle(),)
        self._chosen = len(self._rectangles) - 1
        self._picture: list[Text] = []

    def compose(self) -> ComposeResult:
        """The logo, and what is chosen in words."""
        title = f"parts of {safe(self._logo_name)}   arrows move, shift+arrows or H J K L resize"
        yield panel(CroppedLogo("", id="cropped"), title)
        yield Static("", id="rectangle", classes="line")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Draw the outlines in the colours of another theme, too."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def on_line_static_resized(self) -> None:
        """Draw the picture for the size."""
        self.draw_pictures()

    def draw_pictures(self) -> None:
        """Draw the picture anew, in the way that was chosen."""
        from tui.pictures.text import text_lines

        width, height = self.query_one("#cropped").size
        columns, rows = width - _MARGIN, height - _MARGIN
        way = picture_way(self.app)
        if way == PIXELS:
            columns, rows = min(columns, COLUMNS), min(rows, ROWS)
        if columns > 0 and rows > 0:
            cells = fitting_cells(self._logo.shape[1], self._logo.shape[0], columns, rows)
            (self._picture,) = text_lines([self._logo], *cells, way, pixel_pictures(self.app))
            self._draw()

    def sample_mark(self) -> "Pixels":
        """The logo."""
        return self._logo

    @property
    def _cells(self) -> tuple[int, int]:
        """Columns and rows of the picture."""
        return (len(self._picture[0]), len(self._picture)) if self._picture else (1, 1)

    @property
    def _step(self) -> Step:
        return step_of(*self._cells)

    def _draw(self) -> None:
        """Draw the outlines around the picture, and say where the chosen one is."""
        if not self._picture:
            return
        style_of = colour_styles(display_options(self.app))
        ground = f" on {style_of('ground')}" if style_of("ground") else ""
        styles = (f"bold {style_of('accent')}{ground}", f"{style_of('quiet')}{ground}")
        lines = outlined(self._picture, self._rectangles, self._chosen, styles)
        self.query_one("#cropped", LineStatic).draw(lines)
        text = "no part: enter searches for the whole logo, a adds a part"
        if self._rectangles:
            left, top, width, height = self._rectangles[self._chosen].crop.split(",")
            text = (
                f"part {self._chosen + 1} of {len(self._rectangles)}: {width} x {height} of the "
                f"logo, {left} from the left, {top} from above"
            )
        self.query_one("#rectangle", Static).update(Text(text))

    def _change(self, rectangle: Rectangle) -> None:
        """Put another rectangle in place of the chosen one."""
        kept = list(self._rectangles)
        kept[self._chosen : self._chosen + 1] = [rectangle]
        self._rectangles = tuple(kept)
        self._draw()

    def action_move(self, across: int, down: int) -> None:
        """Move the chosen rectangle by some steps."""
        if self._rectangles:
            chosen, step = self._rectangles[self._chosen], self._step
            self._change(chosen.moved(across * step.across, down * step.down))

    def action_resize(self, across: int, down: int) -> None:
        """Make the chosen rectangle wider or narrower, higher or lower by some steps."""
        if self._rectangles:
            chosen, step = self._rectangles[self._chosen], self._step
            self._change(chosen.resized(across * step.across, down * step.down, step))

    def action_grow(self, by: int) -> None:
        """Make the chosen rectangle larger or smaller on all sides."""
        if self._rectangles:
            self._change(self._rectangles[self._chosen].grown(by, self._step))

    def on_cropped_logo_dragged(self, message: CroppedLogo.Dragged) -> None:
        """Let the chosen rectangle hold the cells between both corners; without one it is a new one."""
        corners = [(column - 1, row - 1) for column, row in (message.first, message.last)]
        self._change(between(corners[0], corners[1], *self._cells))

    def action_add(self) -> None:
        """Add a rectangle beside the chosen one."""
        if len(self._rectangles) < _MOST:
            step = self._step
            chosen = self._rectangles[self._chosen] if self._rectangles else Rectangle()
            by = 2 * len(self._rectangles[:1])  # so that both are seen
            self._rectangles += (chosen.moved(by * step.across, by * step.down),)
            self._chosen = len(self._rectangles) - 1
            self._draw()

    def action_remove(self) -> None:
        """Remove the chosen rectangle."""
        self._rectangles = tuple(
            one for number, one in enumerate(self._rectangles) if number != self._chosen
        )
        self._chosen = max(0, min(self._chosen, len(self._rectangles) - 1))
        self._draw()

    def action_next(self, by: int) -> None:
        """Choose the next or the previous rectangle."""
        if self._rectangles:
            self._chosen = (self._chosen + by) % len(self._rectangles)
            self._draw()

    def action_confirm(self) -> None:
        """Close with the rectangles."""
        if self.is_current:  # a second key may come when it is closed already
            self.dismiss(self._rectangles)

    def action_cancel(self) -> None:
        """Close without a change."""
        if self.is_current:
            self.dismiss(None)
