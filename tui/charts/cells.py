"""The characters inside a chart's axes: braille curves drawn over each other, and markers."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.text import Text

from tui.charts.chart import Chart, Series

if TYPE_CHECKING:
    from tmssl.types import Floats, Indices, Mask

MARKERS = {"point": "●", "segment": "┊", "nonfinite": "x"}
ASCII_MARKERS = {"point": "o", "segment": ":", "nonfinite": "x"}
ASCII_DOTS = ".*#%@&"
_SPACE = ord(" ")


@dataclasses.dataclass(frozen=True)
class PlotArea:
    """Where in a chart the curves are, in cells, and the x of its left and right border."""

    left: int
    top: int
    columns: int
    rows: int
    x_limits: tuple[float, float]

    def column_of(self, x: float) -> int:
        """The column that holds an x; the nearest one when it is outside."""
        low, high = self.x_limits
        return max(0, min(self.columns - 1, int((x - low) / (high - low) * self.columns)))

    @property
    def column_width(self) -> float:
        """The x that a column spans."""
        return (self.x_limits[1] - self.x_limits[0]) / self.columns

    def x_of(self, column: int) -> float:
        """The x in the middle of a column."""
        return self.x_limits[0] + self.column_width * (column + 0.5)


class CellGrid:
    """The character and the colour of each cell; what is drawn later covers what was drawn before."""

    def __init__(self, plot: PlotArea, ascii_only: bool) -> None:
        import numpy as np

        self._plot, self._ascii = plot, ascii_only
        self._characters = np.full((plot.rows, plot.columns), _SPACE, dtype=np.int32)
        self._colour_numbers = np.zeros((plot.rows, plot.columns), dtype=np.int8)
        self._colours = [""]
        self._markers = ASCII_MARKERS if ascii_only else MARKERS
        self._ascii_series = 0

    def draw_series(
        self, series: Series, x: "Floats", y: "Floats", y_limits: tuple[float, float]
    ) -> None:
        """Draw one curve with its markers; x ascends, y is NaN in gaps."""
        from tui.charts.raster import braille, dots

        plot, resolution = self._plot, 1 if self._ascii else 2
        columns, rows = resolution * plot.columns, resolution * resolution * plot.rows
        grid = dots(x, y, plot.x_limits, y_limits, columns, rows)
        if series.dotted:
            grid[:, 1 :: resolution + 1] = False
        if self._ascii:
            dot = ASCII_DOTS[self._ascii_series % len(ASCII_DOTS)]
            self._fill(grid, ord("-" if series.dotted else dot), series.colour)
            self._ascii_series += not series.dotted
        else:
            bits = braille(grid)
            self._fill(bits > 0, 0x2800 + bits.astype("int32"), series.colour)
        if series.marked or series.letter:
            self._draw_points(series, x, y, y_limits)

    def _fill(self, mask: "Mask", characters: "Indices | int", colour: str) -> None:
        """Put characters of one colour where the mask is true."""
        import numpy as np

        if colour not in self._colours:
            self._colours.append(colour)
        self._characters = np.where(mask, characters, self._characters)
        self._colour_numbers = np.where(mask, self._colours.index(colour), self._colour_numbers)

    def _draw_points(
        self, series: Series, x: "Floats", y: "Floats", y_limits: tuple[float, float]
    ) -> None:
        """Draw a marker at every point, or the letter of the series at its last point, of a level at its first."""
        import numpy as np

        low, high = self._plot.x_limits
        visible = np.flatnonzero(np.isfinite(y) & (x >= low) & (x <= high))
        rows = self._plot.rows
        lettered = visible[:1] if series.dotted else visible[-1:]
        for i in visible if series.marked else lettered:
            row = round((y_limits[1] - float(y[i])) / (y_limits[1] - y_limits[0]) * (rows - 1))
            is_letter = series.letter and i in lettered
            mask = np.zeros_like(self._characters, dtype=bool)
            mask[max(0, min(rows - 1, row)), self._plot.column_of(float(x[i]))] = True
            character = series.letter if is_letter else self._markers["point"]
            self._fill(mask, ord(character), series.colour)

    def draw_markers(self, chart: Chart) -> None:
        """Draw segment starts behind the curves, and non-finite values in front of them."""
        import numpy as np

        low, high = self._plot.x_limits
        for x in chart.segment_starts:
            if low <= x <= high:
                column = self._plot.column_of(x)
                mask = np.zeros_like(self._characters, dtype=bool)
                mask[:, column] = self._characters[:, column] == _SPACE
                self._fill(mask, ord(self._markers["segment"]), "magenta")
        nonfinite = np.asarray(chart.nonfinite, dtype=np.float64)
        nonfinite = nonfinite[(nonfinite >= low) & (nonfinite <= high)]
        if len(nonfinite):
            columns = ((nonfinite - low) / (high - low) * self._plot.columns).astype(int)
            mask = np.zeros_like(self._characters, dtype=bool)
            mask[-1, np.clip(columns, 0, self._plot.columns - 1)] = True
            self._fill(mask, ord(self._markers["nonfinite"]), "red")

    def append_row(self, row: int, text: Text, style_of: Callable[[str], str]) -> None:
        """Append the cells of one row to a line of text."""
        import numpy as np

        characters, numbers = self._characters[row], self._colour_numbers[row]
        cuts = np.flatnonzero(np.diff(numbers)) + 1
        for begin, end in zip([0, *cuts], [*cuts, len(characters)], strict=True):
            style = style_of(self._colours[numbers[begin]])
            text.append("".join(map(chr, characters[begin:end])), style)
