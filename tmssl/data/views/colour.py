"""Colour operations on batches of pixels in [0, 1], shape (n, 3, h, w), each with its own strength.

Pixels are float32 or float16 and stay so; strengths are float32, (n,).
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.types import Floats


def blurred(pixels: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Each image blurred by its own Gaussian, as two passes of one dimension.

    On a CPU a pass adds shifted copies, which is ten times as quick as a grouped convolution. A GPU
    has more arithmetic than it has memory and launches: there a pass is a product of matrices.

    Args:
        pixels: (n, 3, h, w), float32 or float16, as the result is.
        sigma: standard deviations in pixels, (n,).
        largest: an upper bound of sigma known on the host, which decides the kernel's width.
    """
    radius = max(1, math.ceil(2 * largest))
    offsets = torch.arange(-radius, radius + 1, device=pixels.device, dtype=torch.float32)
    kernels = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3).view(-1, 1)) ** 2)
    kernels = kernels / kernels.sum(1, keepdim=True)
    return by_products(pixels, kernels) if pixels.is_cuda else by_copies(pixels, kernels)


def by_products(pixels: Tensor, kernels: Tensor) -> Tensor:
    """Rows, then columns, by a product with a matrix of each image's weights, (n, 2 * radius + 1)."""
    kernels = kernels.to(pixels.dtype)
    down = _banded(kernels, pixels.shape[2]).unsqueeze(1) @ pixels
    across: Tensor = down @ _banded(kernels, pixels.shape[3]).unsqueeze(1).mT
    return across


def _banded(kernels: Tensor, length: int) -> Tensor:
    """What each pixel of a line takes of each other, (n, length, length); the ends go on for ever."""
    taps = kernels.shape[1]
    places = torch.arange(length, device=kernels.device)
    taken = places + torch.arange(-(taps // 2), taps // 2 + 1, device=kernels.device).unsqueeze(1)
    chosen = (taken.clamp(0, length - 1).unsqueeze(2) == places).to(kernels.dtype)
    return (kernels @ chosen.view(taps, -1)).view(-1, length, length)


def by_copies(pixels: Tensor, kernels: Tensor) -> Tensor:
    """Rows, then columns, by a sum of shifted copies, each with its weight of (n, 2 * radius + 1)."""
    radius = kernels.shape[1] // 2
    height, width = pixels.shape[2:]
    padded = functional.pad(pixels, (0, 0, radius, radius), mode="replicate")
    down = _weighted([padded[:, :, i : i + height] for i in range(2 * radius + 1)], kernels)
    padded = functional.pad(down, (radius, radius, 0, 0), mode="replicate")
    across = _weighted([padded[..., i : i + width] for i in range(2 * radius + 1)], kernels)
    return across.to(pixels.dtype)


def _weighted(shifted: list[Tensor], kernels: Tensor) -> Tensor:
    """The sum of copies, the i-th times its images' i-th weights."""
    weights = kernels.T.reshape(len(shifted), -1, 1, 1, 1)
    total = shifted[0] * weights[0]
    for copy, weight in zip(shifted[1:], weights[1:], strict=True):
        total.addcmul_(copy, weight)
    return total


_GREY = (0.2989, 0.587, 0.114)  # ITU-R 601, as torchvision rounds it
_COLOURLESS = 1 / 4096  # less chroma than a 16th of an 8-bit step has no hue


def constant(channels: tuple[float, float, float], device: torch.device) -> Tensor:
    """A number for each channel, float32 (1, 3, 1, 1), brought to the device without waiting for it."""
    return torch.tensor(channels).view(1, 3, 1, 1).to(device, non_blocking=True)


def luma(pixels: Tensor) -> Tensor:
    """How light each pixel is, (n, 1, h, w)."""
    red, green, blue = pixels[:, :1], pixels[:, 1:2], pixels[:, 2:]
    return (red * _GREY[0]).add_(green, alpha=_GREY[1]).add_(blue, alpha=_GREY[2])


def to_grey(pixels: Tensor) -> Tensor:
    """All three channels set to the luma."""
    return luma(pixels).expand_as(pixels)


def solarized(pixels: Tensor) -> Tensor:
    """Everything at or above one half inverted."""
    return torch.where(pixels >= 0.5, 1 - pixels, pixels)


def inverted(pixels: Tensor) -> Tensor:
    """The negative."""
    return 1 - pixels


def blended(pixels: Tensor, towards: Tensor | None, factor: Tensor) -> Tensor:
    """Mix: factor * pixels + (1 - factor) * towards, clamped to [0, 1]; black when `towards` is None.

    `towards` has one channel, (n, 1, h, w), or is a number for each image, (n, 1, 1, 1).
    """
    weights = factor.to(pixels.dtype).view(-1, 1, 1, 1)
    if towards is None:
        return (pixels * weights).clamp_(max=1)
    if towards[0].numel() == 1:  # a CPU takes several times as long to lerp between such
        return (pixels * weights).add_(towards * (1 - weights)).clamp_(0, 1)
    return torch.lerp(towards, pixels, weights).clamp_(0, 1)


def hue_turned(pixels: Tensor, turns: Tensor) -> Tensor:
    """Hue moved by `turns` (a full circle is 1, from -1 to 1) at unchanged HSV saturation and value.

    The closed form of HSV back to RGB is V - V S max(0, min(k, 4 - k, 1)), k = (n + 6 H) mod 6
    with n = 5, 3, 1 (Wikipedia, "HSL and HSV", alternative formulae); min(k, 4 - k) = 2 - |k - 2|.
    Hue itself, whose definition asks which channel is largest, is written without asking, which no
    CPU does for many pixels at once: 6 H = 1 + (max(G, B) - R + max(0, min(G, B) - R)) / (V S) from
    red (0) by way of green (2) to cyan (3), and the negative where B is above G.
    """
    red, green, blue = pixels[:, :1], pixels[:, 1:2], pixels[:, 2:]
    more, less = torch.maximum(green, blue), torch.minimum(green, blue)
    value = torch.maximum(red, more)
    chroma = value - torch.minimum(red, less)
    scale = 1 / chroma.clamp(min=_COLOURLESS).mul_(6)
    hue = more.sub_(red).add_(less.sub_(red).relu_()).mul_(scale).add_(1 / 6)
    # From -1/2; with what is added here and the place of its channel it is not negative.
    hue.copysign_(green - blue).add_(turns.remainder(1).view(-1, 1, 1, 1) + 1 / 2)
    places = constant((2 / 6, 0, 4 / 6), pixels.device).to(pixels.dtype)
    distance = (hue + places).frac_().sub_(1 / 3).abs_()
    share = torch.rsub(distance, 2, alpha=6).clamp_(0, 1)
    return torch.addcmul(value, chroma, share, value=-1)


def jitter_factors(draw: Floats, size: float) -> npt.NDArray[np.float32]:
    """Multipliers uniform in [1 - size, 1 + size], never negative."""
    low = max(0.0, 1 - size)
    return (low + (1 + size - low) * draw).astype(np.float32)


def jittered(
    pixels: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, turns: Tensor
) -> Tensor:
    """Brightness, contrast, saturation and hue in this order (torchvision shuffles the order).

    The first three are factors as `blended` takes them, `turns` as `hue_turned` does; each (n,).
    """
    some = blended(pixels, None, brightness)
    some = blended(some, luma(some).mean((1, 2, 3), keepdim=True), contrast)
    some = blended(some, luma(some), saturation)
    return hue_turned(some, turns)
