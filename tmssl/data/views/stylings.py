"""What happens to a mark between its drawing and its printing, on batches (n, 3, h, w) in [0, 1].

Pixels are float32 or float16 and stay so; levels and colours are float32.
Ink is what differs from white by more than a shade, whatever its colour.
"""

import torch
from torch import Tensor

from tmssl.data.views.colour import luma

_INK = 0.85  # a pixel whose darkest channel is under this is ink
LEVELS = 4  # tones that are told apart when a mark is coloured anew; the lightest stays white
_WORDS = 0.4  # of the mark's height is the most that a line of words takes


def ink(pixels: Tensor) -> Tensor:
    """1 where there is ink, else 0: (n, 1, h, w)."""
    return (pixels.amin(1, keepdim=True) < _INK).to(pixels.dtype)


def silhouette(pixels: Tensor) -> Tensor:
    """All ink black on white."""
    return (1 - ink(pixels)).expand_as(pixels)


def outline(pixels: Tensor, radius: int) -> Tensor:
    """The edge of the ink as black lines on white, 2 * radius pixels wide."""
    there = ink(pixels)
    edge = _most(there, radius) + _most(-there, radius)  # dilation less erosion
    return (1 - edge).expand_as(pixels)


def thresholded(pixels: Tensor, level: Tensor) -> Tensor:
    """Black where the luma is under the image's level (n,), else white."""
    return (luma(pixels) >= level.view(-1, 1, 1, 1)).to(pixels.dtype).expand_as(pixels)


def recoloured(pixels: Tensor, colours: Tensor) -> Tensor:
    """Each tone of a mark in a colour of its own; the lightest of the four tones becomes white.

    Args:
        pixels: (n, 3, h, w).
        colours: of the three darker tones, (n, 3 or more, 3), the darkest first, each red, green, blue.
    """
    tone = luma(pixels).mul_(LEVELS).floor_()
    result = (tone >= LEVELS - 1).to(pixels.dtype).repeat(1, 3, 1, 1)
    for level in range(LEVELS - 1):
        there = (tone == level).to(pixels.dtype)
        result.addcmul_(there, colours[:, level].to(pixels.dtype).view(-1, 3, 1, 1))
    return result


def thickened(pixels: Tensor, radius: int) -> Tensor:
    """Dark strokes grown by `radius` pixels on each side: the minimum of each neighbourhood."""
    return -_most(-pixels, radius)


def thinned(pixels: Tensor, radius: int) -> Tensor:
    """Dark strokes shrunk by `radius` pixels on each side: the maximum of each neighbourhood."""
    return _most(pixels, radius)


def _most(pixels: Tensor, radius: int) -> Tensor:
    """The maximum over squares of side 2 * radius + 1, one direction after the other.

    By shifted copies, since `max_pool2d` also writes where each maximum was, and takes a CPU several times as long.
    """
    for along in (3, 2):
        found = pixels.clone()
        for by in range(1, radius + 1):
            rest = pixels.shape[along] - by
            for here, there in ((0, by), (by, 0)):
                some = found.narrow(along, here, rest)
                torch.maximum(some, pixels.narrow(along, there, rest), out=some)
        pixels = found
    return pixels


def without_words(images: Tensor) -> Tensor:
    """The lowest line of ink made white, where a gap parts it from more ink above it.

    A line higher than 40 % of the mark is no line of words and stays.

    Args:
        images: uint8 (n, h, w, 3).
    """
    inked = (images.amin(3) < 255 * _INK).any(2).flip(1)  # (n, h), from the bottom row upwards
    seen = inked.cumsum(1) > 0
    ended = (seen & ~inked).cumsum(1) > 0
    line, above = inked & ~ended, inked & ended
    first = seen.sum(1)  # rows from the lowest ink up to the top of the image
    top = (inked.flip(1).cumsum(1) == 0).sum(1)  # white rows above the mark
    low = line.sum(1) <= _WORDS * (first - top)
    lost = line & (low & above.any(1)).unsqueeze(1)
    white = lost.flip(1).to(torch.uint8) * 255
    return images | white[:, :, None, None]
