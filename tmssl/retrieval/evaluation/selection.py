"""Which queries of an evaluation are worth looking at, and how a hit is framed."""

import random
from collections.abc import Sequence

import numpy as np

from tmssl.data.vienna import is_figurative
from tmssl.retrieval.evaluation.matches import Match, QueryMatches
from tmssl.types import Pixels

WORST, SAMPLE = "worst failures", "random sample"


_COLOURS = {
    "same group": (0, 110, 40),
    "hit": (60, 170, 60),
    "duplicate": (140, 100, 190),
}
_SEARCHED_PAST = 1 << 40  # rank of a hit that was not found


def choose_shown(
    queries: Sequence[QueryMatches], show: int, seed: int = 0
) -> list[tuple[str, QueryMatches]]:
    """The worst failures and a random sample of the others, about half each, with which it is.

    A failure is a query that could have a hit, having a figurative code (or any, where none has) or a
    group, and whose nearest mark is none.
    The later its first hit the worse, and among those the more alike the wrong mark seemed.

    Args:
        queries: of an evaluation.
        show: at most so many.
        seed: of the sample.
    """
    figurative = any(is_figurative(code) for query in queries for code in query.vienna)
    failed = [
        query
        for query in queries
        if query.matches
        and not query.matches[0].hit
        and (query.group or any(is_figurative(code) or not figurative for code in query.vienna))
    ]
    failed.sort(
        key=lambda query: (
            -(query.first_hit or _SEARCHED_PAST),
            -query.matches[0].similarity,
            query.row,
        )
    )
    worst = failed[: show // 2]
    taken = {query.row for query in worst}
    others = [query for query in queries if query.row not in taken]
    drawn = random.Random(seed).sample(others, min(len(others), show - len(worst)))
    drawn.sort(key=lambda query: query.row)
    return [*((WORST, query) for query in worst), *((SAMPLE, query) for query in drawn)]


def verdict(match: Match, query: QueryMatches) -> str:
    """`duplicate`, `same group`, `hit` or `miss`; `unlabelled` for a query that nothing can be judged by."""
    if match.duplicate:
        return "duplicate"
    if not query.labelled:
        return "unlabelled"
    return "same group" if match.same_group else "hit" if match.hit else "miss"


def framed(pixels: Pixels, word: str) -> Pixels:
    """A picture within a frame in the colour of a verdict; one that is no hit has none.

    Args:
        pixels: uint8 (h, w, 3).
        word: as `verdict` says it.
    """
    if word in ("miss", "unlabelled"):
        return pixels
    width = max(1, len(pixels) // 14)
    frame = np.empty((len(pixels) + 2 * width, pixels.shape[1] + 2 * width, 3), np.uint8)
    frame[:] = _COLOURS[word]
    frame[width:-width, width:-width] = pixels
    return frame
