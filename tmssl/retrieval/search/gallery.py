"""A run's gallery, opened for search: its marks, its index, and the encoder that embeds a query.

What a search reports of the marks it finds is in search.py.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.data.lettering.pack_lettering import PackLettering
from tmssl.data.pack.info import PackInfo, open_marks, read_info
from tmssl.data.pack.searched import searched_pack
from tmssl.data.sources.marks import MarkTable
from tmssl.data.views.augment import plain_view
from tmssl.errors import InputError
from tmssl.retrieval.index.regional import RegionalIndex, open_regional, wanted_files
from tmssl.retrieval.phases import phase_starter
from tmssl.retrieval.search.logos import Logo
from tmssl.retrieval.search.manifest import IndexManifest, find_manifest
from tmssl.retrieval.search.search_index import SearchIndex, open_search_index, with_regions
from tmssl.retrieval.search.traced_encoder import load_traced_encoder
from tmssl.retrieval.vectors.regions import QUERY_REGIONS, Region, cut_regions
from tmssl.retrieval.vectors.word_lines import logo_lines
from tmssl.runs.folder import Run
from tmssl.text import safe
from tmssl.types import Pixels, Progress, Vectors

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack


@dataclasses.dataclass(frozen=True)
class Gallery:
    """A run's marks, open for search."""

    run: Run
    pack_folder: Path
    pack: PackInfo
    manifest: IndexManifest
    marks: MarkTable
    index: SearchIndex
    encode: Callable[[Tensor], Tensor]
    """from a view, float32 (1, 3, s, s), to features (1, f), on the CPU"""

    @functools.cached_property
    def images(self) -> "Pack":
        """The pictures of the marks, opened when they are first wanted."""
        from tmssl.data.pack.reader import (
            open_pack,  # blosc2, which a search without pictures spares
        )

        return open_pack(self.pack_folder, self.marks)


def open_gallery(
    run: Run,
    *,
    checkpoint: str = "best",
    whiten: int = 0,
    factory: str = "",
    views: int = 1,
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
        views: vectors of each mark: of the whole, and of regions of it; 1 is the whole alone.
        device: where the marks are embedded.
        phase: called with the name of each phase of the preparation as it begins.
        progress: called with (done, total) of the phase.

    Raises:
        InputError: there is no checkpoint or pack, an index is damaged, or faiss does not know the
            factory.
    """
    folder = searched_pack(run)
    pack = read_info(folder)
    manifest = find_manifest(run, checkpoint, pack)
    if manifest is None:
        # timm takes longer to import than the search itself.
        from tmssl.retrieval.search.indexing import index_run

        manifest = index_run(
            run, checkpoint, pack, folder, device=device, phase=phase, progress=progress
        )

    start_phase = phase_starter(phase, progress)

    index = open_search_index(
        run.index / manifest.index,
        pack.count,
        start_phase,
        whiten=whiten,
        factory=factory,
        views=views,
    )
    if views > 1:
        read = PackLettering(folder, pack).complete()
        files = wanted_files(run.index / manifest.index, views, lettering_read=read)
        regional = (
            open_regional(files, index.exact)
            if files.exist()
            else _build_regional(run, manifest, index.exact, folder, views, device, start_phase)
        )
        index = with_regions(index, regional, start_phase, factory)
    return Gallery(
        run=run,
        pack_folder=folder,
        pack=pack,
        manifest=manifest,
        marks=open_marks(folder, pack),
        index=index,
        encode=_open_encoder(run, manifest),
    )


def _build_regional(
    run: Run,
    manifest: IndexManifest,
    whole: faiss.Index,
    folder: Path,
    views: int,
    device: str,
    start_phase: Callable[[str], Progress | None],
) -> RegionalIndex:
    """The vectors of the marks' regions, after embedding them."""
    from tmssl.data.pack.reader import open_pack
    from tmssl.retrieval.search.region_indexing import build_missing_regional
    from tmssl.training.checkpoints.store import load_weights
    from tmssl.training.learner import choose_device

    return build_missing_regional(
        whole,
        run.index / manifest.index,
        views,
        load_weights(_checkpoint_of(run, manifest)),
        open_pack(folder),
        device=choose_device(device),
        start_phase=start_phase,
    )


def _open_encoder(run: Run, manifest: IndexManifest) -> Callable[[Tensor], Tensor]:
    """The traced encoder, or the one that timm builds where it could not be traced."""
    if manifest.encoder:
        return load_traced_encoder(run.index / manifest.encoder)
    from tmssl.retrieval.vectors.embed import inference_copy, trained_encoder
    from tmssl.training.checkpoints.store import load_weights

    weights = load_weights(_checkpoint_of(run, manifest))
    return inference_copy(trained_encoder(weights), torch.device("cpu"))


def _checkpoint_of(run: Run, manifest: IndexManifest) -> Path:
    """The checkpoint that an index was made with; a later one may have taken its name since."""
    from tmssl.runs.checkpoints import digest

    candidates = [run.path / manifest.checkpoint, *sorted(run.checkpoints.glob("*.pt"))]
    for path in candidates:
        if path.is_file() and digest(path) == manifest.checkpoint_sha256:
            return path
    raise InputError(
        f"the checkpoint that {safe(run.index / manifest.index)} was made with is gone; evaluate again"
    )


def embed_query(gallery: Gallery, pixels: Pixels) -> Vectors:
    """The unit vector (1, f) of a preprocessed image, uint8 (s, s, 3), to compare with the index's.

    Raises:
        InputError: the index holds vectors of another width.
    """
    index, vector = gallery.index, _embed(gallery, pixels)
    vector = index.whitening(vector) if index.whitening else vector
    if vector.shape[1] != index.exact.d:
        raise InputError(
            f"{safe(index.path)} holds vectors of {index.exact.d} features, "
            f"and the encoder gives {vector.shape[1]}; remove it and search again"
        )
    return vector


def embed_query_regions(gallery: Gallery, logo: Logo) -> tuple[list[Region], Vectors]:
    """The regions of a logo, the whole first, and their unit vectors (n, f)."""
    regional = gallery.index.regional
    detail = logo.pixels if logo.detail is None else logo.detail
    count = QUERY_REGIONS * regional.regions if regional else 1
    lines = logo_lines(logo.pixels) if regional and regional.lettered else []
    regions, images = cut_regions(logo.pixels, detail, count, lines)
    vectors = [embed_query(gallery, logo.pixels)]
    vectors += [_embed(gallery, image) for image in images[1:]]
    return regions, np.concatenate(vectors)


def _embed(gallery: Gallery, pixels: Pixels) -> Vectors:
    """The unit vector (1, f) of a preprocessed image, uint8 (s, s, 3), before any whitening of the index."""
    view = plain_view(torch.from_numpy(pixels.copy())[None], gallery.manifest.image_size)
    with torch.inference_mode(), _one_thread():
        vector: Vectors = functional.normalize(gallery.encode(view).float()).numpy()
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
