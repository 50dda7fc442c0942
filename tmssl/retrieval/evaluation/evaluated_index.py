"""What the evaluated encoder is searched in: its kept index, whitened or approximate where asked for."""

import dataclasses
from collections.abc import Callable

import faiss
from torch import Tensor

from tmssl.data.pack.pack import Pack
from tmssl.errors import InputError
from tmssl.retrieval.evaluation.references import Question, pack_identity
from tmssl.retrieval.index.approximate import factory_index, overlap_at_10
from tmssl.retrieval.index.faiss_index import build_index, index_path, open_index, save_index
from tmssl.retrieval.vectors.baselines import Descriptor, encoder_descriptor
from tmssl.retrieval.vectors.embed import embed, trained_encoder
from tmssl.retrieval.vectors.whitening import Whitening, fit_whitening, whitened_index
from tmssl.runs.folder import Run
from tmssl.text import safe
from tmssl.types import Progress, Vectors


@dataclasses.dataclass(frozen=True)
class Searched:
    """The vectors of the evaluated encoder."""

    index: faiss.Index
    """exact, whitened where asked for"""
    descriptor: Descriptor
    """describes any image as this index holds the marks"""
    unwhitened: Descriptor | None = None
    """the same encoder without whitening, to be compared with"""
    approximate: faiss.Index | None = None
    """what gives the nearest marks instead"""
    overlap: float | None = None
    """overlap@10 of that with the exact one"""


def searched(run: Run, question: Question, *, whiten: int = 0, factory: str = "") -> Searched:
    """What to search, made ready in the run where it is not kept.

    Args:
        run: the run.
        question: whose weights, over which pack, on which device.
        whiten: features kept by PCA-whitening; 0 does not whiten.
        factory: faiss's factory string of an approximate index; empty searches exactly.

    Raises:
        InputError: a kept index is damaged or of other marks, faiss does not know the factory, or the
            disk is full.
    """
    weights, pack = question.weights, question.pack
    run.index.mkdir(exist_ok=True)
    path = index_path(run.index, weights, pack_identity(pack))
    size, encoder = weights.config.data.image_size, trained_encoder(weights)
    if not path.exists():
        vectors = embed(
            encoder,
            pack,
            image_size=size,
            device=question.device,
            progress=question.begin("embedding"),
        )
        save_index(build_index(vectors), path)
    index = open_index(path)
    if index.ntotal != pack.count:
        raise InputError(
            f"{safe(path)} holds {index.ntotal:,} marks of {pack.count:,}; "
            "remove it and evaluate again"
        )
    own = encoder_descriptor("this", path.stem, encoder, size, question.device)
    unwhitened = None
    if whiten:
        unwhitened = _kept(own, index)
        index, whitening, path = whitened_index(index, path, whiten, question.begin("whitening"))
        own = dataclasses.replace(own, embed_images=_whitening_after(own.embed_images, whitening))
    if not factory:
        return Searched(index, own, unwhitened)
    approximate = factory_index(
        index, path, factory, question.begin(f"building {safe(factory, 40)}")
    )
    return Searched(index, own, unwhitened, approximate, overlap_at_10(index, approximate))


def _kept(own: Descriptor, index: faiss.Index) -> Descriptor:
    """The encoder without whitening, whose vectors of the pack are those of its index."""

    def embed_pack(pack: Pack, _progress: Progress | None) -> Vectors:
        return index.reconstruct_n(0, pack.count)

    return dataclasses.replace(own, name="not whitened", embed_pack=embed_pack)


def whitened(one: Descriptor, kept: int) -> Descriptor:
    """A descriptor whose vectors are whitened by what its own vectors of the pack are like.

    A hash stays as it is: its bits are neither many nor of different strength. Its `embed_pack` comes
    before its `embed_images`, which whitens by what that learnt.
    """
    if one.has_ties:
        return one
    learnt: list[Whitening] = []

    def embed_pack(pack: Pack, progress: Progress | None) -> Vectors:
        vectors = one.embed_pack(pack, progress)
        learnt[:] = [fit_whitening(vectors, kept)]
        return learnt[0](vectors)

    def embed_images(images: Tensor) -> Vectors:
        return learnt[0](one.embed_images(images))

    return dataclasses.replace(
        one, key=f"{one.key} whitened {kept}", embed_pack=embed_pack, embed_images=embed_images
    )


def _whitening_after(
    embed_images: Callable[[Tensor], Vectors], whitening: Whitening
) -> Callable[[Tensor], Vectors]:
    """What describes images, and then whitens."""
    return lambda images: whitening(embed_images(images))
