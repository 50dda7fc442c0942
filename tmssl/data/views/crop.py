"""Crop, rotate and mirror a batch in one resampling."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.data.views.recipe import ViewRecipe
from tmssl.types import Floats

TRIES = 10  # draws of a crop before the largest one is taken, as in torchvision


def crop_parameters(draws: Floats, recipe: ViewRecipe) -> npt.NDArray[np.float32]:
    """Affine matrices (n, 2, 3) from the result's coordinates in [-1, 1] to the image's.

    The crop is torchvision's RandomResizedCrop of a square image: area uniform in `scale`, aspect
    ratio log-uniform in `ratio`, drawn again where it does not fit, and after ten tries the largest
    central crop.

    Args:
        draws: (n, 24): area and ratio, place, mirror, angle, then nine more pairs of area and ratio.
        recipe: the distribution to draw from.
    """
    low, high = recipe.ratio
    areas = np.hstack([draws[:, :1], draws[:, 6::2]])
    ratios = np.hstack([draws[:, 1:2], draws[:, 7::2]])
    area = recipe.scale[0] + (recipe.scale[1] - recipe.scale[0]) * areas
    root = np.exp((math.log(low) + (math.log(high) - math.log(low)) * ratios) / 2)
    widths, heights = np.sqrt(area) * root, np.sqrt(area) / root
    fits = (widths <= 1) & (heights <= 1)
    first, found = np.argmax(fits, 1), fits.any(1)
    each = np.arange(len(draws))
    width = np.where(found, widths[each, first], min(1.0, high))
    height = np.where(found, heights[each, first], min(1.0, 1 / low))
    centre_x = np.where(found, (1 - width) * (2 * draws[:, 2] - 1), 0.0)
    centre_y = np.where(found, (1 - height) * (2 * draws[:, 3] - 1), 0.0)
    mirror = np.where(draws[:, 4] < recipe.flip, -1.0, 1.0)
    angle = np.deg2rad(recipe.rotation) * (2 * draws[:, 5] - 1)
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [
        np.stack([width * cosine * mirror, -height * sine, centre_x], 1),
        np.stack([width * sine * mirror, height * cosine, centre_y], 1),
    ]
    return np.stack(rows, 1).astype(np.float32)


def cropped(
    images: Tensor, matrices: Tensor, size: int, kind: torch.dtype = torch.float32
) -> Tensor:
    """What lies under each matrix, (n, 3, size, size) in [0, 1]; outside the image is white.

    Args:
        images: uint8 (n, h, w, 3), read where they lie: their layout is never changed.
        matrices: (n, 2, 3) as `crop_parameters` makes them.
        size: side of the result in pixels.
        kind: float32 or float16, of the result; places are in float32.
    """
    # Outside is 0 for grid_sample, so sample the negative to make it white.
    negative = images.bitwise_not().float().permute(0, 3, 1, 2)
    places = (torch.arange(size, device=images.device, dtype=torch.float32) * 2 + 1) / size - 1
    turned, moved = matrices[..., None, None, :2], matrices[..., None, None, 2]
    across, down = turned[..., 0] * places, turned[..., 1] * places.view(size, 1)
    # All x, then all y: the other order, pair by pair, takes a CPU several times as long to fill.
    grid = (across + (down + moved)).permute(0, 2, 3, 1)
    sampled = functional.grid_sample(negative, grid, mode="bilinear", align_corners=False)
    white = torch.ones((), dtype=kind, device=images.device)
    result = sampled if kind == torch.float32 else torch.empty_like(sampled, dtype=kind)
    return torch.sub(white, sampled, alpha=1 / 255, out=result)
