"""A run as a line of the list of runs, and the details of the run under the cursor."""

from collections.abc import Sequence

from rich.text import Text

from tmssl.runs.listing import Row
from tmssl.text import safe
from tui.runs.columns import Column
from tui.theme import StyleOf

LEAST_NAME, MOST_NAME = 16, 40
"""cells of the column of names"""
_MARK = 2  # cells before the name
_DETAILS = {
    "model": "model.name",
    "views": "data.views",
    "positives": "data.positives",
    "optimizer": "optim.optimizer",
    "lr": "optim.lr",
    "batch size": "train.batch_size",
    "data": "data.source",
}
"""settings that tell runs apart, by the word for each"""


def name_width(columns: Sequence[Column], width: int) -> int:
    """Width of the column of names in a line of `width` cells."""
    rest = width - _MARK - sum(column.width + 1 for column in columns)
    return max(1, min(MOST_NAME, rest))


def list_heading(columns: Sequence[Column], width: int, order: str) -> Text:
    """The names of the columns; an arrow at the one that the list is sorted by."""
    line = Text(" " * _MARK, no_wrap=True)
    line.append(f"{'run':{name_width(columns, width)}}", "bold")
    for column in columns:
        sign = "" if order.removeprefix("-") != column.key else "v" if order[0] == "-" else "^"
        title = column.title()
        if sign:
            words = f"{title.strip()[: column.width - 2]} {sign}"
            title = words.rjust(column.width) if title[0] == " " else words.ljust(column.width)
        line.append(" ").append(title, "bold")
    return line


def list_line(
    row: Row, columns: Sequence[Column], width: int, mark: str, style_of: StyleOf
) -> Text:
    """One run as a line of at most `width` cells, after the letter that it has in the chart if it is marked."""
    cells = name_width(columns, width)
    line = Text().append(f"{mark or ' ':{_MARK}}", f"bold {style_of('accent')}")
    line.append(f"{safe(row.run.name, cells):{cells}}")
    for column in columns:
        line.append(" ").append_text(column.cell(row, style_of))
    # Text.truncate would leave a style beyond the end, which breaks the list.
    return line[:width] if len(line) > width else line


def detail_lines(row: Row) -> list[Text]:
    """Three lines: the main settings, the worst finding and its advice."""
    settings = [
        f"{word} {safe(row.settings[name], 60)}"
        for word, name in _DETAILS.items()
        if name in row.settings
    ]
    settings = [row.branched, *settings] if row.branched else settings
    lines = [", ".join(settings) or "no settings known", safe(row.finding) or "nothing to report"]
    lines.append(f"-> {safe(row.advice)}" if row.advice else "")
    return [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
