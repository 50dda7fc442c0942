"""An image of any mode as RGB: deep greys scaled, transparency over the ground that shows most of the mark."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from tmssl.data.preprocess import INK

_Mask = npt.NDArray[np.bool_]

_OPAQUE = 128  # alpha from which a pixel belongs to a part of the mark
_SOLID = 224  # alpha from which a pixel is not of a soft edge
# Share of the opaque pixels up to which lost ones at an outline are a rim, a symbol or a highlight.
_RIM = 0.25
_SPECK = 0.02  # share of the opaque pixels that is too little to leave white for
_SMALL = 128  # pixels of the longer side of an icon, whose edges are thinner
_SIDE = 512  # pixels of the longer side at which parts are told apart


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB: transparency over white or black, 16-bit greys scaled to 8 bits.

    Transparency goes over white unless black shows more of the opaque parts: a white drawing (3 % of
    a set of real logos) or white lettering beside a coloured device would vanish on white. Where alpha
    is 0 everywhere and there are colours under it, the writer left alpha unset, and it is ignored.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _flatten(image.convert("RGBA"))
    return image.convert("RGB")


def _flatten(layered: Image.Image) -> Image.Image:
    """An RGBA image over white or black."""
    least, most = layered.getchannel("A").getextrema()
    colours = layered.convert("RGB")
    if least == 255 or (most == 0 and colours.getcolors(1) is None):
        return colours
    on_white = _over(layered, "white")
    if np.asarray(on_white, dtype=np.uint8).min() >= 255 - INK:
        on_black = _over(layered, "black")
        return on_black if np.asarray(on_black, dtype=np.uint8).max() > INK else on_white
    return _over(layered, "black") if _more_on_black(layered) else on_white


def _over(layered: Image.Image, colour: str) -> Image.Image:
    """An RGBA image over one colour."""
    ground = Image.new("RGB", layered.size, colour)
    ground.paste(layered, mask=layered.getchannel("A"))
    return ground


def _more_on_black(layered: Image.Image) -> bool:
    """Whether black shows more of the opaque parts than white does, by area.

    Pixels at a soft edge decide nothing: their colours are mixed with what lies under the transparency.
    """
    step = max(1, math.ceil(max(layered.size) / _SIDE))
    pixels = np.asarray(layered, dtype=np.uint8)[::step, ::step]
    alpha, colours = pixels[..., 3], pixels[..., :3]
    opaque, solid = alpha >= _OPAQUE, alpha >= min(_SOLID, int(alpha.max()))
    dark = solid & (colours.min(-1) < 255 - INK)
    if np.array_equal(dark, solid):
        return False
    light = solid & (colours.max(-1) > INK)
    gain = _shown(light, opaque) - _shown(dark, opaque)
    return gain > _SPECK * int(opaque.sum())


def _shown(visible: _Mask, parts: _Mask) -> int:
    """Number of pixels of the connected parts of a mark that a ground shows.

    A part without a visible pixel is lost. So is what runs into the ground at the outline of a part
    that is visible elsewhere at its outline, if it is more than a rim. The white inside of a badge and
    the white card or rim around a coloured drawing are shown: the drawing is there without them.

    Args:
        visible: pixels that differ from the ground, (h, w).
        parts: the opaque pixels, (h, w).
    """
    outline = parts & _widened(~parts, 2 if max(parts.shape) >= _SMALL else 1)
    outlined = _touched(visible & outline, parts)
    hidden = parts & ~visible
    lost = int((_touched(hidden & outline, hidden) & outlined).sum())
    rim = _RIM * int(parts.sum())
    return int(_touched(visible, parts).sum()) - (lost if lost > rim else 0)


def _widened(mask: _Mask, pixels: int) -> _Mask:
    """A mask and the pixels within some of it, (h, w)."""
    wide = mask.copy()
    for _ in range(pixels):
        last = wide.copy()
        wide[1:] |= last[:-1]
        wide[:-1] |= last[1:]
        wide[:, 1:] |= last[:, :-1]
        wide[:, :-1] |= last[:, 1:]
    return wide


def _touched(seeds: _Mask, parts: _Mask) -> _Mask:
    """The connected pieces of `parts` that hold a seed, (h, w); pixels are joined by their edges."""
    rows, columns = _runs(parts), _runs(parts.T)
    touched = seeds
    while True:
        along_rows = _fill(touched, rows) & parts
        grown = _fill(along_rows.T, columns).T & parts
        if np.array_equal(grown, touched):
            return grown
        touched = grown


def _runs(parts: _Mask) -> npt.NDArray[np.int64]:
    """A number for each run of equal pixels along the rows, (h, w)."""
    begins = np.ones(parts.shape, np.int64)
    begins[:, 1:] = parts[:, 1:] != parts[:, :-1]
    return begins.cumsum().reshape(parts.shape)


def _fill(touched: _Mask, runs: npt.NDArray[np.int64]) -> _Mask:
    """Every pixel of the runs that hold a touched one."""
    held = np.zeros(int(runs[-1, -1]) + 1, np.bool_)
    held[runs[touched]] = True
    return held[runs]


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """A 16-bit, 32-bit or float grey image scaled to 8 bits by the range of its type."""
    values = np.nan_to_num(np.array(image, dtype=np.float32), copy=False)
    highest = float(values.max(initial=0))
    top = max(65535.0, highest) if highest > 255 else 255.0
    if image.mode.startswith("I;16") or image.format == "PNG":
        top = 65535.0  # a dark 16-bit image must not become a bright 8-bit one
    elif image.mode == "F" and highest <= 1.0:
        top = 1.0
    values *= 255 / top
    scaled = values.round(out=values).clip(0, 255, out=values).astype(np.uint8)
    return Image.fromarray(scaled).convert("RGB")
