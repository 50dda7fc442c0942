"""stability: how much the nearest marks still change between checkpoints; needs no label."""

from collections.abc import Sequence

import numpy as np

from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import MatchesHeader, QueryMatches, read_matches
from tmssl.retrieval.evaluation.scoring import ScoreKey, mean_score
from tmssl.runs.events import Eval, Score
from tmssl.runs.folder import Run
from tmssl.runs.journal import read_journal

_LENGTH = 10  # marks of a list that are compared


def stability(
    run: Run, header: MatchesHeader, step: int, matches: Sequence[QueryMatches], *, seed: int = 0
) -> Score | None:
    """Share of each query's top 10 that the previous checkpoint also returned.

    The chance level is that of two random lists of k out of G marks: k / G. None if no earlier
    evaluation had the same marks, queries, treatment of near-duplicates, whitening and index.

    Args:
        run: the run.
        header: of the matches.
        step: of the checkpoint.
        matches: of the checkpoint.
        seed: of the bootstrap.
    """
    previous = _previous_lists(run, header, step)
    pairs = [
        ([match.row for match in query.matches], previous[query.row])
        for query in matches
        if query.row in previous
    ]
    k = min([_LENGTH, *(len(rows) for pair in pairs for rows in pair)])
    if not pairs or k == 0:
        return None
    overlaps = np.array([len(set(new[:k]) & set(old[:k])) / k for new, old in pairs])
    key = ScoreKey("stability", "copy", "all", k)
    return mean_score(key, overlaps, k / (header.gallery - 1), {}, seed=seed)


def _previous_lists(run: Run, header: MatchesHeader, step: int) -> dict[int, list[int]]:
    """The rows that the newest comparable earlier checkpoint returned, by row of the query."""
    earlier = [
        event
        for event in (read_journal(run.journal) if run.journal.exists() else [])
        if isinstance(event, Eval) and event.step < step and event.matches
    ]
    for event in sorted(earlier, key=lambda event: -event.step):
        try:
            other, queries = read_matches(run.file(event.matches))
        except InputError:  # removed or damaged since: the one before it will do
            continue
        if _setup(other) == _setup(header):
            return {query.row: [match.row for match in query.matches] for query in queries}
    return {}


def _setup(header: MatchesHeader) -> tuple[object, ...]:
    """What two comparable evaluations have in common."""
    return (
        header.fingerprint,
        header.gallery,
        header.without_duplicates,
        header.whitened,
        header.index,
    )
