"""Normalized float views of uint8 images, augmented or plain, made on the device that trains.

Every random number is a hash of (seed, epoch, sample, view, slot), computed on the host: a view is
reproducible anywhere, and choosing the samples of an operation needs no device sync.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.data.rng import uniform
from tmssl.data.views import stylings
from tmssl.data.views.colour import (
    gaussian_blur,
    invert,
    jitter_colour,
    jitter_factors,
    per_channel,
    solarize,
    to_grey,
)
from tmssl.data.views.crop import TRIES, crop, crop_matrices, turned
from tmssl.data.views.recipe import ViewRecipe
from tmssl.data.views.segments import COLOURS, recolour_components
from tmssl.types import Floats

MEAN = (0.485, 0.456, 0.406)  # ImageNet statistics, which timm's models expect
STD = (0.229, 0.224, 0.225)

# The slot of each operation among a sample's draws; a new one goes to the end, or views change.
_CROP = [*range(6), *range(16, 16 + 2 * (TRIES - 1))]
_JITTER, _GREY, _BLUR, _SOLARIZE, _INVERT = slice(6, 11), 11, slice(12, 14), 14, 15
_WORDS = 16 + 2 * (TRIES - 1)
_STYLE = slice(_WORDS + 1, _WORDS + 5 + 3 * COLOURS)
_TURN = _STYLE.stop
_SLOTS = _TURN + 1

_BATCH_PIXELS = 8 * 224 * 224  # of the views made together: more do not fit a CPU's last cache
_BATCH_PIXELS_GPU = 512 * 224 * 224  # a kernel then outlasts its launch; takes 1.4 GiB for a moment


def plain_view(images: Tensor, size: int) -> Tensor:
    """The evaluation input: uint8 (n, h, w, 3) resized to (n, 3, size, size) and normalised."""
    pixels = images.permute(0, 3, 1, 2).float()
    if pixels.shape[-1] != size:
        pixels = functional.interpolate(
            pixels, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return normalize(pixels, 255)


def normalize(pixels: Tensor, white: float = 1.0) -> Tensor:
    """Pixels in [0, `white`], (n, 3, h, w), by ImageNet's mean and standard deviation, in float32."""
    mean, std = per_channel(MEAN, pixels.device), per_channel(STD, pixels.device)
    return torch.addcmul(-mean / std, pixels, 1 / (white * std))  # one pass over memory


