"""Divide the parts of a file of vectors among the processes that embed them, and join them in the first."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tmssl.errors import InputError
from tmssl.retrieval.index.parts import Parts
from tmssl.training.ranks.distributed import Ranks
from tmssl.types import Progress

PATIENCE_S = 90.0
"""NFS shows a new file of another machine within 60 s"""
_Codes = TypeVar("_Codes")


def missing_parts(parts: Parts, ranks: Ranks) -> list[range]:
    """The rows of the parts that are still to be made, as the first process sees them.

    Raises:
        InputError: a part is of another encoder or pack, or cannot be read.
    """
    missing: list[range] = ranks.share(
        parts.missing() if ranks.is_first and not parts.joined else []
    )
    return missing


def own_parts(missing: Sequence[range], ranks: Ranks) -> Sequence[range]:
    """The missing parts that this process makes."""
    return missing[ranks.rank :: ranks.size]


def write_own(
    missing: Sequence[range],
    ranks: Ranks,
    codes: Iterator[_Codes],
    write: Callable[[range, _Codes], None],
) -> None:
    """Write what this process makes of each of its own parts.

    Raises:
        InputError: the disk is full.
        RankLostError: another process ended, which is told after a part.
    """
    for at in range(0, len(missing), ranks.size):
        if at + ranks.rank < len(missing):
            write(missing[at + ranks.rank], next(codes))
        ranks.barrier()


def of_all(progress: Progress | None, ranges: Sequence[range]) -> Progress | None:
    """The progress of all ranges by that of the part of them that a process embeds."""
    if progress is None:
        return None
    marks, show = sum(map(len, ranges)), progress
    return lambda done, total: show(marks * done // total, marks)


def join_parts(parts: Parts, join: Callable[[], None], patience_s: float = 0.0) -> None:
    """Join parts and remove them, unless what they are of is there, as by another command at the same time.

    Args:
        parts: the parts.
        join: joins them.
        patience_s: how long to wait for a part; a disk of several machines may show one of another
            machine only after a while.

    Raises:
        InputError: a part is missing or damaged, or the disk is full.
    """
    deadline = time.monotonic() + patience_s
    while not parts.joined and parts.absent() and time.monotonic() < deadline:
        time.sleep(1.0)
    try:
        if not parts.joined:
            join()
    except InputError:
        if not parts.joined:
            raise
    parts.remove()
