"""A descriptor: anything that turns pixels into unit vectors, in one form for encoders, HOG and hashes."""

import dataclasses
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from tmssl.data.pack.reader import Pack
from tmssl.data.views.augment import plain_view
from tmssl.data.whitening import Whitening, fit_whitening
from tmssl.retrieval.vectors.embed import embed_pack, embed_views, inference_copy
from tmssl.types import Progress, Vectors


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """One way to turn marks into unit vectors."""

    name: str
    """of its row in a table"""
    key: str
    """text that changes whenever its vectors do"""
    embed_pack: Callable[[Pack, Progress | None], Vectors]
    """from a pack to the vectors of all its marks, (count, f)"""
    embed_images: Callable[[Tensor], Vectors]
    """from uint8 images (n, h, w, 3) to (n, f)"""
    has_ties: bool = False
    """whether it gives many marks the same vector"""
    fits: bool = False
    """whether `embed_pack` learns what `embed_images` needs, and so must come first"""


def encoder_descriptor(
    name: str, key: str, encoder: nn.Module, image_size: int, device: torch.device
) -> Descriptor:
    """An encoder as a descriptor.

    Args:
        name: of its row.
        key: of its weights.
        encoder: from (n, 3, s, s) to (n, f).
        image_size: s.
        device: where it runs.
    """

    @cache
    def on_device() -> nn.Module:
        return inference_copy(encoder, device)

    def of_pack(pack: Pack, progress: Progress | None) -> Vectors:
        return embed_pack(encoder, pack, image_size=image_size, device=device, progress=progress)

    def of_images(images: Tensor) -> Vectors:
        return embed_views(on_device(), plain_view(images.to(device), image_size))

    return Descriptor(name, f"{key} {image_size}", of_pack, of_images)


def whitened_descriptor(descriptor: Descriptor, features: int) -> Descriptor:
    """A descriptor whose vectors are whitened by the statistics of its vectors of the pack.

    `embed_pack` fits the whitening, so it must be called before `embed_images`. A hash stays as it
    is: its bits are neither many nor of different variance.
    """
    if descriptor.has_ties:
        return descriptor
    fitted: list[Whitening] = []

    def embed_pack(pack: Pack, progress: Progress | None) -> Vectors:
        vectors = descriptor.embed_pack(pack, progress)
        fitted[:] = [fit_whitening(vectors, features)]
        return fitted[0](vectors)

    def embed_images(images: Tensor) -> Vectors:
        return fitted[0](descriptor.embed_images(images))

    key = f"{descriptor.key} whitened {features}"
    return dataclasses.replace(
        descriptor, key=key, embed_pack=embed_pack, embed_images=embed_images, fits=True
    )