def images_of(view: Tensor) -> Tensor:
    """A normalized view (n, 3, h, w) as images again, uint8 (n, h, w, 3)."""
    pixels = view * per_channel(STD, view.device) + per_channel(MEAN, view.device)
    return (pixels * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()


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

    A few images at a time, which stay in the CPU's cache. torch's own threads share each operation;
    a thread for each few images is no faster, as threads wait for Python's lock.

    Args:
        images: uint8 (n, h, w, 3) on the device.
        samples: row of each image, (n,); with seed, epoch and view it decides every draw.
        seed: seed of the run.
        epoch: epoch, from 0.
        view: 0 or 1.
        recipe: the distribution to draw from.
        size: side of the result in pixels.
        dtype: of the result: float32, bfloat16 or float16. For the last two, operations run in
            float16: half the memory traffic, and its 11 bits hold the 8 of a colour. Coordinates and
            the normalization are always float32.

    Returns:
        (n, 3, size, size) of that type, normalized, channels last in memory.
    """
    draws = uniform(seed, epoch, samples[:, None], view, np.arange(_SLOTS)[None, :])
    result = torch.empty(
        (len(images), 3, size, size),
        dtype=dtype,
        device=images.device,
        memory_format=torch.channels_last,
    )
    pixels = _BATCH_PIXELS if images.device.type == "cpu" else _BATCH_PIXELS_GPU
    count = max(1, pixels // size**2)
    compute = torch.float32 if dtype == torch.float32 else torch.float16
    for begin in range(0, len(images), count):
        part = slice(begin, begin + count)
        result[part] = normalize(_augment(images[part], draws[part], recipe, size, compute))
    return result


def _augment(
    images: Tensor, draws: Floats, recipe: ViewRecipe, size: int, dtype: torch.dtype
) -> Tensor:
    """All operations on a few images, (n, 3, size, size) in [0, 1], float32 or float16."""
    wordless = draws[:, _WORDS] < recipe.wordless
    if wordless.any():
        images = _apply(images.clone(), wordless, stylings.remove_words)
    matrices = turned(crop_matrices(draws[:, _CROP], recipe), draws[:, _TURN], recipe.turn)
    pixels = crop(images, _to_device(matrices, images), size, dtype)
    pixels = _style(pixels, draws[:, _STYLE], recipe)
    pixels = _jitter(pixels, draws[:, _JITTER], recipe)
    pixels = _apply(pixels, draws[:, _GREY] < recipe.grey, to_grey)
    pixels = _blur(pixels, draws[:, _BLUR], recipe)
    pixels = _apply(pixels, draws[:, _SOLARIZE] < recipe.solarize, solarize)
    return _apply(pixels, draws[:, _INVERT] < recipe.invert, invert)


def _apply(
    pixels: Tensor,
    chosen: npt.NDArray[np.bool_],
    operation: Callable[..., Tensor],
    *parameters: npt.NDArray[np.generic],
) -> Tensor:
    """Apply an operation to the chosen samples, with their rows of each parameter; may change `pixels`.

    The choice is known on the host, so nothing waits for the device.
    """
    rows = np.flatnonzero(chosen)
    if len(rows) == 0:
        return pixels
    values = [_to_device(column[rows].astype(np.float32), pixels) for column in parameters]
    if len(rows) == len(chosen):
        return operation(pixels, *values).contiguous()
    index = _to_device(rows, pixels)
    return pixels.index_copy_(0, index, operation(pixels.index_select(0, index), *values))


def _to_device(values: npt.NDArray[np.generic], like: Tensor) -> Tensor:
    """A host array on the device of `like`, without a sync."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.to(like.device, non_blocking=True)


def _style(pixels: Tensor, draws: Floats, recipe: ViewRecipe) -> Tensor:
    """Thicker or thinner strokes, then at most one of silhouette, outline, threshold and recolouring."""
    radius = max(1, round(pixels.shape[-1] / 128))
    stroke, style = draws[:, 0], draws[:, 1]
    thick = stroke < recipe.thicker
    pixels = _apply(pixels, thick, partial(stylings.thicken, radius=radius))
    thin = ~thick & (stroke < recipe.thicker + recipe.thinner)
    pixels = _apply(pixels, thin, partial(stylings.thin, radius=radius))
    shares = recipe.silhouette, recipe.outline, recipe.threshold, recipe.recolour, recipe.pieces
    which = np.searchsorted(np.cumsum(shares), style, side="right")
    colours = draws[:, 4:].reshape(len(draws), -1, 3)
    pixels = _apply(pixels, which == 0, stylings.silhouette)
    pixels = _apply(pixels, which == 1, partial(stylings.outline, radius=radius))
    pixels = _apply(pixels, which == 2, stylings.threshold, 0.35 + 0.4 * draws[:, 2])
    pixels = _apply(pixels, which == 3, stylings.recolour_tones, colours)
    return _apply(pixels, which == 4, recolour_components, colours, draws[:, 3])


def _jitter(pixels: Tensor, draws: Floats, recipe: ViewRecipe) -> Tensor:
    """Other brightness, contrast, saturation and hue for some samples."""
    brightness, contrast, saturation, hue = recipe.strength
    return _apply(
        pixels,
        draws[:, 0] < recipe.jitter,
        jitter_colour,
        jitter_factors(draws[:, 1], brightness),
        jitter_factors(draws[:, 2], contrast),
        jitter_factors(draws[:, 3], saturation),
        hue * (2 * draws[:, 4] - 1),
    )


def _blur(pixels: Tensor, draws: Floats, recipe: ViewRecipe) -> Tensor:
    """A Gaussian blur of some samples, each with its own width."""
    low, high = (sigma * pixels.shape[-1] / 224 for sigma in recipe.sigma)
    sigma = low + (high - low) * draws[:, 1]
    blur = partial(gaussian_blur, largest=high)
    return _apply(pixels, draws[:, 0] < recipe.blur, blur, sigma)
