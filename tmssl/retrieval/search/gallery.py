"""A run's gallery, opened for search: its marks, its index, and the encoder that embeds a query.

What a search reports of the marks it finds is in search.py.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.config import read_config
from tmssl.data.pack.info import PackInfo, open_marks, read_info
from tmssl.data.sources.marks import MarkTable
from tmssl.data.views.augment import plain_view
from tmssl.errors import InputError
from tmssl.retrieval.index.exact import search_one
from tmssl.retrieval.index.faiss_index import open_index
from tmssl.retrieval.search.manifest import IndexManifest, find_manifest
from tmssl.retrieval.search.traced_encoder import load_traced_encoder
from tmssl.runs.folder import Run
from tmssl.text import safe
from tmssl.types import Indices, Mask, Pixels, Progress, Vectors


@dataclasses.dataclass(frozen=True)
class Gallery:
    """A run's marks, open for search."""

    run: Run
    folder: Path
    """of the pack"""
    facts: PackInfo
    manifest: IndexManifest
    marks: MarkTable
    index: faiss.Index
    """exact, one vector a mark"""
    index_path: Path
    encode: Callable[[Tensor], Tensor]
    """from a view, float32 (1, 3, s, s), to features (1, f), on the CPU"""
    whitening: Callable[[Vectors], Vectors] | None = None
    """from unit vectors of the encoder to those of the index, where the index is whitened"""
    approximate: faiss.Index | None = None
    """searched instead of `index` where there is no filter"""
    overlap: float | None = None
    """overlap@10 of the approximate index with the exact one"""


def open_gallery(
    run: Run,
    *,
    checkpoint: str = "best",
    whiten: int = 0,
    factory: str = "",
    device: str = "auto",
    phase: Callable[[str], None] = lambda name: None,
    progress: Progress | None = None,
) -> Gallery:
    """Open a run's gallery; its marks are embedded first where no index of them is kept.

    Args:
        run: the run.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        whiten: features kept by PCA-whitening of the vectors; 0 does not whiten.
        factory: faiss's factory string of an approximate index; empty searches exactly.
        device: where the marks are embedded.
        phase: called with the name of each phase of the preparation as it begins.
        progress: called with (done, total) of the phase.

    Raises:
        InputError: there is no checkpoint or pack, an index is damaged, or faiss does not know the
            factory.
    """
    folder = Path(read_config(run.config).data.pack)
    facts = read_info(folder)
    manifest = find_manifest(run, checkpoint, facts)
    if manifest is None:
        # timm takes longer to import than the search itself.
        from tmssl.retrieval.search.indexing import index_run

        manifest = index_run(
            run, checkpoint, facts, folder, device=device, phase=phase, progress=progress
        )
    path = run.index / manifest.index
    index, whitening, approximate, overlap = open_index(path), None, None, None
    if index.ntotal != facts.count:
        raise InputError(
            f"{safe(path)} holds {index.ntotal:,} marks of {facts.count:,}; "
            "remove it and search again"
        )
    if whiten:
        from tmssl.retrieval.vectors.whitening import whitened_index

        phase("whitening")
        index, whitening, path = whitened_index(index, path, whiten, progress)
    if factory:
        from tmssl.retrieval.index.approximate import factory_index, overlap_at_10

        phase(f"building {safe(factory, 40)}")
        approximate = factory_index(index, path, factory, progress)
        overlap = overlap_at_10(index, approximate)
    return Gallery(
        run=run,
        folder=folder,
        facts=facts,
        manifest=manifest,
        marks=open_marks(folder, facts),
        index=index,
        index_path=path,
        encode=_open_encoder(run, manifest),
        whitening=whitening,
        approximate=approximate,
        overlap=overlap,
    )


def _open_encoder(run: Run, manifest: IndexManifest) -> Callable[[Tensor], Tensor]:
    """The traced encoder, or the one that timm builds where it could not be traced."""
    if manifest.encoder:
        return load_traced_encoder(run.index / manifest.encoder)
    from tmssl.retrieval.vectors.embed import inference_copy, trained_encoder
    from tmssl.runs.checkpoints import digest
    from tmssl.training.checkpoints.store import load_weights

    # A later checkpoint may have taken the name since.
    candidates = [run.path / manifest.checkpoint, *sorted(run.checkpoints.glob("*.pt"))]
    for path in candidates:
        if path.is_file() and digest(path) == manifest.checkpoint_sha256:
            return inference_copy(trained_encoder(load_weights(path)), torch.device("cpu"))
    raise InputError(
        f"the checkpoint that {safe(run.index / manifest.index)} was made with is gone; evaluate again"
    )


def embed_query(gallery: Gallery, pixels: Pixels) -> Vectors:
    """The unit vector (1, f) of a preprocessed image, uint8 (s, s, 3), to compare with the index's.

    Raises:
        InputError: the index holds vectors of another width.
    """
    view = plain_view(torch.from_numpy(pixels.copy())[None], gallery.manifest.image_size)
    with torch.inference_mode(), _one_thread():
        vector = functional.normalize(gallery.encode(view).float()).numpy()
    vector = gallery.whitening(vector) if gallery.whitening else vector
    if vector.shape[1] != gallery.index.d:
        raise InputError(
            f"{safe(gallery.index_path)} holds vectors of {gallery.index.d} features, "
            f"and the encoder gives {vector.shape[1]}; remove it and search again"
        )
    return vector


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch in one thread: with one image several would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def nearest_marks(
    gallery: Gallery, query: Vectors, k: int, mask: Mask | None = None
) -> tuple[Vectors, Indices]:
    """Cosines (k,), falling, and rows (k,) of the marks nearest to a query (1, f).

    A mask, bool (marks,), restricts the search to its marks and makes it exact. Without one the
    approximate index, where there is one, may find fewer than k.
    """
    if gallery.approximate is None or mask is not None:
        return search_one(gallery.index, query, k, mask)
    # It brings the packs' decoder, which an exact search does without.
    from tmssl.retrieval.index.approximate import search_approximate

    similarity, rows = search_approximate(gallery.index, gallery.approximate, query, k)
    found = rows[0] >= 0
    return np.clip(similarity[0][found], -1, 1), rows[0][found]
