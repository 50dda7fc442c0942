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
    ready,
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
class Describer:
    """One way to describe marks by unit vectors."""

    name: str
    """of its row"""
    key: str
    """a digest or words that change whenever its vectors do"""
    of_pack: Callable[[Pack, Progress | None], Vectors]
    """every mark of a pack, (count, f)"""
    of_images: Callable[[Tensor], Vectors]
    """uint8 images (n, h, w, 3), (n, f)"""
    tied: bool = False
    """whether many marks are exactly alike to it"""


def encoder_describer(
    name: str, key: str, encoder: nn.Module, image_size: int, device: torch.device
) -> Describer:
    """An encoder as a describer.

    Args:
        name: of its row.
        key: of its weights.
        encoder: from (n, 3, s, s) to (n, f).
        image_size: s.
        device: where it runs.
    """

    @cache
    def prepared() -> nn.Module:
        return ready(encoder, device)

    def of_pack(pack: Pack, progress: Progress | None) -> Vectors:
        return embed(encoder, pack, image_size=image_size, device=device, progress=progress)

    def of_images(images: Tensor) -> Vectors:
        return features(prepared(), plain_view(images.to(device), image_size))

    return Describer(name, f"{key} {image_size}", of_pack, of_images)


def untrained_describer(model: str, seed: int, image_size: int, device: torch.device) -> Describer:
    """The encoder as it was before the first step of a run."""
    encoder = untrained_encoder(model, seed)
    return encoder_describer("untrained", f"untrained {model} {seed}", encoder, image_size, device)


def hash_describer() -> Describer:
    """The perceptual hash."""

    def of_pack(pack: Pack, progress: Progress | None) -> Vectors:
        return hash_pack(pack, progress=progress)

    def of_images(images: Tensor) -> Vectors:
        return hash_vectors(images.float().mean(3))

    return Describer("perceptual hash", "phash", of_pack, of_images, tied=True)


def hog_describer() -> Describer:
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

    def of_images(images: Tensor) -> Vectors:
        grey = functional.interpolate(
            images.float().mean(3)[:, None], (_HOG_SIDE, _HOG_SIDE), mode="bilinear", antialias=True
        )[:, 0].numpy()
        cells: dict[str, Any] = {
            "pixels_per_cell": (_HOG_CELL, _HOG_CELL),
            "cells_per_block": (_HOG_BLOCK, _HOG_BLOCK),
        }
        return unit(np.stack([hog(one / 255, orientations=9, **cells) for one in grey]))

    def of_pack(pack: Pack, progress: Progress | None) -> Vectors:
        parts = []
        for begin in range(0, pack.count, _AT_ONCE):
            rows = np.arange(begin, min(begin + _AT_ONCE, pack.count))
            parts.append(of_images(torch.from_numpy(pack.read(rows))))
            if progress:
                progress(begin + len(rows), pack.count)
        return np.concatenate(parts)

    return Describer("HOG", f"hog {_HOG_SIDE} {_HOG_CELL} {_HOG_BLOCK}", of_pack, of_images)


def compared_describers(
    asked: Sequence[str], model: str, image_size: int, device: torch.device
) -> list[Describer]:
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
    found: list[Describer] = []
    for one in dict.fromkeys(asked):
        describer = _compared(one, model, image_size, device)
        alike = sum(other.name.split(" #")[0] == describer.name for other in found)
        name = f"{describer.name} #{alike + 1}" if alike else describer.name
        found.append(dataclasses.replace(describer, name=name))
    return found


def _compared(asked: str, model: str, image_size: int, device: torch.device) -> Describer:
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
        return encoder_describer(safe(name, 40), f"{key} {model}", encoder, image_size, device)
    own = weights.config
    return encoder_describer(
        safe(name, 40), key, trained_encoder(weights), own.data.image_size, device
    )


def _of_timm(asked: str, device: torch.device) -> Describer:
    """A model with timm's own weights, at the size and with the colour scale that they were made for."""
    model = asked.removeprefix(_TIMM)
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # our error is one line
    encoder = create_encoder(model, "imagenet")
    made_for = timm.get_pretrained_cfg(model)
    scaled = nn.Sequential(_Rescaled(made_for.mean, made_for.std), encoder)
    key = f"{asked} {made_for.tag} {timm.__version__}"
    return encoder_describer(safe(model, 40), key, scaled, made_for.input_size[-1], device)


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
