"""How much the nearest marks still change between checkpoints, which needs no label."""

from collections.abc import Sequence

import numpy as np

from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import MatchesHeader, QueryMatches, read_matches
from tmssl.retrieval.evaluation.metrics import interval
from tmssl.runs.events import Eval, Score
from tmssl.runs.folder import Run
from tmssl.runs.journal import read_journal

_LENGTH = 10  # marks of each list that are compared


def stability(
    run: Run, header: MatchesHeader, step: int, found: Sequence[QueryMatches], *, seed: int = 0
) -> Score | None:
    """The mean overlap of each query's first 10 marks with those that the checkpoint before found.

    The chance level is that of two random lists of k out of G marks: k / G. None where no earlier
    checkpoint was asked the same: other marks, other queries, near-duplicates treated otherwise, or
    vectors whitened or searched otherwise.

    Args:
        run: the run.
        header: of the matches.
        step: of the checkpoint.
        found: its matches.
        seed: of the bootstrap.
    """
    before = _before(run, header, step)
    pairs = [
        ([m.row for m in query.matches], before[query.row])
        for query in found
        if query.row in before
    ]
    k = min([_LENGTH, *(len(rows) for pair in pairs for rows in pair)])
    if not pairs or k == 0:
        return None
    overlaps = np.array([len(set(new[:k]) & set(old[:k])) / k for new, old in pairs])
    low, high = interval(overlaps, seed)
    return Score(
        metric="stability",
        level="copy",
        k=k,
        value=float(overlaps.mean()),
        chance=k / (header.gallery - 1),
        low=low,
        high=high,
        queries=len(pairs),
    )


def _before(run: Run, header: MatchesHeader, step: int) -> dict[int, list[int]]:
    """The lists of the newest earlier checkpoint, by row of the query."""
    earlier = [
        event
        for event in (read_journal(run.journal) if run.journal.exists() else [])
        if isinstance(event, Eval) and event.step < step and event.matches
    ]
    for event in sorted(earlier, key=lambda event: -event.step):
        try:
            other, queries = read_matches(run.path / event.matches)
        except InputError:  # removed or damaged since: the one before it will do
            continue
        if _asked(other) == _asked(header):
            return {query.row: [match.row for match in query.matches] for query in queries}
    return {}


def _asked(header: MatchesHeader) -> tuple[object, ...]:
    """What two evaluations must agree in."""
    return (
        header.fingerprint,
        header.gallery,
        header.without_duplicates,
        header.whitened,
        header.index,
    )
