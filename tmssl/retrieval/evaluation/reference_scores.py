"""Scores of the encoders that an evaluation is compared with, kept in the run and reused."""

import dataclasses
import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated

import faiss
import msgspec
import numpy as np

from tmssl.files import write_atomic
from tmssl.retrieval.evaluation.relevance import group_mates
from tmssl.retrieval.evaluation.scoring import Ranking, ScoreKey, mean_values, measure
from tmssl.retrieval.evaluation.task import EvaluationTask
from tmssl.retrieval.index.faiss_index import build_index
from tmssl.retrieval.index.leave_one_out import mate_ranks, search_rows
from tmssl.retrieval.index.regional import RegionalIndex
from tmssl.retrieval.index.regional_rows import regional_mate_ranks, search_regional_rows
from tmssl.retrieval.vectors.descriptor import Descriptor
from tmssl.retrieval.vectors.embed import break_ties
from tmssl.runs.folder import Run
from tmssl.runs.ranges import Count
from tmssl.types import Indices, Vectors

MeanValues = Mapping[ScoreKey, float]

_VERSION = 3  # raise it when a metric, the hash or the input of an encoder changes


class StoredMean(msgspec.Struct, frozen=True):
    """The mean of one score in a file of reference scores."""

    metric: str
    level: str
    codes: str
    k: Count
    value: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]


def references_path(folder: Path, task: EvaluationTask, descriptor_key: str) -> Path:
    """Where the scores of one descriptor at one task are kept, in the run's folder of evaluations."""
    excluded = [rows.tolist() for rows in task.excluded if len(rows)]
    identity = f"{_VERSION} {task.pack.identity} {descriptor_key} {task.topk} ".encode()
    identity += task.queries.tobytes() + str(excluded).encode()
    return folder / f"references-{hashlib.sha256(identity).hexdigest()[:16]}.json"


def read_references(path: Path) -> MeanValues | None:
    """The kept scores, or None where there are none that can be read."""
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=list[StoredMean])
    except (
        OSError,
        ValueError,
        RecursionError,
    ):  # they are measured again, so no error is reported
        return None
    return {ScoreKey(s.metric, s.level, s.codes, s.k): s.value for s in stored}


def write_references(path: Path, means: MeanValues) -> None:
    """Keep scores; the file appears complete or not at all."""
    stored = [StoredMean(*key, value) for key, value in means.items()]
    write_atomic(path, msgspec.json.encode(stored))


def rank_gallery(
    index: faiss.Index,
    task: EvaluationTask,
    phase: str,
    *,
    untied: faiss.Index | None = None,
    approximate: faiss.Index | None = None,
    regional: RegionalIndex | None = None,
) -> tuple[Vectors, Ranking]:
    """Search the gallery for every query; similarities (q, K) and the ranking.

    The nearest marks come from `untied` where the vectors of `index` tie often, or from `approximate`
    if given, or from `regional` by several vectors of each mark. Ranks of a query's group are exact and count ties worst, so they need no ties broken.
    """
    progress = task.start_phase(phase)
    if regional is not None:
        similarity, top = search_regional_rows(
            regional, task.queries, max(task.topk), progress, excluded=task.excluded
        )
    else:
        similarity, top = search_rows(
            untied or index,
            task.queries,
            max(task.topk),
            progress,
            excluded=task.excluded,
            device=task.device,
            approximate=approximate,
        )
    rows_of = group_mates(task.labels.groups)
    none = np.empty(0, np.int64)
    mates: list[Indices] = [
        np.setdiff1d(rows_of.get(task.labels.groups[row], none), np.append(excluded, row))
        for row, excluded in zip(task.queries.tolist(), task.excluded, strict=True)
    ]
    progress = task.start_phase(f"{phase} groups")
    if regional is not None:
        ranks = regional_mate_ranks(regional, task.queries, mates, progress, excluded=task.excluded)
    else:
        ranks = mate_ranks(index, task.queries, mates, progress, excluded=task.excluded)
    return similarity, Ranking(top, ranks)


@dataclasses.dataclass(frozen=True)
class DescribedGallery:
    """The gallery as one descriptor sees it; it is embedded when first needed."""

    task: EvaluationTask
    descriptor: Descriptor

    @cached_property
    def indexes(self) -> tuple[faiss.Index, faiss.Index | None]:
        """The exact index, and one with ties broken if the descriptor has many."""
        progress = self.task.start_phase(f"embedding, {self.descriptor.name}")
        vectors = self.descriptor.embed_pack(self.task.pack, progress)
        untied = build_index(break_ties(vectors)) if self.descriptor.has_ties else None
        return build_index(vectors), untied


def reference_means(run: Run, gallery: DescribedGallery) -> MeanValues:
    """Mean scores of a descriptor, measured if the run does not keep them."""
    task, descriptor = gallery.task, gallery.descriptor
    path = references_path(run.eval, task, descriptor.key)
    means = read_references(path)
    if means is None:
        index, untied = gallery.indexes
        _, ranking = rank_gallery(index, task, f"searching, {descriptor.name}", untied=untied)
        task.start_phase("scoring a reference")
        means = mean_values(measure(task.labels, task.queries, ranking, task.topk, task.excluded))
        write_references(path, means)
    return means
