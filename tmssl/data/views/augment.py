"""A uint8 batch becomes two augmented float views, on the device that trains.

Every random number is a hash of (seed, epoch, sample, view, slot) drawn on the host, so a view is
reproducible anywhere and choosing which samples an operation touches needs no device sync.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.data.rng import uniform
from tmssl.data.views import stylings
from tmssl.data.views.colour import (
    blurred,
    constant,
    inverted,
    jitter_factors,
    jittered,
    solarized,
    to_grey,
)
from tmssl.data.views.crop import TRIES, crop_parameters, cropped
from tmssl.data.views.recipe import ViewRecipe
from tmssl.data.views.segments import COLOURS, recoloured_pieces
from tmssl.types import Floats

MEAN = (0.485, 0.456, 0.406)  # ImageNet statistics, which timm's models expect
STD = (0.229, 0.224, 0.225)
_FIRST = 16 + 2 * (TRIES - 1)  # slot of the stylings' draws; those before it belong to the rest
_SLOTS = _FIRST + 5 + 3 * COLOURS
_AT_ONCE = 8 * 224 * 224  # pixels of the views made in one go: more leave a CPU's last cache
_AT_ONCE_GPU = 512 * 224 * 224  # so that a kernel outlasts its launch; takes 1.4 GiB for a moment


def plain_view(images: Tensor, size: int) -> Tensor:
    """The evaluation input: uint8 (n, h, w, 3) resized to (n, 3, size, size) and normalised."""
    pixels = images.permute(0, 3, 1, 2).float()
    if pixels.shape[-1] != size:
        pixels = functional.interpolate(
            pixels, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return normalised(pixels, 255)


def normalised(pixels: Tensor, white: float = 1.0) -> Tensor:
    """Pixels in [0, `white`], (n, 3, h, w), with ImageNet's mean and deviation taken out, in float32."""
    mean, std = constant(MEAN, pixels.device), constant(STD, pixels.device)
    return torch.addcmul(-mean / std, pixels, 1 / (white * std))  # in one go through memory


