"""The index of the evaluated encoder, kept in the run; whitened or approximate on request."""

import dataclasses

import faiss

from tmssl.data.pack.reader import Pack
from tmssl.retrieval.evaluation.task import EvaluationTask
from tmssl.retrieval.search.indexing import build_missing_index
from tmssl.retrieval.search.search_index import open_search_index
from tmssl.retrieval.vectors.descriptor import Descriptor, encoder_descriptor
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.folder import Run
from tmssl.types import Progress, Vectors


@dataclasses.dataclass(frozen=True)
class EncoderIndex:
    """The gallery's vectors by the evaluated encoder, and how to embed further images alike."""

    exact: faiss.Index
    """whitened if asked for"""
    as_embedded: faiss.Index
    """the same before it was whitened"""
    descriptor: Descriptor
    """embeds images as this index holds the gallery"""
    unwhitened: Descriptor | None = None
    """the same encoder without whitening, as a reference"""
    approximate: faiss.Index | None = None
    """gives the nearest marks in place of `exact`"""
    overlap: float | None = None
    """overlap@10 of `approximate` with `exact`"""


def encoder_index(
    run: Run, task: EvaluationTask, *, whiten: int = 0, factory: str = ""
) -> EncoderIndex:
    """Open the index of the encoder, after embedding the gallery if the run does not keep it.

    Args:
        run: the run.
        task: weights, pack and device.
        whiten: features kept by PCA-whitening; 0 does not whiten.
        factory: faiss's factory string of an approximate index; empty searches exactly.

    Raises:
        InputError: a kept index is damaged or of other marks, faiss does not know the factory, or the
            disk is full.
    """
    weights, pack, start_phase = task.weights, task.pack, task.start_phase
    encoder = trained_encoder(weights)
    path = build_missing_index(run, weights, encoder, pack, task.device, start_phase)
    index = open_search_index(path, pack.count, start_phase, whiten=whiten, factory=factory)
    image_size = weights.config.data.image_size
    descriptor = encoder_descriptor("this", path.stem, encoder, image_size, task.device)
    unwhitened, whitening = None, index.whitening
    if whitening:
        unwhitened, embed_images = _reading(index.unwhitened, descriptor), descriptor.embed_images
        descriptor = dataclasses.replace(
            descriptor, embed_images=lambda images: whitening(embed_images(images))
        )
    return EncoderIndex(
        index.exact, index.unwhitened, descriptor, unwhitened, index.approximate, index.overlap
    )


def _reading(index: faiss.Index, descriptor: Descriptor) -> Descriptor:
    """The encoder without whitening, which reads the vectors of the pack from its index."""

    def embed_pack(pack: Pack, _progress: Progress | None) -> Vectors:
        return index.reconstruct_n(0, pack.count)

    return dataclasses.replace(descriptor, name="not whitened", embed_pack=embed_pack)
