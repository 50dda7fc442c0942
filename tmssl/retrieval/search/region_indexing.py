"""Index the regions of a run's marks: embed them where that was not done."""

from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import torch

from tmssl.data.lettering.pack_lettering import PackLettering
from tmssl.data.pack.reader import Pack
from tmssl.retrieval.index.known_vectors import KnownVectors
from tmssl.retrieval.index.regional import (
    Bytes,
    RegionalFiles,
    RegionalIndex,
    as_bytes,
    open_regional,
    regional_files,
    wanted_files,
)
from tmssl.retrieval.index.regional_parts import RegionalParts
from tmssl.retrieval.index.regional_search import BLOCK, decode
from tmssl.retrieval.search.divided import (
    join_parts,
    missing_parts,
    of_all,
    own_parts,
    write_own,
)
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.retrieval.vectors.region_vectors import embed_regions
from tmssl.training.checkpoints.store import Weights
from tmssl.training.ranks.distributed import ALONE, Ranks
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

    As for `embed_missing_regions`.

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
        PackError: the pack or its lettering is damaged.
    """
    parts = regional_parts(path, views, pack)
    embed_missing_regions(parts, weights, pack, device=device, start_phase=start_phase)
    join_parts(parts, lambda: parts.join(whole))
    return open_regional(parts.files, whole)


def regional_parts(path: Path, views: int, pack: Pack) -> RegionalParts:
    """The parts of so many vectors of each mark of a pack, beside the index of the whole marks.

    Where the lettering of the pack was read, they are of regions that are cut by it.
    """
    read = PackLettering(pack.folder, pack.info).complete()
    return RegionalParts(wanted_files(path, views, lettering_read=read), pack.count)


def embed_missing_regions(
    parts: RegionalParts,
    weights: Weights,
    pack: Pack,
    *,
    device: torch.device,
    start_phase: Callable[[str], Progress | None],
    ranks: Ranks = ALONE,
) -> None:
    """Embed the regions of a pack's marks, if their vectors are not kept.

    What an earlier process embedded before it was killed is kept. Where the run keeps those of the pack that
    this one was made from, only those of new marks are embedded.

    Args:
        parts: take what is embedded.
        weights: of the encoder.
        pack: the marks.
        device: where they are embedded.
        start_phase: takes the name of a phase that begins, returns the callback for its progress.
        ranks: the processes that embed them together.

    Raises:
        InputError: what is kept is damaged or of another encoder or pack, or the disk is full.
        PackError: the pack or its lettering is damaged.
    """
    missing, files = missing_parts(parts, ranks), parts.files
    if not missing:
        return
    own = own_parts(missing, ranks)
    old, known = _of_parent(files, weights, pack)
    new = [known.rest(rows) for rows in missing]
    phase = f"embedding {files.regions - 1} regions of each mark"
    progress = start_phase(phase) if ranks.is_first and any(new) else None
    embedded = embed_regions(
        trained_encoder(weights),
        pack,
        [known.rest(rows) for rows in own],
        files.regions,
        image_size=weights.config.data.image_size,
        device=device,
        lettered=files.lettered,
        progress=of_all(progress, new),
    )
    codes = (np.concatenate(list(_of_part(rows, old, known, embedded))) for rows in own)
    write_own(missing, ranks, codes, parts.write)


def _of_parent(
    wanted: RegionalFiles, weights: Weights, pack: Pack
) -> tuple[RegionalIndex | None, KnownVectors]:
    """The regions' vectors of a pack's parent, and which of them are those of its first marks; none if not kept.

    `wanted` are the files of the pack itself.
    """
    known = KnownVectors.find(wanted.codes.parent, weights, pack)
    if known.path is not None and known.index is not None:
        files = regional_files(known.path, wanted.regions, lettered=wanted.lettered)
        if files.exist():
            return open_regional(files, known.index), known
    return None, KnownVectors(None, np.empty(0, np.int64))


def _of_part(
    rows: range,
    old: RegionalIndex | None,
    known: KnownVectors,
    embedded: Iterator[tuple[Indices, Vectors]],
) -> Iterator[Bytes]:
    """The vectors of the regions of a part: those of the parent, which become the same bytes again, and the rest."""
    before = known.rows[rows.start : rows.stop]
    for begin in range(0, len(before) if old else 0, BLOCK):
        assert old is not None
        yield as_bytes(decode(old, before[begin : begin + BLOCK]).parts)
    left = len(known.rest(rows))
    while left:
        marks, vectors = next(embedded)
        left -= len(marks)
        yield as_bytes(vectors)