def augmented_view(
    images: Tensor,
    samples: npt.NDArray[np.int64],
    *,
    seed: int,
    epoch: int,
    view: int,
    recipe: ViewRecipe,
    size: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """One augmented copy of each image.

    A few images at a time, which stay in the cache. torch's own threads share each operation: a pool
    whose threads each make such a part is no faster, since they wait for Python's lock.

    Args:
        images: uint8 (n, h, w, 3) on the device.
        samples: row of each image, (n,); with seed, epoch and view it decides every draw.
        seed: seed of the run.
        epoch: epoch, from 0.
        view: 0 or 1.
        recipe: the distribution to draw from.
        size: side of the result in pixels.
        dtype: float32, bfloat16 or float16, of the result. On the way to one of the last two the
            operations are in float16, which halves what they move and whose 11 bits hold the 8 of a
            colour; places and the normalisation are in float32 all the same.

    Returns:
        (n, 3, size, size) of that type, normalised, channels last in memory.
    """
    draws = uniform(seed, epoch, samples[:, None], view, np.arange(_SLOTS)[None, :])
    result = torch.empty(
        (len(images), 3, size, size),
        dtype=dtype,
        device=images.device,
        memory_format=torch.channels_last,
    )
    on_cpu = images.device.type == "cpu"
    few = max(1, (_AT_ONCE if on_cpu else _AT_ONCE_GPU) // size**2)
    kind = torch.float32 if dtype == torch.float32 else torch.float16
    for begin in range(0, len(images), few):
        part = slice(begin, begin + few)
        result[part] = normalised(_augmented(images[part], draws[part], recipe, size, kind))
    return result


def _augmented(
    images: Tensor, draws: Floats, recipe: ViewRecipe, size: int, kind: torch.dtype
) -> Tensor:
    """All operations on a few images, (n, 3, size, size) in [0, 1], float32 or float16."""
    more = draws[:, _FIRST:]
    wordless = more[:, 0] < recipe.wordless
    if wordless.any():
        images = _apply(images.clone(), wordless, stylings.without_words)
    places = np.hstack([draws[:, :6], draws[:, 16:_FIRST]])
    pixels = cropped(images, _to_device(crop_parameters(places, recipe), images), size, kind)
    pixels = _styled(pixels, more[:, 1:], recipe)
    pixels = _jitter(pixels, draws[:, 6:11], recipe)
    pixels = _apply(pixels, draws[:, 11] < recipe.grey, to_grey)
    pixels = _blur(pixels, draws[:, 12:14], recipe)
    pixels = _apply(pixels, draws[:, 14] < recipe.solarize, solarized)
    return _apply(pixels, draws[:, 15] < recipe.invert, inverted)


def _apply(
    pixels: Tensor,
    chosen: npt.NDArray[np.bool_],
    operation: Callable[..., Tensor],
    *parameters: npt.NDArray[np.generic],
) -> Tensor:
    """The operation on the chosen samples, with their rows of each parameter; `pixels` may be changed.

    Which they are is known on the host, so nothing waits for the device.
    """
    rows = np.flatnonzero(chosen)
    if len(rows) == 0:
        return pixels
    given = [_to_device(values[rows].astype(np.float32), pixels) for values in parameters]
    if len(rows) == len(chosen):
        return operation(pixels, *given).contiguous()
    index = _to_device(rows, pixels)
    return pixels.index_copy_(0, index, operation(pixels.index_select(0, index), *given))


def _to_device(values: npt.NDArray[np.generic], like: Tensor) -> Tensor:
    """A host array on the device of `like`, without waiting for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.to(like.device, non_blocking=True)


def _styled(pixels: Tensor, draws: Floats, recipe: ViewRecipe) -> Tensor:
    """Strokes thicker or thinner, then at most one of silhouette, outline, threshold and recolourings."""
    radius = max(1, round(pixels.shape[-1] / 128))
    stroke, style = draws[:, 0], draws[:, 1]
    thick = stroke < recipe.thicker
    pixels = _apply(pixels, thick, lambda some: stylings.thickened(some, radius))
    thin = ~thick & (stroke < recipe.thicker + recipe.thinner)
    pixels = _apply(pixels, thin, lambda some: stylings.thinned(some, radius))
    ends = np.cumsum(
        [recipe.silhouette, recipe.outline, recipe.threshold, recipe.recolour, recipe.pieces]
    )
    which = np.searchsorted(ends, style, side="right")
    pixels = _apply(pixels, which == 0, stylings.silhouette)
    pixels = _apply(pixels, which == 1, lambda some: stylings.outline(some, radius))
    pixels = _apply(pixels, which == 2, stylings.thresholded, 0.35 + 0.4 * draws[:, 2])
    colours = draws[:, 4:].reshape(len(draws), -1, 3)
    pixels = _apply(pixels, which == 3, stylings.recoloured, colours)
    return _apply(pixels, which == 4, recoloured_pieces, colours, draws[:, 3])


def _jitter(pixels: Tensor, draws: Floats, recipe: ViewRecipe) -> Tensor:
    """Brightness, contrast, saturation and hue of the chosen samples."""
    brightness, contrast, saturation, hue = recipe.strength
    return _apply(
        pixels,
        draws[:, 0] < recipe.jitter,
        jittered,
        jitter_factors(draws[:, 1], brightness),
        jitter_factors(draws[:, 2], contrast),
        jitter_factors(draws[:, 3], saturation),
        hue * (2 * draws[:, 4] - 1),
    )


def _blur(pixels: Tensor, draws: Floats, recipe: ViewRecipe) -> Tensor:
    """A Gaussian blur of the chosen samples, each with its own width."""
    low, high = (sigma * pixels.shape[-1] / 224 for sigma in recipe.sigma)
    sigma = low + (high - low) * draws[:, 1]
    return _apply(
        pixels, draws[:, 0] < recipe.blur, lambda some, each: blurred(some, each, high), sigma
    )
