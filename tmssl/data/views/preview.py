"""A contact sheet of the views that the network is given."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tmssl.data.pack.reader import Pack
from tmssl.data.sampler import order
from tmssl.data.views.augment import MEAN, STD, augmented_view
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.errors import ConfigError
from tmssl.files import atomic_path
from tmssl.text import safe
from tmssl.types import Pixels

_ROWS, _EPOCHS = 8, 4
_GAP = 4  # pixels between pictures


def preview_views(pack: Pack, path: Path, *, views: str, size: int, seed: int) -> int:
    """Write a PNG with a mark in each row: its packed image, then both views of the first four epochs.

    The views are exactly those of a run with these settings.

    Args:
        pack: the marks, of which the seed draws eight.
        path: of the PNG, in a folder that exists.
        views: key of VIEW_SETS.
        size: side of a view in pixels.
        seed: seed of the run.

    Returns:
        Number of marks shown.

    Raises:
        ConfigError: the file cannot be written.
    """
    rows = np.sort(order(pack.count, seed, 0)[:_ROWS])
    images = torch.from_numpy(pack.read(rows))
    columns = [_resized(images, size)]
    for epoch in range(_EPOCHS):
        for view, recipe in enumerate(VIEW_SETS[views]):
            pixels = augmented_view(
                images, rows, seed=seed, epoch=epoch, view=view, recipe=recipe, size=size
            )
            columns.append(_denormalized(pixels))
    sheet = _tiled(np.stack(columns, 1))
    try:
        with atomic_path(path) as fresh:
            sheet.save(fresh, format="PNG")
    except OSError as error:
        raise ConfigError(
            f"cannot write {safe(path)}: {safe(error.strerror or error)}; "
            "give --preview-views a file in a folder that exists"
        ) from error
    return len(rows)


def _resized(images: Tensor, size: int) -> Pixels:
    """The packed images at the size of the views, uint8 (n, size, size, 3)."""
    pictures = [Image.fromarray(image).resize((size, size)) for image in images.numpy()]
    return np.stack([np.asarray(picture) for picture in pictures])


def _denormalized(views: Tensor) -> Pixels:
    """Normalized views as pictures, uint8 (n, size, size, 3)."""
    mean, std = (views.new_tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))
    pixels = (views * std + mean).clamp_(0, 1).mul_(255).round_()
    return pixels.byte().permute(0, 2, 3, 1).numpy()


def _tiled(pictures: Pixels) -> Image.Image:
    """Pictures, uint8 (rows, columns, size, size, 3), side by side on grey."""
    rows, columns, size = pictures.shape[:3]
    step = size + _GAP
    sheet = np.full((rows * step + _GAP, columns * step + _GAP, 3), 128, dtype=np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = _GAP + row * step, _GAP + column * step
            sheet[top : top + size, left : left + size] = pictures[row, column]
    return Image.fromarray(sheet)
