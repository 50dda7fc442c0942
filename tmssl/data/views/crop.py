"""Random crop, rotation and mirroring of a batch in one resampling."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.data.views.recipe import ViewRecipe
from tmssl.types import Floats

TRIES = 10  # draws of a crop before the largest central one is taken, as in torchvision


def crop_matrices(draws: Floats, recipe: ViewRecipe) -> npt.NDArray[np.float32]:
    """Affine matrices (n, 2, 3) from coordinates of the result to those of the image, both in [-1, 1].

    The crop is torchvision's RandomResizedCrop of a square image: area uniform in `scale`, aspect
    ratio log-uniform in `ratio`, drawn again where it does not fit, and after ten tries the largest
    central crop.

    Args:
        draws: numbers in [0, 1), (n, 24): area and ratio, position x and y, mirror, angle, then nine
            more pairs of area and ratio.
        recipe: the distribution to draw from.
    """
    low, high = recipe.ratio
    areas = np.hstack([draws[:, :1], draws[:, 6::2]])
    ratios = np.hstack([draws[:, 1:2], draws[:, 7::2]])
    area = recipe.scale[0] + (recipe.scale[1] - recipe.scale[0]) * areas
    root = np.exp((math.log(low) + (math.log(high) - math.log(low)) * ratios) / 2)
    widths, heights = np.sqrt(area) * root, np.sqrt(area) / root
    fits = (widths <= 1) & (heights <= 1)
    first, any_fits = np.argmax(fits, 1), fits.any(1)
    each = np.arange(len(draws))
    width = np.where(any_fits, widths[each, first], min(1.0, high))
    height = np.where(any_fits, heights[each, first], min(1.0, 1 / low))
    centre_x = np.where(any_fits, (1 - width) * (2 * draws[:, 2] - 1), 0.0)
    centre_y = np.where(any_fits, (1 - height) * (2 * draws[:, 3] - 1), 0.0)
    mirror = np.where(draws[:, 4] < recipe.flip, -1.0, 1.0)
    angle = np.deg2rad(recipe.rotation) * (2 * draws[:, 5] - 1)
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [
        np.stack([width * cosine * mirror, -height * sine, centre_x], 1),
        np.stack([width * sine * mirror, height * cosine, centre_y], 1),
    ]
    return np.stack(rows, 1).astype(np.float32)


def turned(
    matrices: npt.NDArray[np.float32], draws: Floats, share: float
) -> npt.NDArray[np.float32]:
    """The matrices of the same crops of images that were turned by quarters first.

    Args:
        matrices: (n, 2, 3) as `crop_matrices` makes them.
        draws: numbers in [0, 1), (n,); those below `share` turn an image, by one, two or three quarters alike.
        share: 0 to 1.
    """
    quarters = np.where(draws < share, 1 + np.floor(3 * draws / max(share, 1e-9)), 0).astype(int)
    cosine = np.array([1, 0, -1, 0], np.float32)[quarters]
    sine = np.array([0, 1, 0, -1], np.float32)[quarters]
    rotations = np.stack([np.stack([cosine, -sine], 1), np.stack([sine, cosine], 1)], 1)
    turned: npt.NDArray[np.float32] = rotations @ matrices
    return turned


def crop(images: Tensor, matrices: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The crops, (n, 3, size, size) in [0, 1]; outside the image is white.

    Args:
        images: uint8 (n, h, w, 3), in any memory layout; none is copied to change it.
        matrices: (n, 2, 3) as `crop_matrices` makes them.
        size: side of the result in pixels.
        dtype: float32 or float16, of the result; coordinates are float32.
    """
    # grid_sample fills the outside with 0, which is white in the negative.
    negative = images.bitwise_not().float().permute(0, 3, 1, 2)
    centres = (torch.arange(size, device=images.device, dtype=torch.float32) * 2 + 1) / size - 1
    linear, offset = matrices[..., None, None, :2], matrices[..., None, None, 2]
    across, down = linear[..., 0] * centres, linear[..., 1] * centres.view(size, 1)
    # All x, then all y: a CPU takes several times as long to fill the grid pair by pair.
    grid = (across + (down + offset)).permute(0, 2, 3, 1)
    sampled = functional.grid_sample(negative, grid, mode="bilinear", align_corners=False)
    white = torch.ones((), dtype=dtype, device=images.device)
    result = sampled if dtype == torch.float32 else torch.empty_like(sampled, dtype=dtype)
    return torch.sub(white, sampled, alpha=1 / 255, out=result)
