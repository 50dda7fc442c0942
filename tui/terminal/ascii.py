"""The last thing between a widget and a terminal that can show ASCII only."""

import functools

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# Frames, blocks, braille and bars by what they look like; whatever is left becomes a question mark.
_LOOKS = {
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
def in_ascii(text: str) -> str:
    """A text in as many cells, each of them ASCII."""
    if text.isascii():
        return text
    return "".join(one if one.isascii() else _LOOKS.get(one, "?" * cell_len(one)) for one in text)


class AsciiFilter(LineFilter):
    """Makes every line of the screen ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments with their texts in ASCII."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
