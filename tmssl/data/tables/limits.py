"""How much a file of labels may hold: bytes for those it is packed in, lines, rows and text.

A file of a few megabytes can unpack to terabytes, or repeat one line without end. What is refused here is
far beyond the labels of any register: each limit is told with what was found.
"""

import gzip
import io
from collections.abc import Iterator

from tmssl.errors import CatalogueError
from tmssl.text import safe

MAX_LINE = 1 << 24
"""characters of a line of a table, of an item of JSON, or of a row of CSV over all its lines"""
MAX_ROWS = 10_000_000
"""rows of a source"""
MAX_TEXT = 1 << 30
"""bytes of the labels of a source, once read"""
MAX_WHOLE = 1 << 28
"""bytes of a file that must be in memory as a whole, such as Parquet inside a zip"""
MAX_DIGITS = 1000
"""of a whole number in JSON; Python reads no more than 4,300"""
_WELCOME_BYTES = 1 << 22  # up to here, any ratio is welcome
_MAX_RATIO = 200  # of bytes unpacked to bytes packed; real labels reach 40


def why_bomb(
    unpacked: int, packed: int, *, welcome: int = _WELCOME_BYTES, ratio: int = _MAX_RATIO
) -> str:
    """Why a packed file is not unpacked any further; empty where its ratio is that of real labels.

    Args:
        unpacked: bytes, known or so far.
        packed: bytes that they came from.
        welcome: bytes that are unpacked from any number.
        ratio: of bytes unpacked to bytes packed, beyond those.
    """
    if unpacked <= welcome or unpacked <= ratio * packed:
        return ""
    return (
        f"{unpacked:,} bytes packed in {packed:,}, more than {ratio:,} in one, which is damage or a "
        "trap; unpack it yourself if you trust it"
    )


class BoundedGzip(gzip.GzipFile):
    """A file packed by gzip, read as far as its ratio is that of real labels."""

    def __init__(self, name: str, file: io.BufferedIOBase) -> None:
        super().__init__(fileobj=file)
        self._shown, self._packed = safe(name), file

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes.

        Raises:
            CatalogueError: they are too many for what they were packed in.
        """
        data = super().read(size)
        if reason := why_bomb(self.tell(), self._packed.tell()):
            raise CatalogueError(f"cannot read {self._shown}: {reason}")
        return data


def bounded_lines(name: str, text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text with their ends, as iterating over it gives them.

    Raises:
        CatalogueError: a line is above `MAX_LINE`; no more of it was read.
    """
    number = 0
    while line := text.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise line_error(name, number)
        yield line


def line_error(name: str, number: int) -> CatalogueError:
    """The error of a line, or of a row over many lines, that is no label."""
    return CatalogueError(
        f"{safe(name)}, line {number:,}: above {MAX_LINE:,} characters; a row has the labels of one "
        "image, so look for a missing line end or quote there"
    )


def whole_number(digits: str) -> int:
    """A whole number of JSON.

    Raises:
        ValueError: it has more digits than any number of a label.
    """
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits; write it as text, in quotes")
    return int(digits)
