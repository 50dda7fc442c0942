"""Connected components of a mark, each recoloured on its own, on batches (n, 3, h, w) in [0, 1]."""

import torch
from torch import Tensor

_LOW = 45 / 64  # a channel below is low, which makes eight classes; exact in float16
COLOURS = 8  # drawn for an image; its components share them
_ROUNDS = 10  # enough for every component of the logos that were tried at 224 x 224


def colour_classes(pixels: Tensor) -> Tensor:
    """Which channels of each pixel are low, from 0 (white and light colours) to 7, (n, h, w)."""
    low = (pixels < _LOW).to(torch.int64)
    return low[:, 0] + 2 * low[:, 1] + 4 * low[:, 2]


def connected_components(classes: Tensor, rounds: int = _ROUNDS) -> Tensor:
    """Label the components of pixels that share a class and an edge.

    Each pixel points to the largest index known in its component. A round takes the maximum over the
    neighbours, hands it to the pixel pointed to, and follows that pixel's pointer (Shiloach and
    Vishkin 1982). The known distance doubles each round, and the host never waits for the device.

    Args:
        classes: (n, h, w).
        rounds: how many; a component too winding for them is split into several.

    Returns:
        Index into h * w of the last pixel of the component, (n, h, w).
    """
    count, height, width = classes.shape
    same_beside = (classes[:, :, 1:] == classes[:, :, :-1]).to(torch.int64)
    same_below = (classes[:, 1:] == classes[:, :-1]).to(torch.int64)
    labels = torch.arange(height * width, device=classes.device).repeat(count, 1)
    for _ in range(rounds):
        spread = labels.clone()
        grid = spread.view(count, height, width)
        _share_larger(grid[:, :, 1:], grid[:, :, :-1], same_beside)
        _share_larger(grid[:, 1:], grid[:, :-1], same_below)
        merged = spread.scatter_reduce(1, labels, spread, "amax")
        labels = merged.gather(1, merged)
    return labels.view(count, height, width)


def _share_larger(first: Tensor, second: Tensor, joined: Tensor) -> None:
    """Set both sides of each joined pair to the larger number, in place."""
    larger = torch.maximum(first, second).mul_(joined)
    torch.maximum(first, larger, out=first)
    torch.maximum(second, larger, out=second)


def recolour_components(pixels: Tensor, colours: Tensor, draw: Tensor) -> Tensor:
    """Each connected component of a mark in its own colour; white and light colours stay.

    This is segment colour augmentation (Yavuz and Kalkan 2022).

    Args:
        pixels: (n, 3, h, w).
        colours: RGB to choose from, (n, COLOURS, 3).
        draw: number in [0, 1) that assigns colours to components, (n,).
    """
    count, _, height, width = pixels.shape
    classes = colour_classes(pixels)
    # Multiplicative hashing (Dietzfelbinger et al. 1997): an odd factor for each image, three bits.
    factor = (draw * (1 << 31)).to(torch.int64).bitwise_or_(1).view(-1, 1)
    components = connected_components(classes).flatten(1)
    chosen = (components * factor).bitwise_right_shift_(20).remainder_(COLOURS)
    recoloured = colours.to(pixels.dtype).gather(1, chosen.unsqueeze(2).expand(-1, -1, 3))
    recoloured = recoloured.view(count, height, width, 3).permute(0, 3, 1, 2)
    return torch.where((classes > 0).unsqueeze(1), recoloured, pixels)
