"""Example queries of an evaluation: which ones to show, and the frame of a hit."""

import random
from collections.abc import Sequence

import numpy as np

from tmssl.data.vienna import is_figurative
from tmssl.retrieval.evaluation.matches import QueryMatches
from tmssl.types import Pixels

WORST, SAMPLE = "worst failures", "random sample"
_COLOURS = {"same group": (0, 110, 40), "hit": (60, 170, 60), "duplicate": (140, 100, 190)}
_NO_HIT = 1 << 40  # rank of a hit that is not in the list


Examples = Sequence[tuple[str, QueryMatches]]
"""queries, each with the part of the page or sheet that it belongs to"""


def choose_examples(
    queries: Sequence[QueryMatches], limit: int, seed: int = 0
) -> list[tuple[str, QueryMatches]]:
    """The worst failures and a random sample of the others, about half each, each with its part.

    A failure is a query that could have a hit but whose nearest mark is none. It could have one if it
    has a group or a figurative code (any code, if no query has a figurative one). The later its first
    hit, the worse; then, the more similar the wrong mark.

    Args:
        queries: of an evaluation.
        limit: at most so many.
        seed: of the sample.
    """
    figurative = any(is_figurative(code) for query in queries for code in query.vienna)
    failures = [
        query
        for query in queries
        if query.matches
        and not query.matches[0].hit
        and (query.group or any(is_figurative(code) or not figurative for code in query.vienna))
    ]
    failures.sort(key=lambda q: (-(q.first_hit or _NO_HIT), -q.matches[0].similarity, q.row))
    worst = failures[: limit // 2]
    taken = {query.row for query in worst}
    others = [query for query in queries if query.row not in taken]
    sample = random.Random(seed).sample(others, min(len(others), limit - len(worst)))
    sample.sort(key=lambda query: query.row)
    return [*((WORST, query) for query in worst), *((SAMPLE, query) for query in sample)]


def framed(pixels: Pixels, verdict: str) -> Pixels:
    """A picture in a frame of its verdict's colour; one that is no hit has no frame.

    Args:
        pixels: uint8 (h, w, 3).
        verdict: as `matches.verdict` returns it.
    """
    if verdict not in _COLOURS:
        return pixels
    width = max(1, len(pixels) // 14)
    frame = np.empty((len(pixels) + 2 * width, pixels.shape[1] + 2 * width, 3), np.uint8)
    frame[:] = _COLOURS[verdict]
    frame[width:-width, width:-width] = pixels
    return frame
