"""Reading the lettering of every mark of a pack in worker processes, part by part."""

import functools
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tmssl.data.lettering.line import Line
from tmssl.data.lettering.pack_lettering import PackLettering
from tmssl.data.lettering.reader import check_reader, open_reader
from tmssl.data.lettering.store import (
    lettering_folder,
    older_lettering,
    part_rows,
    pixels_digest,
    read_known,
    write_part,
)
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.pack.workers import Stop, map_unordered
from tmssl.doctor.machine import worker_count
from tmssl.errors import PackError
from tmssl.files import cannot_write, make_plain_folder
from tmssl.text import safe
from tmssl.types import Pixels, Progress

_SERIAL_BELOW = 2  # parts; fewer are read sooner without other processes
_SAMPLED = 4  # marks by which the time is estimated
_LONG = 500  # marks, from which on it is


class ReadingTime(NamedTuple):
    """How long the lettering of a pack will take, estimated from a few marks."""

    marks: int
    mark_s: float
    """seconds of one core for a mark"""
    total_s: float
    """seconds for all, with the workers that were asked for"""


def read_lettering(
    pack: Pack,
    *,
    workers: int = 0,
    known: Sequence[Path] = (),
    estimated: Callable[[ReadingTime], None] = lambda time: None,
    progress: Progress | None = None,
    stop: Stop = None,
) -> int:
    """Read what has not been read of a pack's lettering yet; returns the number of marks that this took in.

    An interrupted reading keeps its finished parts, and the next one goes on behind them. A mark whose pixels
    another lettering knows, that of an earlier pack in the same folder or in those of `known`, is not read again.

    Args:
        pack: the marks.
        workers: processes that read; 0 means one for each usable core.
        known: folders of packs that this one was made of.
        estimated: told how long many marks will take, before they are read.
        progress: called with (marks done, marks that were unread).
        stop: asked between parts; the reading ends with KeyboardInterrupt once it returns True.

    Raises:
        InputError: the extra is missing, or the disk is full.
        PackError: the pack is damaged, or a worker was killed.
    """
    check_reader()
    folder, lettering = (
        lettering_folder(pack.folder, pack.info),
        PackLettering(pack.folder, pack.info),
    )
    try:
        make_plain_folder(folder.parent)
        make_plain_folder(folder)
        unread = lettering.unread()
        rows = sum(len(part_rows(number, pack.info)) for number in unread)
        several = 1 if len(unread) < _SERIAL_BELOW else min(workers or worker_count(), len(unread))
        if rows > _LONG:
            estimated(_estimate(pack, unread, rows, several))
        places = [older_lettering(one) for one in (pack.folder, *known)]
        older = [
            str(path) for place in places for path in sorted(place.glob("*")) if path != folder
        ]
        jobs = ((str(pack.folder), pack.identity, str(folder), number, older) for number in unread)
        done = 0
        with closing(map_unordered(_read_part, jobs, several, stop)) as finished:
            for read in finished:
                done += read
                if progress:
                    progress(done, rows)
    except OSError as error:
        raise cannot_write(folder, error, "finished parts are kept") from error
    return rows


def _estimate(pack: Pack, unread: Sequence[int], rows: int, workers: int) -> ReadingTime:
    """How long some parts will take, by a few marks that are spread over them."""
    spread = np.linspace(0, len(unread) - 1, _SAMPLED).astype(int).tolist()
    pictures = pack.read([part_rows(unread[place], pack.info)[0] for place in spread])
    reader = open_reader()
    reader(pictures[0])  # the first call loads the models
    begun = time.process_time()
    for pixels in pictures:
        reader(pixels)
    mark_s = (time.process_time() - begun) / len(pictures)
    return ReadingTime(rows, mark_s, mark_s * rows / workers)


def _read_part(pack_folder: str, identity: str, folder: str, number: int, older: list[str]) -> int:
    """Read the lettering of one part in a worker; returns its marks.

    Raises:
        PackError: the pack was replaced by another one.
        InputError: the disk is full.
    """
    pack = _open(pack_folder, identity)
    if pack.identity != identity:
        raise PackError(f"{safe(pack_folder)} was packed anew meanwhile; give the command again")
    rows = part_rows(number, pack.info)
    pictures = pack.read(rows)
    digests = [pixels_digest(pixels) for pixels in pictures]
    known = _known(tuple(older), identity) if older else {}
    lines = [
        _lines(pixels, known.get(digest)) for pixels, digest in zip(pictures, digests, strict=True)
    ]
    write_part(Path(folder), identity, number, digests, lines)
    return len(rows)


def _lines(pixels: Pixels, known: list[Line] | None) -> list[Line]:
    """The lines of a mark, read only where they are not known."""
    return open_reader()(pixels) if known is None else known


@functools.lru_cache(maxsize=1)
def _open(folder: str, _identity: str) -> Pack:
    """The pack in a folder, opened once for each identity that it is to have."""
    return open_pack(Path(folder))


@functools.lru_cache(maxsize=1)
def _known(folders: tuple[str, ...], _identity: str) -> dict[str, list[Line]]:
    """What other letterings know, by the digest of a mark's pixels."""
    return dict(read_known([Path(folder) for folder in folders]))
