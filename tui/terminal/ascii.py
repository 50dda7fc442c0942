"""A line filter that replaces every character that is not ASCII, for `--ascii`."""

import functools

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# ASCII look-alikes; every other character becomes a question mark.
_LOOKALIKES = {
    **dict.fromkeys("─━═╌╍┄┅▁▂▔▀▄", "-"),
    **dict.fromkeys("│┃║▌▐▎▏▕▊▍▋▉", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝", "+"),
    **dict.fromkeys("█▆▇▅▃", "#"),
    **dict.fromkeys("•·∙◦", "."),
    **dict.fromkeys("▶►▸", ">"),
    **dict.fromkeys("◀◄◂", "<"),
    "…": ".",
    "▲": "^",
    "▼": "v",
    "“": '"',
    "”": '"',
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{EN DASH}": "-",
    "—": "-",
    "\N{NO-BREAK SPACE}": " ",
}


@functools.lru_cache(4096)
def to_ascii(text: str) -> str:
    """A text in ASCII, of the same width in cells."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else _LOOKALIKES.get(c, "?" * cell_len(c)) for c in text)


class AsciiFilter(LineFilter):
    """Replaces what is not ASCII in every line of the screen."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments with their texts in ASCII."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
