"""A uint8 batch becomes two augmented float views, on the device that trains.

Every random number is a hash of (seed, epoch, sample, view, slot) drawn on the host, so a view is
reproducible anywhere and choosing which samples an operation touches needs no device sync.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.data.counter import uniform

MEAN = (0.485, 0.456, 0.406)  # ImageNet statistics, which timm's models expect
STD = (0.229, 0.224, 0.225)
_TRIES = 10  # draws of a crop before the largest one is taken, as in torchvision
_GREY = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision rounds it

Draws = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class ViewRecipe:
    """The distribution of one view; probabilities 0 to 1, angles in degrees."""

    scale: tuple[float, float] = (1.0, 1.0)
    """share of the image's area that is kept"""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """aspect ratio of the crop"""
    rotation: float = 0.0
    """largest rotation either way"""
    flip: float = 0.0
    """probability of a mirror image, which makes lettering unreadable"""
    jitter: float = 0.0
    """probability of brightness, contrast, saturation and hue changes"""
    strength: tuple[float, float, float, float] = (0.4, 0.4, 0.2, 0.1)
    """their largest size"""
    grey: float = 0.0
    """probability of losing all colour"""
    invert: float = 0.0
    """probability of a negative, as marks are registered both ways"""
    solarize: float = 0.0
    """probability that everything above one half is inverted"""
    blur: float = 0.0
    """probability of a Gaussian blur"""
    sigma: tuple[float, float] = (0.1, 2.0)
    """standard deviation of the blur, pixels at 224; smaller views scale it down"""


_PUBLISHED = ViewRecipe(
    scale=(0.2, 1.0), flip=0.5, jitter=0.8, grey=0.2, blur=1.0, strength=(0.4, 0.4, 0.2, 0.1)
)
# Colours change a lot, since one mark is registered in many; the crop stays large, since a mark is
# small and whole. Measured in tests/bench/recipes.py.
_LOGO = ViewRecipe(
    scale=(0.6, 1.0), rotation=8.0, jitter=0.9, strength=(0.5, 0.5, 0.8, 0.5), grey=0.4,
    invert=0.4, blur=0.2,
)  # fmt: skip
_MILD = ViewRecipe(scale=(0.6, 1.0), jitter=0.5, strength=(0.2, 0.2, 0.1, 0.05), grey=0.1)

VIEW_SETS: dict[str, tuple[ViewRecipe, ViewRecipe]] = {
    # MoCo v3's asymmetry: the first view is always blurred, the second hardly ever but solarized.
    "published": (_PUBLISHED, dataclasses.replace(_PUBLISHED, blur=0.1, solarize=0.2)),
    "logo": (_LOGO, _LOGO),
    "mild": (_MILD, _MILD),
}


