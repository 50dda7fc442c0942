"""A line filter that replaces every character that is not ASCII, for `--ascii`."""

import functools

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tmssl.text import lookalike


@functools.lru_cache(4096)
def to_ascii(text: str) -> str:
    """A text in ASCII, of the same width in cells; a question mark stands for what nothing looks like."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else lookalike(c) or "?" * cell_len(c) for c in text)


class AsciiFilter(LineFilter):
    """Replaces what is not ASCII in every line of the screen."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments with their texts in ASCII."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
