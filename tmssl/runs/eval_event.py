"""A retrieval evaluation as a journal holds it: its figures, each beside its chance level."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from tmssl.runs.ranges import Count, EpochsDone, UnixTime

_Figure = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of an evaluation, beside its chance level."""

    value: _Figure | None = None
    """the figure"""
    chance: _Figure | None = None
    """its expectation for a random ranking"""
    low: _Figure | None = None
    """lower end of the 95 % bootstrap interval over queries"""
    high: _Figure | None = None
    """upper end of that interval"""
    queries: Count = 0
    """queries that could be scored"""
    references: dict[str, _Figure | None] = {}
    """the same figure for `before training`, `HOG whitened` and others that were compared"""


class Score(Measured, frozen=True, kw_only=True):
    """One figure over all queries."""

    metric: str = ""
    """such as `hit`, `map`, `group_recall` or `invariance`; retrieval/evaluation/metrics.py lists them"""
    level: str = ""
    """`category`, `division`, `section`, `group`, or `copy` without labels"""
    codes: str = "all"
    """`all`, `figurative` (categories 1 to 24) or `macro` (mean over divisions)"""
    k: Count = 0
    """length of the result list, 0 for a metric over the whole ranking"""


class Division(Measured, frozen=True, kw_only=True):
    """hit@k of the queries of one Vienna division: the share that finds another mark of it."""

    code: str = ""
    """the division, such as `03.01`"""
    title: str = ""
    """its title in the Vienna classification"""
    k: Count = 0
    """length of the result list, the shortest of the evaluation"""


class Eval(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="eval"):
    """A retrieval evaluation."""

    epoch: EpochsDone = 0.0
    """epoch of the checkpoint"""
    step: Count = 0
    """step of the checkpoint"""
    checkpoint: str = ""
    """path of the checkpoint inside the run folder"""
    split: str = ""
    """where the queries came from: `validation`, or `sample` when there is no split"""
    queries: Count = 0
    """number of queries"""
    gallery: Count = 0
    """number of marks searched"""
    fingerprint: str = ""
    """of the pack searched; empty in older journals"""
    changes: Count = 0
    """times that marks were added to those of the training, or removed from them, to make that pack"""
    scores: list[Score] = []
    """the figures"""
    divisions: list[Division] = []
    """hit@k of each Vienna division that a query has"""
    robustness: list[Score] = []
    """recall of the unchanged mark for each change of the query (`codes`); empty unless asked for"""
    duplicates: Count = 0
    """near-duplicates of queries in the gallery"""
    duplicated: Count = 0
    """queries that have a near-duplicate"""
    without_duplicates: bool = False
    """whether near-duplicates were left out of lists, relevance and chance"""
    whitened: Count = 0
    """features kept by PCA-whitening of every encoder and of HOG; 0 without whitening"""
    views: Count = 1
    """vectors of each mark that were compared: of the whole, and of regions of it; 1 is the whole alone"""
    index: str = ""
    """faiss factory string of the index that was searched; empty for exact search"""
    overlap: _Figure | None = None
    """overlap@10 of that index with exact search"""
    matches: str = ""
    """path of the matches file inside the run folder"""
    seconds: float | None = None
    """wall time"""
    t: UnixTime = 0.0
    """Unix time, seconds"""


def manner(event: Eval) -> str:
    """How an evaluation differs from a plain one, `whitened to 64 features`; empty for a plain one."""
    parts = [f"whitened to {event.whitened} features"] if event.whitened else []
    parts += [f"with {event.views} views of each mark"] if event.views > 1 else []
    parts += [f"by index {event.index}"] if event.index else []
    parts += ["without near-duplicates"] if event.without_duplicates else []
    parts += [f"in a changed gallery ({event.fingerprint[:8]})"] if event.changes else []
    return ", ".join(parts)


def comparable(events: Sequence[Eval], metric: str) -> list[Eval]:
    """The evaluations of this run whose figures of a metric can be compared.

    These are the plain ones; if none is plain, those of the same manner as the newest. For `invariance`
    only those with the most queries count: the more copies there are, the fewer find their original.
    """
    events = [event for event in events if not event.checkpoint.startswith("/")]  # of another run
    manners = [manner(event) for event in events]
    chosen = "" if "" in manners else manners[-1] if manners else ""
    alike = [event for event, own in zip(events, manners, strict=True) if own == chosen]
    if metric != "invariance":
        return alike
    most = max((event.queries for event in alike), default=0)
    return [event for event in alike if event.queries == most]
