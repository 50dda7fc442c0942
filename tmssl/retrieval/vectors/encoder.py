"""A trained encoder with its preprocessing: image files and PIL images -> unit vectors.

The marks of a pack, which is preprocessed already, are embedded by embed.py.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from tmssl.data.pack.pack import pack_size
from tmssl.data.preprocess import UnreadableError, picture_square
from tmssl.data.views.views import plain_view
from tmssl.errors import InputError
from tmssl.retrieval.vectors.embed import features, inference_copy, trained_encoder
from tmssl.text import safe
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.learner import choose_device
from tmssl.types import Pixels, Vectors

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class ImageEncoder:
    """An encoder for evaluation, and what its preprocessing must know."""

    module: nn.Module
    """from float32 (n, 3, s, s) to (n, f)"""
    image_size: int
    """s"""
    pack_size: int
    """side of the square that an image is cropped and fitted into before it is resized to s"""
    device: torch.device


def load_encoder(checkpoint: Path, device: str = "auto") -> ImageEncoder:
    """The encoder of a checkpoint file.

    Args:
        checkpoint: the file; `find_checkpoint` gives that of a run.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        CheckpointError: it is not a checkpoint of ours.
    """
    weights, target = load_weights(checkpoint), choose_device(device)
    image_size = weights.config.data.image_size
    module = inference_copy(trained_encoder(weights), target)
    return ImageEncoder(module, image_size, pack_size(image_size), target)


def embed_images(encoder: ImageEncoder, images: Sequence[str | Path | Image.Image]) -> Vectors:
    """Unit vectors, float32 (n, f), of image files and PIL images, preprocessed as a pack's marks are.

    Raises:
        InputError: a file cannot be read, or is not an image.
    """
    parts = []
    for begin in range(0, len(images), _BATCH):
        squares = [_square(image, encoder.pack_size) for image in images[begin : begin + _BATCH]]
        batch = torch.from_numpy(np.stack(squares)).to(encoder.device)
        parts.append(features(encoder.module, plain_view(batch, encoder.image_size)))
    if not parts:
        raise InputError("there is no image to embed; give at least one")
    return np.concatenate(parts)


def _square(image: str | Path | Image.Image, size: int) -> Pixels:
    """An image as the uint8 square (size, size, 3) that a pack would hold."""
    if isinstance(image, Image.Image):
        return picture_square(image, size)
    try:
        return picture_square(Path(image), size)
    except UnreadableError as error:
        raise InputError(f"cannot read {safe(image)}: {error}; give another image") from error
