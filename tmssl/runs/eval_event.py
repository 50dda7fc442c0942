"""A retrieval evaluation as a journal holds it: its figures, each beside its chance level."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""A number of steps, marks or epochs; a line with one that no run can reach is damage."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of an evaluation, never without its chance level."""

    metric: str = ""
    """`hit`, `precision`, `recall`, `map`, `ndcg`, `group_recall`, `group_map`, `group_nar`, `invariance`, `stability`"""
    level: str = ""
    """`category`, `division`, `section`, `group`, or `copy` without labels"""
    codes: str = "all"
    """`all`, `figurative` (categories 1 to 24) or `macro` (mean over divisions)"""
    k: Count = 0
    """length of the result list, 0 for a metric over the whole ranking"""
    value: float | None = None
    """the figure"""
    chance: float | None = None
    """its expectation for a random ranking"""
    low: float | None = None
    """lower end of the 95 % bootstrap interval over queries"""
    high: float | None = None
    """upper end"""
    queries: Count = 0
    """queries that could be scored"""
    references: dict[str, float | None] = {}
    """the same figure for `untrained`, `perceptual hash` and whatever else was compared"""


class Division(msgspec.Struct, frozen=True, kw_only=True):
    """hit@k of the queries of one Vienna division."""

    code: str = ""
    """the division, such as `03.01`"""
    title: str = ""
    """what it is about"""
    k: Count = 0
    """length of the result list, the shortest of the evaluation"""
    value: float | None = None
    """share of its queries that find another mark of it"""
    chance: float | None = None
    """its expectation for a random ranking"""
    low: float | None = None
    """lower end of the 95 % bootstrap interval over queries"""
    high: float | None = None
    """upper end"""
    queries: Count = 0
    """queries of the division"""
    references: dict[str, float | None] = {}
    """the same figure for the encoders of the scores"""


class Eval(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="eval"):
    """A retrieval evaluation."""

    epoch: float = 0.0
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
    scores: list[Score] = []
    """the figures"""
    divisions: list[Division] = []
    """the figure of each Vienna division that a query has"""
    robustness: list[Score] = []
    """known-item recall by change of the query (`codes`), where it was asked for"""
    duplicates: Count = 0
    """near-duplicates of queries among the marks"""
    duplicated: Count = 0
    """queries that have one"""
    without_duplicates: bool = False
    """whether they were left out of lists, relevance and chance"""
    whitened: Count = 0
    """features kept by PCA-whitening of every encoder and of HOG; 0 where it was not asked for"""
    index: str = ""
    """faiss's factory string of the index that gave the nearest marks; empty is exact"""
    overlap: float | None = None
    """overlap@10 of that index with the exact one"""
    matches: str = ""
    """path of the matches file inside the run folder"""
    seconds: float | None = None
    """wall time"""
    t: float = 0.0
    """Unix time, seconds"""


def manner(event: Eval) -> str:
    """How an evaluation differs from a plain one, `whitened to 64 features`; empty for a plain one."""
    told = [f"whitened to {event.whitened} features"] if event.whitened else []
    told += [f"by index {event.index}"] if event.index else []
    told += ["without near-duplicates"] if event.without_duplicates else []
    return ", ".join(told)


def comparable(events: Sequence[Eval], metric: str) -> list[Eval]:
    """Those evaluations whose figures of a metric can stand side by side.

    The plain ones; where none is plain, those of the newest one's manner. Of `invariance` only those with
    the most queries: the more copies, the fewer find their original.
    """
    events = [event for event in events if not event.checkpoint.startswith("/")]  # of another run
    manners = [manner(event) for event in events]
    chosen = "" if "" in manners else manners[-1] if manners else ""
    kept = [event for event, own in zip(events, manners, strict=True) if own == chosen]
    if metric != "invariance":
        return kept
    most = max((event.queries for event in kept), default=0)
    return [event for event in kept if event.queries == most]