def plain_view(images: Tensor, size: int) -> Tensor:
    """The evaluation input: uint8 (n, h, w, 3) resized to (n, 3, size, size) and normalised."""
    pixels = images.permute(0, 3, 1, 2).float() / 255
    if pixels.shape[-1] != size:
        pixels = functional.interpolate(
            pixels, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return normalised(pixels)


def normalised(pixels: Tensor) -> Tensor:
    """Pixels in [0, 1], shape (n, 3, h, w), with ImageNet's mean and deviation taken out."""
    mean = pixels.new_tensor(MEAN).view(1, 3, 1, 1)
    std = pixels.new_tensor(STD).view(1, 3, 1, 1)
    return (pixels - mean) / std


def augmented_view(
    images: Tensor, samples: npt.NDArray[np.int64], *, seed: int, epoch: int, view: int,
    recipe: ViewRecipe, size: int,
) -> Tensor:  # fmt: skip
    """One augmented copy of each image.

    Args:
        images: uint8 (n, h, w, 3) on the device.
        samples: row of each image, (n,); with seed, epoch and view it decides every draw.
        seed: seed of the run.
        epoch: epoch, from 0.
        view: 0 or 1.
        recipe: the distribution to draw from.
        size: side of the result in pixels.

    Returns:
        float32 (n, 3, size, size), normalised.
    """
    slots = np.arange(16 + 2 * (_TRIES - 1))
    draws = uniform(seed, epoch, samples[:, None], view, slots[None, :])
    pixels = images.permute(0, 3, 1, 2).float().div_(255)
    pixels = _crop(pixels, np.hstack([draws[:, :6], draws[:, 16:]]), recipe, size)
    pixels = _jitter(pixels, draws[:, 6:11], recipe)
    pixels = _apply(pixels, draws[:, 11] < recipe.grey, to_grey)
    pixels = _blur(pixels, draws[:, 12:14], recipe)
    pixels = _apply(pixels, draws[:, 14] < recipe.solarize, solarized)
    pixels = _apply(pixels, draws[:, 15] < recipe.invert, inverted)
    return normalised(pixels)


def to_grey(pixels: Tensor) -> Tensor:
    """All three channels set to the luma."""
    weights = pixels.new_tensor(_GREY).view(1, 3, 1, 1)
    return (pixels * weights).sum(1, keepdim=True).expand_as(pixels)


def solarized(pixels: Tensor) -> Tensor:
    """Everything at or above one half inverted."""
    return torch.where(pixels >= 0.5, 1 - pixels, pixels)


def inverted(pixels: Tensor) -> Tensor:
    """The negative."""
    return 1 - pixels


def _apply(pixels: Tensor, chosen: npt.NDArray[np.bool_], operation: object) -> Tensor:
    """The operation on the chosen samples; which they are is known on the host."""
    assert callable(operation)
    rows = np.flatnonzero(chosen)
    if len(rows) == 0:
        return pixels
    if len(rows) == len(chosen):
        result: Tensor = operation(pixels)
        return result
    index = _to_device(rows, pixels)
    return pixels.index_copy(0, index, operation(pixels.index_select(0, index)))


def _to_device(values: npt.NDArray[np.generic], like: Tensor) -> Tensor:
    """A host array on the device of `like`, without waiting for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.to(like.device, non_blocking=True)


def crop_parameters(draws: Draws, recipe: ViewRecipe) -> npt.NDArray[np.float32]:
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


def _crop(pixels: Tensor, draws: Draws, recipe: ViewRecipe, size: int) -> Tensor:
    """Crop, rotate and mirror in one resampling; what lies outside the image is white."""
    matrices = _to_device(crop_parameters(draws, recipe), pixels)
    grid = functional.affine_grid(matrices, [len(pixels), 3, size, size], align_corners=False)
    # Outside is 0 for grid_sample, so sample the negative to make it white.
    return 1 - functional.grid_sample(1 - pixels, grid, mode="bilinear", align_corners=False)


def _factors(draw: Draws, size: float) -> npt.NDArray[np.float32]:
    """Multipliers uniform in [1 - size, 1 + size], never negative."""
    low = max(0.0, 1 - size)
    return (low + (1 + size - low) * draw).astype(np.float32)


def _jitter(pixels: Tensor, draws: Draws, recipe: ViewRecipe) -> Tensor:
    """Brightness, contrast, saturation and hue in this order (torchvision shuffles the order)."""
    rows = np.flatnonzero(draws[:, 0] < recipe.jitter)
    if len(rows) == 0:
        return pixels
    brightness, contrast, saturation, hue = recipe.strength
    index = _to_device(rows, pixels)
    drawn = draws[rows]
    some = pixels.index_select(0, index)
    some = blended(some, None, _to_device(_factors(drawn[:, 1], brightness), some))
    grey = to_grey(some)[:, :1].mean((1, 2, 3), keepdim=True)
    some = blended(some, grey, _to_device(_factors(drawn[:, 2], contrast), some))
    some = blended(some, to_grey(some), _to_device(_factors(drawn[:, 3], saturation), some))
    turns = (hue * (2 * drawn[:, 4] - 1)).astype(np.float32)
    some = hue_turned(some, _to_device(turns, some))
    return pixels.index_copy(0, index, some)


def blended(pixels: Tensor, towards: Tensor | None, factor: Tensor) -> Tensor:
    """Mix: factor * pixels + (1 - factor) * towards, clamped to [0, 1]; black when `towards` is None."""
    weights = factor.view(-1, 1, 1, 1)
    mixed = pixels * weights
    if towards is not None:
        mixed = mixed + (1 - weights) * towards
    return mixed.clamp(0, 1)


def hue_turned(pixels: Tensor, turns: Tensor) -> Tensor:
    """Hue moved by `turns` (a full circle is 1) at unchanged HSV saturation and value.

    The closed form of HSV back to RGB is V - V S max(0, min(k, 4 - k, 1)), k = (n + 6 H) mod 6
    with n = 5, 3, 1 (Wikipedia, "HSL and HSV", alternative formulae).
    """
    value, largest = pixels.max(1)
    chroma = value - pixels.min(1).values
    safe_chroma = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    red, green, blue = pixels.unbind(1)
    sector = torch.where(
        largest == 0,
        (green - blue) / safe_chroma,
        torch.where(largest == 1, (blue - red) / safe_chroma + 2, (red - green) / safe_chroma + 4),
    )
    sixths = sector + 6 * turns.view(-1, 1, 1)
    offsets = pixels.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)
    k = torch.remainder(offsets + sixths.unsqueeze(1), 6)
    return value.unsqueeze(1) - chroma.unsqueeze(1) * torch.minimum(k, 4 - k).clamp(0, 1)


def _blur(pixels: Tensor, draws: Draws, recipe: ViewRecipe) -> Tensor:
    """A Gaussian blur of the chosen samples, each with its own width."""
    rows = np.flatnonzero(draws[:, 0] < recipe.blur)
    size = pixels.shape[-1]
    if len(rows) == 0:
        return pixels
    low, high = recipe.sigma
    sigma = (low + (high - low) * draws[rows, 1]) * size / 224
    index = _to_device(rows, pixels)
    some = blurred(
        pixels.index_select(0, index),
        _to_device(sigma.astype(np.float32), pixels),
        high * size / 224,
    )
    return pixels.index_copy(0, index, some)


def blurred(pixels: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Each image blurred by its own Gaussian, as two passes of one dimension.

    Args:
        pixels: (n, 3, h, w).
        sigma: standard deviations in pixels, (n,).
        largest: an upper bound of sigma known on the host, which decides the kernel's width.
    """
    radius = max(1, math.ceil(2 * largest))
    offsets = torch.arange(-radius, radius + 1, device=pixels.device, dtype=pixels.dtype)
    kernels = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3).view(-1, 1)) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(3, 0)
    count, _, height, width = pixels.shape
    flat = pixels.reshape(1, count * 3, height, width)
    flat = functional.pad(flat, (radius, radius, radius, radius), mode="replicate")
    flat = functional.conv2d(flat, kernels.view(-1, 1, 1, 2 * radius + 1), groups=count * 3)
    flat = functional.conv2d(flat, kernels.view(-1, 1, 2 * radius + 1, 1), groups=count * 3)
    return flat.view(count, 3, height, width)
