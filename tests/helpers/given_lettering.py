"""Lettering of a pack as if it had been read, without reading any."""

from collections.abc import Mapping, Sequence

from tmssl.data.lettering.line import Line
from tmssl.data.lettering.store import (
    lettering_folder,
    part_count,
    part_rows,
    pixels_digest,
    write_part,
)
from tmssl.data.pack.reader import Pack


def give_lettering(pack: Pack, lines: Mapping[int, Sequence[Line]]) -> None:
    """Write the lettering of a pack, of which some rows have lines.

    Args:
        pack: the marks.
        lines: of some rows; the others have none.
    """
    folder = lettering_folder(pack.folder, pack.info)
    folder.mkdir(parents=True)
    for number in range(part_count(pack.info)):
        rows = part_rows(number, pack.info)
        digests = [pixels_digest(pixels) for pixels in pack.read(rows)]
        of_rows = [list(lines.get(row, ())) for row in rows]
        write_part(folder, pack.identity, number, digests, of_rows)
