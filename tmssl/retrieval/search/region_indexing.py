"""Index the regions of a run's marks: embed them where that was not done."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import torch

from tmssl.data.pack.reader import Pack
from tmssl.retrieval.index.known_vectors import KnownVectors
from tmssl.retrieval.index.regional import (
    RegionalIndex,
    open_regional,
    regional_files,
    write_regional,
)
from tmssl.retrieval.index.regional_search import BLOCK, decode
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.retrieval.vectors.region_vectors import embed_regions
from tmssl.training.checkpoints.store import Weights
from tmssl.types import Indices, Progress, Vectors


def build_missing_regional(
    whole: faiss.Index,
    path: Path,
    views: int,
    weights: Weights,
    pack: Pack,
    *,
    device: torch.device,
    start_phase: Callable[[str], Progress | None],
) -> RegionalIndex:
    """The vectors of the regions of a pack's marks, after embedding them if they are not kept.

    Where the run keeps those of the pack that this one was made from, only those of new marks are embedded.

    Args:
        whole: index of the whole marks.
        path: its file.
        views: regions of each mark, with the whole.
        weights: of the encoder.
        pack: the marks.
        device: where they are embedded.
        start_phase: takes the name of a phase that begins, returns the callback for its progress.

    Raises:
        InputError: what is kept is damaged, or the disk is full.
    """
    files = regional_files(path, views)
    if not files.exist():
        old, rows = _of_parent(path.parent, views, weights, pack)
        new = embed_regions(
            trained_encoder(weights),
            pack,
            views,
            whole.d,
            image_size=weights.config.data.image_size,
            device=device,
            first=len(rows),
            progress=start_phase(f"embedding {views - 1} regions of each mark"),
        )
        write_regional(files, whole, itertools.chain(_copied(old, rows), new))
    return open_regional(files, whole)


def _of_parent(
    folder: Path, views: int, weights: Weights, pack: Pack
) -> tuple[RegionalIndex | None, Indices]:
    """The regions' vectors of a pack's parent, and the rows of those that are its first marks; none if not kept."""
    known = KnownVectors.find(folder, weights, pack)
    if known.path is not None and known.index is not None:
        files = regional_files(known.path, views)
        if files.exist():
            return open_regional(files, known.index), known.rows
    return None, np.empty(0, np.int64)


def _copied(old: RegionalIndex | None, rows: Indices) -> Iterator[tuple[Indices, Vectors]]:
    """Some marks' vectors of regions under their new rows, which become the same bytes again."""
    for begin in range(0, len(rows) if old else 0, BLOCK):
        chosen = rows[begin : begin + BLOCK]
        assert old is not None
        yield np.arange(begin, begin + len(chosen)), decode(old, chosen).parts
