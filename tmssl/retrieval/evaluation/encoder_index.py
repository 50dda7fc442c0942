"""The index of the evaluated encoder, kept in the run; whitened or approximate on request."""

import dataclasses

import faiss

from tmssl.data.pack.reader import Pack
from tmssl.retrieval.evaluation.task import EvaluationTask
from tmssl.retrieval.index.regional import RegionalIndex
from tmssl.retrieval.search.indexing import build_missing_index
from tmssl.retrieval.search.region_indexing import build_missing_regional
from tmssl.retrieval.search.search_index import open_search_index, with_regions
from tmssl.retrieval.vectors.descriptor import Descriptor, encoder_descriptor
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.folder import Run
from tmssl.types import Progress, Vectors

ONE_VECTOR = "one vector"
"""name of the row of the same encoder with the whole marks alone, beside several views of each"""


@dataclasses.dataclass(frozen=True)
class EncoderIndex:
    """The gallery's vectors by the evaluated encoder, and how to embed further images alike."""

    exact: faiss.Index
    """whitened if asked for"""
    as_embedded: faiss.Index
    """the same before it was whitened"""
    descriptor: Descriptor
    """embeds images as this index holds the gallery"""
    plain: Descriptor | None = None
    """the same encoder without whitening, or with one vector a mark, as a reference"""
    approximate: faiss.Index | None = None
    """gives the nearest marks in place of `exact`"""
    regional: RegionalIndex | None = None
    """several vectors of each mark, searched in place of `exact`"""
    overlap: float | None = None
    """overlap@10 of `approximate` with `exact`"""


def encoder_index(
    run: Run, task: EvaluationTask, *, whiten: int = 0, factory: str = "", views: int = 1
) -> EncoderIndex:
    """Open the index of the encoder, after embedding the gallery if the run does not keep it.

    Args:
        run: the run.
        task: weights, pack and device.
        whiten: features kept by PCA-whitening; 0 does not whiten.
        factory: faiss's factory string of an approximate index; empty searches exactly.
        views: vectors of each mark; 1 is the whole alone.

    Raises:
        InputError: a kept index is damaged or of other marks, faiss does not know the factory, or the
            disk is full.
    """
    weights, pack, start_phase = task.weights, task.pack, task.start_phase
    encoder = trained_encoder(weights)
    path = build_missing_index(run, weights, encoder, pack, task.device, start_phase)
    index = open_search_index(
        path, pack.count, start_phase, whiten=whiten, factory=factory, views=views
    )
    image_size = weights.config.data.image_size
    descriptor = encoder_descriptor("this", path.stem, encoder, image_size, task.device)
    plain, whitening = None, index.whitening
    if whitening:
        plain = _reading(index.unwhitened, descriptor, "not whitened")
        embed_images = descriptor.embed_images
        descriptor = dataclasses.replace(
            descriptor, embed_images=lambda images: whitening(embed_images(images))
        )
    if views > 1:
        regional = build_missing_regional(
            index.exact, path, views, weights, pack, device=task.device, start_phase=start_phase
        )
        index = with_regions(index, regional, start_phase, factory)
        plain = _reading(index.exact, descriptor, ONE_VECTOR)
    return EncoderIndex(
        index.exact,
        index.unwhitened,
        descriptor,
        plain,
        index.approximate,
        index.regional,
        index.overlap,
    )


def _reading(index: faiss.Index, descriptor: Descriptor, name: str) -> Descriptor:
    """The encoder as a reference, which reads the vectors of the pack from an index."""

    def embed_pack(pack: Pack, _progress: Progress | None) -> Vectors:
        return index.reconstruct_n(0, pack.count)

    return dataclasses.replace(descriptor, name=name, embed_pack=embed_pack)
