"""A line of lettering in a picture: its text and its box."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

MOST_LINES = 16  # of a mark
LONGEST = 100  # characters of a line

_Pixel = Annotated[int, Meta(ge=0, le=1 << 13)]


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A line of lettering; the box is in pixels of the packed image, right and bottom exclusive."""

    text: Annotated[str, Meta(max_length=LONGEST)]
    left: _Pixel
    top: _Pixel
    right: _Pixel
    bottom: _Pixel
    score: Annotated[float, Meta(ge=0, le=1)]
    """how sure the reader is"""


def joined(lines: Sequence[Line]) -> str:
    """The lettering of a mark as one text, lines from top to bottom."""
    return " ".join(line.text for line in lines)
