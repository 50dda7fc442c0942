"""A run's gallery, opened for search: its marks, its index, and the encoder that embeds a query.

What a search reports of the marks it finds is in search.py.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tmssl.config import read_config
from tmssl.data.pack.info import PackInfo, open_marks, read_info
from tmssl.data.sources.marks import MarkTable
from tmssl.data.views.augment import plain_view
from tmssl.errors import InputError
from tmssl.retrieval.search.manifest import IndexManifest, find_manifest
from tmssl.retrieval.search.search_index import SearchIndex, open_search_index
from tmssl.retrieval.search.traced_encoder import load_traced_encoder
from tmssl.runs.folder import Run
from tmssl.text import safe
from tmssl.types import Pixels, Progress, Vectors


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
    pack = read_info(folder)
    manifest = find_manifest(run, checkpoint, pack)
    if manifest is None:
        # timm takes longer to import than the search itself.
        from tmssl.retrieval.search.indexing import index_run

        manifest = index_run(
            run, checkpoint, pack, folder, device=device, phase=phase, progress=progress
        )

    def start_phase(name: str) -> Progress | None:
        phase(name)
        return progress

    return Gallery(
        run=run,
        pack_folder=folder,
        pack=pack,
        manifest=manifest,
        marks=open_marks(folder, pack),
        index=open_search_index(
            run.index / manifest.index, pack.count, start_phase, whiten=whiten, factory=factory
        ),
        encode=_open_encoder(run, manifest),
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
    index = gallery.index
    vector = index.whitening(vector) if index.whitening else vector
    if vector.shape[1] != index.exact.d:
        raise InputError(
            f"{safe(index.path)} holds vectors of {index.exact.d} features, "
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
