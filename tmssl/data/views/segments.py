"""The connected pieces of a mark, and a colour of its own for each, on batches (n, 3, h, w) in [0, 1]."""

import torch
from torch import Tensor

_SIDE = 45 / 64  # parts high from low channels, which makes eight kinds; exact in float16
COLOURS = 8  # drawn for an image; pieces beyond that share them
_ROUNDS = 10  # of `connected`: enough for every piece of the logos that were tried at 224 x 224


def kinds(pixels: Tensor) -> Tensor:
    """A number from 0 (white and light colours) to 7 for the low channels of each pixel, (n, h, w)."""
    low = (pixels < _SIDE).to(torch.int64)
    return low[:, 0] + 2 * low[:, 1] + 4 * low[:, 2]


def connected(kind: Tensor, rounds: int = _ROUNDS) -> Tensor:
    """A number for each pixel that it shares with its piece: pixels of one kind joined by their sides.

    Every pixel names the largest index that it knows of in its piece. In a round it hears of its
    neighbours', tells the pixel that it named, and asks that one in turn (Shiloach and Vishkin 1982,
    for the maximum), so a round doubles what is known, and nothing waits for the device to be done.

    Args:
        kind: (n, h, w).
        rounds: until then; a piece too winding for them ends as several.

    Returns:
        Index into h * w of the last pixel of the piece, (n, h, w).
    """
    count, height, width = kind.shape
    beside = (kind[:, :, 1:] == kind[:, :, :-1]).to(torch.int64)
    below = (kind[:, 1:] == kind[:, :-1]).to(torch.int64)
    known = torch.arange(height * width, device=kind.device).repeat(count, 1)
    for _ in range(rounds):
        heard = known.clone()
        square = heard.view(count, height, width)
        _share(square[:, :, 1:], square[:, :, :-1], beside)
        _share(square[:, 1:], square[:, :-1], below)
        told = heard.scatter_reduce(1, known, heard, "amax")
        known = told.gather(1, told)
    return known.view(count, height, width)


def _share(first: Tensor, second: Tensor, joined: Tensor) -> None:
    """Let both sides of each joined pair have the larger number, in place."""
    larger = torch.maximum(first, second).mul_(joined)
    torch.maximum(first, larger, out=first)
    torch.maximum(second, larger, out=second)


def recoloured_pieces(pixels: Tensor, colours: Tensor, draw: Tensor) -> Tensor:
    """Each connected piece of a mark in a colour of its own; white and light colours stay.

    What segment colour augmentation does (Yavuz and Kalkan 2022).

    Args:
        pixels: (n, 3, h, w).
        colours: to choose from, (n, COLOURS, 3), each red, green, blue.
        draw: decides which piece gets which of them, (n,) in [0, 1).
    """
    count, _, height, width = pixels.shape
    kind = kinds(pixels)
    # A hash by multiplication (Dietzfelbinger et al. 1997): an odd number for each image, and three bits.
    factor = (draw * (1 << 31)).to(torch.int64).bitwise_or_(1).view(-1, 1)
    chosen = (connected(kind).flatten(1) * factor).bitwise_right_shift_(20).remainder_(COLOURS)
    found = colours.to(pixels.dtype).gather(1, chosen.unsqueeze(2).expand(-1, -1, 3))
    found = found.view(count, height, width, 3).permute(0, 3, 1, 2)
    return torch.where((kind > 0).unsqueeze(1), found, pixels)
