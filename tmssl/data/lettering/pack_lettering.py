"""The lettering of a pack, as far as it was read: the texts of all marks, and the lines of some with their boxes."""

from collections.abc import Sequence
from pathlib import Path

from tmssl.data.lettering.line import Line, joined
from tmssl.data.lettering.store import (
    PER_PART,
    lettering_folder,
    part_count,
    part_name,
    part_rows,
    read_part,
)
from tmssl.data.pack.info import PackInfo
from tmssl.errors import PackError
from tmssl.text import safe

_UNREAD: list[list[Line] | None] = [None] * PER_PART


class PackLettering:
    """What was read of a pack so far."""

    def __init__(self, folder: Path, info: PackInfo) -> None:
        """Look at the parts that are there.

        Args:
            folder: of the pack.
            info: of the pack.
        """
        self._info = info
        self._folder = lettering_folder(folder, info)

    def unread(self) -> list[int]:
        """The parts that are missing or damaged."""
        parts = range(part_count(self._info))
        return [number for number in parts if self._part(number) is None]

    def parts_there(self) -> int:
        """The number of parts that lie in the folder, sound or not."""
        numbers = range(part_count(self._info))
        return len({part_name(n) for n in numbers} & {path.name for path in self._folder.glob("*")})

    def any_read(self) -> bool:
        """Whether the lettering of any mark was read."""
        return self.parts_there() > 0

    def complete(self) -> bool:
        """Whether the lettering of every mark was read, as far as names of files tell."""
        return self.parts_there() == part_count(self._info)

    def begun(self) -> bool:
        """Whether the lettering of some marks was read, and that of others was not."""
        return 0 < self.parts_there() < part_count(self._info)

    def texts(self) -> list[str]:
        """The lettering of every mark as one text, (n,); empty where there is none or it was not read."""
        texts: list[str] = []
        for number in range(part_count(self._info)):
            rows = len(part_rows(number, self._info))
            texts += map(joined, self._part(number) or [[]] * rows)
        return texts

    def lines(self, rows: Sequence[int]) -> list[list[Line]]:
        """The lines of some marks, from top to bottom, with boxes in pixels of the packed image.

        A mark whose lettering was not read has none.
        """
        return [lines or [] for lines in self.lines_read(rows)]

    def lines_read(self, rows: Sequence[int]) -> list[list[Line] | None]:
        """The same, with None for a mark whose lettering was not read."""
        parts = {row // PER_PART for row in rows}
        read = {number: self._part(number) for number in parts}
        return [(read[row // PER_PART] or _UNREAD)[row % PER_PART] for row in rows]

    def _part(self, number: int) -> list[list[Line]] | None:
        return read_part(self._folder, self._info, number)


def lettering_boxes(
    folder: Path, info: PackInfo, rows: Sequence[int]
) -> list[list[tuple[int, int, int, int]]]:
    """The boxes of the lines of lettering of some marks.

    Args:
        folder: of the pack.
        info: of the pack.
        rows: of the marks, (n,).

    Returns:
        For each mark (left, top, right, bottom) of each line in pixels of the packed image, right and bottom
        exclusive; none for a mark without lettering.

    Raises:
        PackError: the lettering of one of them was not read, or is damaged.
    """
    boxes = []
    for lines in PackLettering(folder, info).lines_read(rows):
        if lines is None:
            raise PackError(
                f"the lettering of {safe(folder)} is damaged; `tmssl pack SOURCE --lettering` or "
                "`tmssl search --text WORDS --lettering` reads what is missing"
            )
        boxes.append([(line.left, line.top, line.right, line.bottom) for line in lines])
    return boxes
