"""Colour operations on batches of pixels in [0, 1], (n, 3, h, w), with a strength for each image.

Pixels are float32 or float16 and keep their type; strengths are float32, (n,).
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.types import Floats


def gaussian_blur(pixels: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Each image blurred by its own Gaussian, in two one-dimensional passes.

    On a CPU, a pass adds shifted copies, ten times as fast as a grouped convolution. On a GPU,
    arithmetic is cheap beside memory traffic and launches, so a pass is a matrix product.

    Args:
        pixels: (n, 3, h, w).
        sigma: standard deviations in pixels, (n,).
        largest: an upper bound of sigma, known on the host, that sets the kernel's width.
    """
    radius = max(1, math.ceil(2 * largest))
    offsets = torch.arange(-radius, radius + 1, device=pixels.device, dtype=torch.float32)
    kernels = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3).view(-1, 1)) ** 2)
    kernels = kernels / kernels.sum(1, keepdim=True)
    return blur_by_matrices(pixels, kernels) if pixels.is_cuda else blur_by_shifts(pixels, kernels)


def blur_by_matrices(pixels: Tensor, kernels: Tensor) -> Tensor:
    """Blur by a matrix product for each axis; kernels are (n, 2 * radius + 1)."""
    kernels = kernels.to(pixels.dtype)
    down = _banded(kernels, pixels.shape[2]).unsqueeze(1) @ pixels
    across: Tensor = down @ _banded(kernels, pixels.shape[3]).unsqueeze(1).mT
    return across


def _banded(kernels: Tensor, length: int) -> Tensor:
    """Kernels as convolution matrices, (n, length, length); the line's ends are repeated outwards."""
    taps = kernels.shape[1]
    positions = torch.arange(length, device=kernels.device)
    offsets = torch.arange(-(taps // 2), taps // 2 + 1, device=kernels.device).unsqueeze(1)
    sources = (positions + offsets).clamp(0, length - 1)
    one_hot = (sources.unsqueeze(2) == positions).to(kernels.dtype)
    return (kernels @ one_hot.view(taps, -1)).view(-1, length, length)


def blur_by_shifts(pixels: Tensor, kernels: Tensor) -> Tensor:
    """Blur by a weighted sum of shifted copies for each axis; kernels are (n, 2 * radius + 1)."""
    radius = kernels.shape[1] // 2
    height, width = pixels.shape[2:]
    padded = functional.pad(pixels, (0, 0, radius, radius), mode="replicate")
    down = _weighted_sum([padded[:, :, i : i + height] for i in range(2 * radius + 1)], kernels)
    padded = functional.pad(down, (radius, radius, 0, 0), mode="replicate")
    across = _weighted_sum([padded[..., i : i + width] for i in range(2 * radius + 1)], kernels)
    return across.to(pixels.dtype)


def _weighted_sum(shifted: list[Tensor], kernels: Tensor) -> Tensor:
    """The sum of copies, the i-th of them times the i-th weight of each image."""
    weights = kernels.T.reshape(len(shifted), -1, 1, 1, 1)
    total = shifted[0] * weights[0]
    for copy, weight in zip(shifted[1:], weights[1:], strict=True):
        total.addcmul_(copy, weight)
    return total


_GREY = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision rounds it
_COLOURLESS = 1 / 4096  # less chroma than a 16th of an 8-bit step has no hue


def per_channel(channels: tuple[float, float, float], device: torch.device) -> Tensor:
    """A number for each channel, float32 (1, 3, 1, 1), sent to the device without a sync."""
    return torch.tensor(channels).view(1, 3, 1, 1).to(device, non_blocking=True)


def luma(pixels: Tensor) -> Tensor:
    """The luma of each pixel, (n, 1, h, w)."""
    red, green, blue = pixels[:, :1], pixels[:, 1:2], pixels[:, 2:]
    return (red * _GREY[0]).add_(green, alpha=_GREY[1]).add_(blue, alpha=_GREY[2])


def to_grey(pixels: Tensor) -> Tensor:
    """All three channels set to the luma."""
    return luma(pixels).expand_as(pixels)


def solarize(pixels: Tensor) -> Tensor:
    """Everything at or above one half inverted."""
    return torch.where(pixels >= 0.5, 1 - pixels, pixels)


def invert(pixels: Tensor) -> Tensor:
    """The negative."""
    return 1 - pixels


def blend(pixels: Tensor, towards: Tensor | None, factor: Tensor) -> Tensor:
    """Mix two images: factor * pixels + (1 - factor) * towards, clamped to [0, 1].

    `factor` is (n,); `towards` is (n, 1, h, w), one number an image as (n, 1, 1, 1), or None for black.
    """
    weights = factor.to(pixels.dtype).view(-1, 1, 1, 1)
    if towards is None:
        return (pixels * weights).clamp_(max=1)
    if towards[0].numel() == 1:  # lerp is several times slower here on a CPU
        return (pixels * weights).add_(towards * (1 - weights)).clamp_(0, 1)
    return torch.lerp(towards, pixels, weights).clamp_(0, 1)


def shift_hue(pixels: Tensor, turns: Tensor) -> Tensor:
    """Hue shifted by `turns`, (n,) in [-1, 1] with 1 a full circle, at the same HSV saturation and value.

    The closed form of HSV back to RGB is V - V S max(0, min(k, 4 - k, 1)), k = (n + 6 H) mod 6
    with n = 5, 3, 1 (Wikipedia, "HSL and HSV", alternative formulae); min(k, 4 - k) = 2 - |k - 2|.
    The definition of hue branches on the largest channel, which CPUs do not vectorize. Without a
    branch, 6 H = 1 + (max(G, B) - R + max(0, min(G, B) - R)) / (V S) from red (0) through green (2)
    to cyan (3), and the negative of it where B is above G.
    """
    red, green, blue = pixels[:, :1], pixels[:, 1:2], pixels[:, 2:]
    more, less = torch.maximum(green, blue), torch.minimum(green, blue)
    value = torch.maximum(red, more)
    chroma = value - torch.minimum(red, less)
    scale = 1 / chroma.clamp(min=_COLOURLESS).mul_(6)
    hue = more.sub_(red).add_(less.sub_(red).relu_()).mul_(scale).add_(1 / 6)
    # The hue is at least -1/2: with 1/2 and its channel's offset added, it is not negative.
    hue.copysign_(green - blue).add_(turns.remainder(1).view(-1, 1, 1, 1) + 1 / 2)
    offsets = per_channel((2 / 6, 0, 4 / 6), pixels.device).to(pixels.dtype)
    distance = (hue + offsets).frac_().sub_(1 / 3).abs_()
    share = torch.rsub(distance, 2, alpha=6).clamp_(0, 1)
    return torch.addcmul(value, chroma, share, value=-1)


def jitter_factors(draw: Floats, size: float) -> npt.NDArray[np.float32]:
    """Multipliers uniform in [1 - size, 1 + size], never negative."""
    low = max(0.0, 1 - size)
    return (low + (1 + size - low) * draw).astype(np.float32)


def jitter_colour(
    pixels: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, turns: Tensor
) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order (torchvision shuffles it).

    The first three are factors for `blend` and `turns` is for `shift_hue`, each (n,).
    """
    pixels = blend(pixels, None, brightness)
    pixels = blend(pixels, luma(pixels).mean((1, 2, 3), keepdim=True), contrast)
    pixels = blend(pixels, luma(pixels), saturation)
    return shift_hue(pixels, turns)
