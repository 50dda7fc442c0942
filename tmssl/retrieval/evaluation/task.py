"""What one evaluation is about: weights, gallery, queries, and what each query does not search."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch

from tmssl.data.pack.reader import Pack
from tmssl.errors import InputError
from tmssl.retrieval.evaluation.near_duplicates import (
    duplicates_path,
    near_duplicates,
    read_duplicates,
    write_duplicates,
)
from tmssl.retrieval.evaluation.scoring import GalleryLabels
from tmssl.retrieval.vectors.embed import hash_pack
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import Weights
from tmssl.types import Indices, Progress


@dataclasses.dataclass(frozen=True)
class EvaluationTask:
    """The queries of an evaluation and all that answering them takes."""

    weights: Weights
    pack: Pack
    labels: GalleryLabels
    queries: Indices
    """rows of the queries, ascending, (q,)"""
    split: str
    """where the queries came from: `validation` or `sample`"""
    duplicates: list[Indices]
    """for each query the rows of its near-duplicates"""
    excluded: list[Indices]
    """for each query the rows that are not searched, besides its own"""
    topk: list[int]
    device: torch.device
    start_phase: Callable[[str], Progress | None]
    """takes the name of the phase that begins, returns the callback for its progress"""


def prepare_task(
    run: Run,
    weights: Weights,
    pack: Pack,
    topk: Sequence[int],
    *,
    queries: int,
    seed: int,
    device: torch.device,
    start_phase: Callable[[str], Progress | None],
    exclude_duplicates: bool,
) -> EvaluationTask:
    """Choose the queries, find their near-duplicates, and cut `topk` to what a query can find.

    Raises:
        InputError: no query could find anything.
    """
    if pack.count < 2:
        raise InputError(f"the pack holds {pack.count} mark; a search needs at least two")
    rows, split = choose_queries(pack, queries, seed)
    run.eval.mkdir(exist_ok=True)
    path = duplicates_path(run.eval, pack, rows)
    duplicates = read_duplicates(path, len(rows), pack.count)
    if duplicates is None:
        hashes = hash_pack(pack, progress=start_phase("hashing"))
        progress = start_phase("comparing near-duplicates")
        duplicates = near_duplicates(pack, hashes, rows, progress)
        write_duplicates(path, duplicates)
    excluded = duplicates if exclude_duplicates else [np.empty(0, np.int64)] * len(rows)
    longest = pack.count - 1 - max(map(len, excluded))
    if longest < 1:
        raise InputError(
            "without near-duplicates a query has nothing left to find; "
            "evaluate without --exclude-duplicates"
        )
    return EvaluationTask(
        weights=weights,
        pack=pack,
        labels=GalleryLabels(pack.marks.codes(), pack.marks.column("group", str, "")),
        queries=rows,
        split=split,
        duplicates=duplicates,
        excluded=excluded,
        topk=sorted({min(k, longest) for k in topk}),
        device=device,
        start_phase=start_phase,
    )


def choose_queries(pack: Pack, limit: int, seed: int) -> tuple[Indices, str]:
    """Rows of the queries, ascending, and where they came from: `validation` or `sample`."""
    splits = pack.marks.column("split", str, "")
    validation = [i for i, split in enumerate(splits) if split == "validation"]
    rows = np.array(validation or range(pack.count), dtype=np.int64)
    if limit and len(rows) > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return rows, "validation" if validation else "sample"
