"""What turns marks into unit vectors beside the encoder that is evaluated: the rows it is compared with."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from tmssl.data.pack.pack import Pack
from tmssl.data.phash import hash_vectors, unit
from tmssl.data.views.views import normalised, plain_view
from tmssl.errors import CheckpointError, ConfigError, InputError
from tmssl.retrieval.vectors.embed import (
    embed,
    features,
    hash_pack,
    inference_copy,
    trained_encoder,
    untrained_encoder,
)
from tmssl.runs.checkpoints import digest
from tmssl.runs.folder import open_run
from tmssl.text import safe
from tmssl.training.backbone import create_encoder
from tmssl.training.checkpoints.store import find_checkpoint, load_known
from tmssl.types import Progress, Vectors

_AT_ONCE = 128
# Of a few settings the one that found most group mates among the toy marks for the least numbers: 324.
_HOG_SIDE, _HOG_CELL, _HOG_BLOCK = 64, 16, 2
_TIMM = "timm:"


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """One way to describe marks by unit vectors."""

    name: str
    """of its row"""
    key: str
    """a digest or words that change whenever its vectors do"""
    embed_pack: Callable[[Pack, Progress | None], Vectors]
    """every mark of a pack, (count, f)"""
    embed_images: Callable[[Tensor], Vectors]
    """uint8 images (n, h, w, 3), (n, f)"""
    has_ties: bool = False
    """whether many marks are exactly alike to it"""


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
    def prepared() -> nn.Module:
        return inference_copy(encoder, device)

    def embed_pack(pack: Pack, progress: Progress | None) -> Vectors:
        return embed(encoder, pack, image_size=image_size, device=device, progress=progress)

    def embed_images(images: Tensor) -> Vectors:
        return features(prepared(), plain_view(images.to(device), image_size))

    return Descriptor(name, f"{key} {image_size}", embed_pack, embed_images)


def untrained_descriptor(
    model: str, seed: int, image_size: int, device: torch.device
) -> Descriptor:
    """The encoder as it was before the first step of a run."""
    encoder = untrained_encoder(model, seed)
    return encoder_descriptor("untrained", f"untrained {model} {seed}", encoder, image_size, device)


def hash_descriptor() -> Descriptor:
    """The perceptual hash."""

    def embed_pack(pack: Pack, progress: Progress | None) -> Vectors:
        return hash_pack(pack, progress=progress)

    def embed_images(images: Tensor) -> Vectors:
        return hash_vectors(images.float().mean(3))

    return Descriptor("perceptual hash", "phash", embed_pack, embed_images, has_ties=True)


def hog_descriptor() -> Descriptor:
    """Histograms of oriented gradients of the ink crop (Dalal and Triggs 2005), by scikit-image.

    Raises:
        InputError: scikit-image is not installed.
    """
    try:
        from skimage.feature import hog
    except ImportError as error:
        raise InputError(
            "there is no HOG row, since scikit-image is not installed; `pip install scikit-image`"
        ) from error

    def embed_images(images: Tensor) -> Vectors:
        grey = functional.interpolate(
            images.float().mean(3)[:, None], (_HOG_SIDE, _HOG_SIDE), mode="bilinear", antialias=True
        )[:, 0].numpy()
        cells: dict[str, Any] = {
            "pixels_per_cell": (_HOG_CELL, _HOG_CELL),
            "cells_per_block": (_HOG_BLOCK, _HOG_BLOCK),
        }
        return unit(np.stack([hog(one / 255, orientations=9, **cells) for one in grey]))

    def embed_pack(pack: Pack, progress: Progress | None) -> Vectors:
        parts = []
        for begin in range(0, pack.count, _AT_ONCE):
            rows = np.arange(begin, min(begin + _AT_ONCE, pack.count))
            parts.append(embed_images(torch.from_numpy(pack.read(rows))))
            if progress:
                progress(begin + len(rows), pack.count)
        return np.concatenate(parts)

    return Descriptor("HOG", f"hog {_HOG_SIDE} {_HOG_CELL} {_HOG_BLOCK}", embed_pack, embed_images)


def compared_descriptors(
    asked: Sequence[str], model: str, image_size: int, device: torch.device
) -> list[Descriptor]:
    """The encoders that `--compare` names, each a run, a file of weights, or `timm:NAME`.

    Args:
        asked: what was given.
        model: timm's name of the run's encoder, which a file of timm's weights must fit.
        image_size: of the run, at which such weights are compared.
        device: where they run.

    Raises:
        InputError: a run or a checkpoint that is none.
        ConfigError: no such model or file, or weights that cannot be fetched, read or fitted.
    """
    found: list[Descriptor] = []
    for one in dict.fromkeys(asked):
        descriptor = _compared(one, model, image_size, device)
        alike = sum(other.name.split(" #")[0] == descriptor.name for other in found)
        name = f"{descriptor.name} #{alike + 1}" if alike else descriptor.name
        found.append(dataclasses.replace(descriptor, name=name))
    return found


def _compared(asked: str, model: str, image_size: int, device: torch.device) -> Descriptor:
    """One encoder that `--compare` names."""
    if asked.startswith(_TIMM):
        return _of_timm(asked, device)
    path = Path(asked)
    if not path.exists():
        raise ConfigError(
            f"--compare is '{safe(asked, 100)}', which is neither a run nor a file; "
            "give a run's folder, a file of weights, or timm:NAME"
        )
    name = path.resolve().name if path.is_dir() else path.name
    if path.is_dir():
        path = find_checkpoint(open_run(path), "best")
    try:
        key, weights = load_known(path)
    except CheckpointError:  # it is no checkpoint of ours, so it must be timm's
        key, encoder = digest(path), create_encoder(model, str(path))
        return encoder_descriptor(safe(name, 40), f"{key} {model}", encoder, image_size, device)
    own = weights.config
    return encoder_descriptor(
        safe(name, 40), key, trained_encoder(weights), own.data.image_size, device
    )


def _of_timm(asked: str, device: torch.device) -> Descriptor:
    """A model with timm's own weights, at the size and with the colour scale that they were made for."""
    model = asked.removeprefix(_TIMM)
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # our error is one line
    encoder = create_encoder(model, "imagenet")
    made_for = timm.get_pretrained_cfg(model)
    scaled = nn.Sequential(_Rescaled(made_for.mean, made_for.std), encoder)
    key = f"{asked} {made_for.tag} {timm.__version__}"
    return encoder_descriptor(safe(model, 40), key, scaled, made_for.input_size[-1], device)


class _Rescaled(nn.Module):
    """A view with ImageNet's mean and deviation taken out as one with others taken out."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, view: Tensor) -> Tensor:
        """The view, (n, 3, s, s)."""
        zero = normalised(torch.zeros_like(view[:1, :, :1, :1]))
        scale = normalised(torch.ones_like(view[:1, :, :1, :1])) - zero
        return ((view - zero) / scale - self.mean) / self.std
