"""A rectangle over a picture: moved, resized and drawn around cells, and written as `--crop` takes it."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

WHOLE = 1000  # thousandths of a side
_FINE = 50  # thousandths, the most that a key moves


class Step(NamedTuple):
    """How far a key moves a rectangle, in thousandths of the picture's sides."""

    across: int
    down: int


def step_of(columns: int, rows: int) -> Step:
    """A cell of a picture of so many cells, or a twentieth of a side where that is less."""
    return Step(*(min(_FINE, max(1, round(WHOLE / cells))) for cells in (columns, rows)))


@dataclasses.dataclass(frozen=True)
class Rectangle:
    """Its edges in thousandths of the picture's sides, from the upper left corner."""

    left: int = 250
    top: int = 250
    right: int = 750
    bottom: int = 750

    def moved(self, across: int, down: int) -> "Rectangle":
        """The same rectangle further on, up to the edge of the picture."""
        across = min(max(across, -self.left), WHOLE - self.right)
        down = min(max(down, -self.top), WHOLE - self.bottom)
        return Rectangle(
            self.left + across, self.top + down, self.right + across, self.bottom + down
        )

    def resized(self, across: int, down: int, least: Step) -> "Rectangle":
        """Its right and lower edge moved, never beyond the picture nor nearer than `least` to the others."""
        right = min(WHOLE, max(self.right + across, self.left + least.across))
        bottom = min(WHOLE, max(self.bottom + down, self.top + least.down))
        return Rectangle(self.left, self.top, right, bottom)

    def grown(self, by: int, step: Step) -> "Rectangle":
        """Every edge moved outwards by `by` steps, or inwards; one that is too small already stays."""
        across, down = by * step.across, by * step.down
        if self.right - self.left + 2 * across < step.across:
            across = 0
        if self.bottom - self.top + 2 * down < step.down:
            down = 0
        return Rectangle(
            max(0, self.left - across),
            max(0, self.top - down),
            min(WHOLE, self.right + across),
            min(WHOLE, self.bottom + down),
        )

    @property
    def crop(self) -> str:
        """`25%,25%,50%,50%`: left, top, width and height, as `tmssl search --crop` takes them."""
        sides = (self.left, self.top, self.right - self.left, self.bottom - self.top)
        return ",".join(f"{side / 10:g}%" for side in sides)

    def cells(self, columns: int, rows: int) -> tuple[int, int, int, int]:
        """Its first column and row, and those after its last, in a picture of so many cells; one at least."""
        left = min(columns - 1, round(self.left * columns / WHOLE))
        top = min(rows - 1, round(self.top * rows / WHOLE))
        right = max(left + 1, round(self.right * columns / WHOLE))
        return left, top, right, max(top + 1, round(self.bottom * rows / WHOLE))


def rectangle_of(crop: str) -> Rectangle | None:
    """The rectangle of a `--crop`; None for one in pixels, or that is none."""
    try:
        sides = [round(10 * float(side.removesuffix("%"))) for side in crop.split(",")]
    except (ValueError, OverflowError):
        return None
    if len(sides) != 4 or crop.count("%") != 4:
        return None
    left, top, width, height = sides
    found = Rectangle(left, top, left + width, top + height)
    is_inside = 0 <= left < found.right <= WHOLE and 0 <= top < found.bottom <= WHOLE
    return found if is_inside else None


def between(first: tuple[int, int], last: tuple[int, int], columns: int, rows: int) -> Rectangle:
    """The rectangle of two cells (column, row) of a picture and all between them."""
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(first, last, strict=True))
    left, right = max(0, min(left, columns - 1)), max(0, min(right, columns - 1)) + 1
    top, bottom = max(0, min(top, rows - 1)), max(0, min(bottom, rows - 1)) + 1
    return Rectangle(
        left * WHOLE // columns,
        top * WHOLE // rows,
        right * WHOLE // columns,
        bottom * WHOLE // rows,
    )


def outlined(
    picture: Sequence[Text], rectangles: Sequence[Rectangle], chosen: int, styles: tuple[str, str]
) -> list[Text]:
    """A picture with a margin of one cell, and the outline of each rectangle in the cells around it.

    The outlines replace the cells that they are on, so the picture itself need not be drawn again.

    Args:
        picture: lines of equal length.
        rectangles: each gets its number in its upper left corner.
        chosen: the place of the one that keys move; it is drawn last, with double lines.
        styles: of the chosen one, and of the others.
    """
    columns, rows = len(picture[0]), len(picture)
    blank = Text(" ")
    lines = [
        Text(" " * (columns + 2)),
        *(Text.assemble(blank, line, blank) for line in picture),
        Text(" " * (columns + 2)),
    ]
    numbers = [number for number in range(len(rectangles)) if number != chosen]
    for number in [*numbers, chosen][: len(rectangles)]:
        left, top, right, bottom = rectangles[number].cells(columns, rows)
        is_chosen = number == chosen
        style = styles[0] if is_chosen else styles[1]
        across, down, *corners = list("═║╔╗╚╝" if is_chosen else "─│┌┐└┘")
        width = right - left
        label = str(number + 1)[: width + 1]
        upper = corners[0] + label + across * (width - len(label)) + corners[1]
        lower = corners[2] + across * width + corners[3]
        lines[top] = _over(lines[top], left, Text(upper[: width + 2], style))
        lines[bottom + 1] = _over(lines[bottom + 1], left, Text(lower, style))
        for row in range(top + 1, bottom + 1):
            lines[row] = _over(lines[row], left, Text(down, style))
            lines[row] = _over(lines[row], right + 1, Text(down, style))
    return lines


def _over(line: Text, at: int, piece: Text) -> Text:
    """A line with a piece in place of as many of its cells."""
    return Text.assemble(line[:at], piece, line[at + len(piece) :])
