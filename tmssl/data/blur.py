"""A Gaussian blur of a batch, each image with its own width."""

import math

import torch
from torch import Tensor
from torch.nn import functional


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
