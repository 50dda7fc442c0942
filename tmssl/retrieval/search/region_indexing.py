"""Index the regions of a run's marks: embed them where that was not done."""

from collections.abc import Callable
from pathlib import Path

import faiss
import torch

from tmssl.data.pack.reader import Pack
from tmssl.retrieval.index.regional import (
    RegionalIndex,
    open_regional,
    regional_files,
    write_regional,
)
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.retrieval.vectors.region_vectors import embed_regions
from tmssl.training.checkpoints.store import Weights
from tmssl.types import Progress


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
        vectors = embed_regions(
            trained_encoder(weights),
            pack,
            views,
            whole.d,
            image_size=weights.config.data.image_size,
            device=device,
            progress=start_phase(f"embedding {views - 1} regions of each mark"),
        )
        write_regional(files, whole, vectors)
    return open_regional(files, whole)
