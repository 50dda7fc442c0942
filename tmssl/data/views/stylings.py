"""Ways in which a mark is redrawn (outline, silhouette, other strokes or tones), on batches of pixels.

Pixels are float32 or float16 in [0, 1], (n, 3, h, w), and keep their type; levels and colours are
float32. Ink is whatever differs from white by more than a shade.
"""

import torch
from torch import Tensor

from tmssl.data.views.colour import luma

_INK = 0.85  # a pixel whose darkest channel is under this is ink
LEVELS = 4  # tones that `recolour_tones` distinguishes; the lightest becomes white
_MAX_WORDS = 0.4  # of the mark's height that a line of words takes


def ink(pixels: Tensor) -> Tensor:
    """1 where there is ink, else 0: (n, 1, h, w)."""
    return (pixels.amin(1, keepdim=True) < _INK).to(pixels.dtype)


def silhouette(pixels: Tensor) -> Tensor:
    """All ink black on white."""
    return (1 - ink(pixels)).expand_as(pixels)


def outline(pixels: Tensor, radius: int) -> Tensor:
    """The edge of the ink as black lines on white, 2 * radius pixels wide."""
    mask = ink(pixels)
    edge = _local_max(mask, radius) + _local_max(-mask, radius)  # dilation minus erosion
    return (1 - edge).expand_as(pixels)


def threshold(pixels: Tensor, level: Tensor) -> Tensor:
    """Black where the luma is below the level of the image, (n,), else white."""
    return (luma(pixels) >= level.view(-1, 1, 1, 1)).to(pixels.dtype).expand_as(pixels)


def recolour_tones(pixels: Tensor, colours: Tensor) -> Tensor:
    """Each of the three darker tones of a mark in its own colour; the lightest tone becomes white.

    Args:
        pixels: (n, 3, h, w).
        colours: RGB of the tones, the darkest first, (n, 3 or more, 3).
    """
    tone = luma(pixels).mul_(LEVELS).floor_()
    result = (tone >= LEVELS - 1).to(pixels.dtype).repeat(1, 3, 1, 1)
    for level in range(LEVELS - 1):
        mask = (tone == level).to(pixels.dtype)
        result.addcmul_(mask, colours[:, level].to(pixels.dtype).view(-1, 3, 1, 1))
    return result


def thicken(pixels: Tensor, radius: int) -> Tensor:
    """Dark strokes grown by `radius` pixels on each side: the minimum of each neighbourhood."""
    return -_local_max(-pixels, radius)


def thin(pixels: Tensor, radius: int) -> Tensor:
    """Dark strokes shrunk by `radius` pixels on each side: the maximum of each neighbourhood."""
    return _local_max(pixels, radius)


def _local_max(pixels: Tensor, radius: int) -> Tensor:
    """The maximum over squares of side 2 * radius + 1, one axis after the other.

    `max_pool2d` also writes the index of each maximum and takes a CPU several times as long.
    """
    for axis in (3, 2):
        highest = pixels.clone()
        for shift in range(1, radius + 1):
            length = pixels.shape[axis] - shift
            for begin, shifted in ((0, shift), (shift, 0)):
                window = highest.narrow(axis, begin, length)
                torch.maximum(window, pixels.narrow(axis, shifted, length), out=window)
        pixels = highest
    return pixels


def remove_words(images: Tensor) -> Tensor:
    """Whiten the lowest line of ink where a gap separates it from ink above, as words under a figure.

    A line higher than 40 % of the mark stays, since words are smaller.

    Args:
        images: uint8 (n, h, w, 3).
    """
    inked = (images.amin(3) < 255 * _INK).any(2).flip(1)  # (n, h), from the bottom row upwards
    seen = inked.cumsum(1) > 0
    ended = (seen & ~inked).cumsum(1) > 0
    line, above = inked & ~ended, inked & ended
    first = seen.sum(1)  # rows from the lowest ink up to the top of the image
    top = (inked.flip(1).cumsum(1) == 0).sum(1)  # white rows above the mark
    low = line.sum(1) <= _MAX_WORDS * (first - top)
    lost = line & (low & above.any(1)).unsqueeze(1)
    white = lost.flip(1).to(torch.uint8) * 255
    return images | white[:, :, None, None]
