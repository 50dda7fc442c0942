"""The characters inside a chart's frame: curves laid over each other, and marks."""

import dataclasses
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tui.charts.pictures import Line, Picture

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_BOUNDARY, _HOLE = "magenta", "red"
MARKS = {"mark": "●", "boundary": "┊", "hole": "x"}
PLAIN_MARKS = {"mark": "o", "boundary": ":", "hole": "x"}
PLAIN_DOTS = ".*#%@&"


@dataclasses.dataclass(frozen=True)
class Plot:
    """Where in a chart the curves lie, in cells, and what its borders stand for."""

    left: int
    top: int
    columns: int
    rows: int
    across: tuple[float, float]

    def column_of(self, x: float) -> int:
        """The column of cells that holds an x, the nearest one when it is outside."""
        low, high = self.across
        return max(0, min(self.columns - 1, int((x - low) / (high - low) * self.columns)))

    @property
    def cell(self) -> float:
        """The x that a column of cells spans."""
        return (self.across[1] - self.across[0]) / self.columns

    def middle_of(self, column: int) -> float:
        """The x in the middle of a column of cells."""
        return self.across[0] + self.cell * (column + 0.5)


class Cells:
    """The characters inside a frame and the colour of each, laid over each other."""

    def __init__(self, plot: Plot, plain: bool) -> None:
        import numpy as np

        self._plot, self._plain = plot, plain
        self._signs = np.full((plot.rows, plot.columns), 32, dtype=np.int32)
        self._tints = np.zeros((plot.rows, plot.columns), dtype=np.int8)
        self._names = [""]
        self._marks = PLAIN_MARKS if plain else MARKS
        self._layers = 0

    def lay(self, line: Line, x: "Floats", y: "Floats", up: tuple[float, float]) -> None:
        """A curve, over those before."""
        from tui.charts.raster import braille, dots

        plot, fine = self._plot, 1 if self._plain else 2
        grid = dots(x, y, plot.across, up, fine * plot.columns, fine * fine * plot.rows)
        if line.dotted:
            grid[:, 1 :: fine + 1] = False
        if self._plain:
            sign = ord("-" if line.dotted else PLAIN_DOTS[self._layers % len(PLAIN_DOTS)])
            self._put(grid, sign, line.colour)
            self._layers += not line.dotted
        else:
            bits = braille(grid)
            self._put(bits > 0, 0x2800 + bits.astype("int32"), line.colour)
        if line.marked or line.letter:
            self._mark_points(line, x, y, up)

    def _put(self, where: "Any", signs: "Any", colour: str) -> None:
        """Signs of a colour where a mask says so."""
        import numpy as np

        if colour not in self._names:
            self._names.append(colour)
        self._signs = np.where(where, signs, self._signs)
        self._tints = np.where(where, self._names.index(colour), self._tints)

    def _mark_points(self, line: Line, x: "Floats", y: "Floats", up: tuple[float, float]) -> None:
        """A mark at every point, or the line's letter at its last."""
        import numpy as np

        low, high = self._plot.across
        shown = np.flatnonzero(np.isfinite(y) & (x >= low) & (x <= high))
        for place in shown if line.marked else shown[-1:]:
            row = round((up[1] - float(y[place])) / (up[1] - up[0]) * (self._plot.rows - 1))
            sign = line.letter if line.letter and place == shown[-1] else self._marks["mark"]
            self._one(
                max(0, min(self._plot.rows - 1, row)),
                self._plot.column_of(float(x[place])),
                sign,
                line.colour,
            )

    def _one(self, row: int, column: int, sign: str, colour: str) -> None:
        where = self._signs != self._signs
        where[row, column] = True
        self._put(where, ord(sign), colour)

    def mark(self, picture: Picture) -> None:
        """Where segments begin, behind the curves; where figures were not finite, before them."""
        import numpy as np

        low, high = self._plot.across
        for place in picture.boundaries:
            if low <= place <= high:
                where = self._signs == 32
                where[:, : self._plot.column_of(place)] = False
                where[:, self._plot.column_of(place) + 1 :] = False
                self._put(where, ord(self._marks["boundary"]), _BOUNDARY)
        holes = np.asarray(picture.holes, dtype=np.float64)
        holes = holes[(holes >= low) & (holes <= high)]
        columns = np.unique(((holes - low) / (high - low) * self._plot.columns).astype(int))
        if len(columns):
            where = np.zeros_like(self._signs, dtype=bool)
            where[-1, np.clip(columns, 0, self._plot.columns - 1)] = True
            self._put(where, ord(self._marks["hole"]), _HOLE)

    def write(self, row: int, text: Text, tint: "Any") -> None:
        """Append a row of cells to a line."""
        import numpy as np

        signs, tints = self._signs[row], self._tints[row]
        cuts = np.flatnonzero(np.diff(tints)) + 1
        for begin, end in zip([0, *cuts], [*cuts, len(signs)], strict=True):
            text.append("".join(map(chr, signs[begin:end])), tint(self._names[tints[begin]]))
