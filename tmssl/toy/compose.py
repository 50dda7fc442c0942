"""Toy trademarks: figures, a frame, a wordmark and a ground, put together in a square.

Everything about a mark follows from its seed and its place in its group, so it can be drawn
anywhere, in any order. Lengths are in hundredths of the square's side.
"""

import random
from dataclasses import dataclass

from tmssl.toy.colour import contrast, luminance
from tmssl.toy.frames import FRAMES, Box, figure_boxes, frame_markup
from tmssl.toy.lettering import choose_pen, invent_word, write_word
from tmssl.toy.openmoji import Drawing, Motif, draw, halo, load_drawing, render

WORDMARK = "27.05"  # letters presenting a special form of writing

_INKS = {
    "black": "#141414",
    "navy": "#1b2a5e",
    "blue": "#1f5fbf",
    "teal": "#0f766e",
    "green": "#1e7d3c",
    "olive": "#66661c",
    "orange": "#d4560b",
    "red": "#c8201f",
    "maroon": "#7a1230",
    "purple": "#6a2c91",
    "magenta": "#b31b6f",
    "brown": "#6b3f1d",
    "slate": "#44505c",
    "amber": "#a06a00",
}
_TINTS = ("#fdf3d8", "#dcecfb", "#dcf3e4", "#fbe0e0", "#e9e2f7", "#efe4d2", "#e8ebee", "#fdf0a0")
_PASTELS = ("#ffd166", "#9ad1f5", "#a8dfb5", "#f7b2b2", "#d3c1f2", "#e3cb9f", "#c6cfd8")
_ON_DEEP = {"white": "#ffffff", "cream": "#fdf3d8", "sky": "#dcecfb", "lemon": "#fdf0a0"}
_WHITE = "#ffffff"
_ONE_INK = ("silhouette", "stencil", "outline")
_DEEP = ("navy", "blue", "teal", "green", "red", "black", "maroon", "purple", "magenta", "slate")
_HEADS = ("face-", "person", "family", "cat-face", "monkey-face")  # their silhouettes say little
_MIRRORED = ("animal-", "food-", "transport-", "person-", "plant-", "tool", "clothing")


@dataclass(frozen=True, slots=True)
class Plan:
    """Which mark to draw: its row, its group, its place in the group and the group's figures."""

    index: int
    group: int
    place: int
    figures: tuple[Motif, ...]


@dataclass(frozen=True, slots=True)
class Composition:
    """A mark as SVG markup in a 100 x 100 square, what was drawn in it, and its title."""

    markup: str
    vienna: tuple[str, ...]
    title: str
    treatment: str
    frame: str
    word: str

    def png(self, size: int) -> bytes:
        """The mark as PNG bytes, `size` x `size` pixels."""
        return render(self.markup, 100, size)


@dataclass(frozen=True, slots=True)
class _Colours:
    """The colours of a mark: page, the frame and what is inside it, and the inks on each."""

    page: str
    frame: str
    inside: str
    ink: str
    ink_name: str
    word: str


@dataclass(frozen=True, slots=True)
class _House:
    """What the marks of one group have in common, as registrations of one owner do."""

    frame: str
    frame_style: str
    word: str
    layout: str
    """seed of the layout, the lettering and the figure's pose"""


def _house(plan: Plan, seed: int) -> _House:
    """The common style of a group."""
    rng = random.Random(f"tmssl toy house {seed} {plan.group}")
    frame = rng.choice(
        ("", "", "", "", "circle", "circle", "square", "square", "shield", "shield", "hexagon")
    )
    style = rng.choice(("filled", "filled", "ring", "double")) if frame else ""
    word = _set_case(invent_word(rng), rng) if rng.random() < 0.65 else ""
    return _House(frame, style, word, f"tmssl toy layout {seed} {plan.group}")


def _variation(house: _House, rng: random.Random) -> _House:
    """One registration of an owner: now and then without its name or frame, or in another frame."""
    frame, style, layout = house.frame, house.frame_style, house.layout
    if rng.random() < 0.2:
        frame = rng.choice(("", *FRAMES))
        style = rng.choice(("filled", "ring", "double")) if frame else ""
    word = house.word if rng.random() < 0.75 else ""
    if rng.random() < 0.15:
        layout = f"{layout} {rng.random()}"
    return _House(frame, style, word, layout)


def compose(plan: Plan, seed: int) -> Composition:
    """Compose one mark of the toy catalogue with this seed."""
    rng = random.Random(f"tmssl toy {seed} {plan.group} {plan.place}")
    drawings = [load_drawing(figure.path) for figure in plan.figures]
    treatment = _choose_treatment(plan, drawings, seed)
    style = _variation(_house(plan, seed), rng)
    frame, word = style.frame, style.word
    colours = _choose_colours(rng, treatment, style.frame_style)
    pose = random.Random(style.layout)
    picture, word_box = _lay_out(pose, word, len(drawings))
    parts = [f'<rect width="100" height="100" fill="{colours.page}"/>']
    boxes = figure_boxes(picture, frame, len(drawings), pose.uniform(0.86, 1.0))
    if frame:
        paints = (colours.frame, colours.inside)
        parts.append(frame_markup(frame, style.frame_style, picture, len(drawings), paints, pose))
    turn, bold, flip = rng.uniform(0.15, 0.85), rng.uniform(0.9, 1.7), pose.random() < 0.3
    for figure, drawing, box in zip(plan.figures, drawings, boxes, strict=True):
        markup = draw(drawing, treatment, colours.ink, colours.inside, turn, bold)
        if treatment not in _ONE_INK and luminance(colours.inside) < 0.5:
            markup = halo(drawing, _WHITE, 2.5) + markup
        mirrored = flip and figure.theme.startswith(_MIRRORED)
        round_fit = frame in ("circle", "hexagon") and len(drawings) == 1
        parts.append(_place(markup, drawing, box, mirrored, round_fit))
    if word:
        parts.append(_place_word(word, word_box, colours, random.Random(f"{style.layout} pen")))
    codes = {code for figure in plan.figures for code in figure.vienna}
    codes |= ({FRAMES[frame]} if frame else set()) | ({WORDMARK} if word else set())
    title = _title(plan.figures, treatment, colours.ink_name, frame, word)
    return Composition("".join(parts), tuple(sorted(codes)), title, treatment, frame, word)


def _choose_treatment(plan: Plan, drawings: list[Drawing], seed: int) -> str:
    """The treatment at this place of a group: all that suit every figure, in turn, shuffled."""
    suitable = [
        name
        for name in drawings[0].treatments
        if all(name in drawing.treatments for drawing in drawings)
        and not (name == "silhouette" and any(f.theme.startswith(_HEADS) for f in plan.figures))
    ]
    random.Random(f"tmssl toy treatments {seed} {plan.group}").shuffle(suitable)
    return suitable[plan.place % len(suitable)]


def _set_case(word: str, rng: random.Random) -> str:
    """The word as written, in capitals or in small letters."""
    return rng.choice((word, word, word.upper(), word.upper(), word.lower()))


def _readable(rng: random.Random, ground: str, least: float) -> tuple[str, str]:
    """An ink (name, colour) whose contrast with the ground is at least `least`."""
    if luminance(ground) < 0.3:
        return rng.choice([("white", _WHITE), ("white", _WHITE), *_ON_DEEP.items()])
    return rng.choice(
        [(name, ink) for name, ink in _INKS.items() if contrast(ink, ground) >= least]
    )


def _choose_colours(rng: random.Random, treatment: str, frame_style: str) -> _Colours:
    """Colours that can be told apart: ink on page, frame on page, figure on what is behind it."""
    light = (_WHITE,) if treatment == "flat" else _TINTS  # flat colours fade on a tint
    page = rng.choices((_WHITE, rng.choice(light), _INKS[rng.choice(_DEEP)]), (6, 2, 2))[0]
    frame = _readable(rng, page, 3.2)[1]
    if frame_style == "filled" and luminance(page) < 0.3:
        frame = rng.choice((_WHITE, *light))
    inside = frame if frame_style == "filled" else page
    if frame_style == "double" and luminance(page) > 0.3:
        inside = rng.choice((_WHITE, *light))
    elif frame_style == "filled" and treatment in ("original", "recoloured") and rng.random() < 0.5:
        frame = inside = rng.choice(_PASTELS)
    least = 4.0 if treatment == "outline" else 3.2
    ink_name, ink = _readable(rng, inside, least)
    if treatment == "duotone" and luminance(inside) < 0.5:
        ink_name, ink = rng.choice(list(_INKS.items()))  # it stands on its own white rim
    word = (
        ink if contrast(ink, page) >= 4.5 and rng.random() < 0.7 else _readable(rng, page, 3.2)[1]
    )
    return _Colours(page, frame, inside, ink, ink_name, word)


def _lay_out(rng: random.Random, word: str, figures: int) -> tuple[Box, Box]:
    """Where the picture and the wordmark go."""
    if not word:
        edge = rng.uniform(6, 11)
        return (edge, edge, 100 - 2 * edge, 100 - 2 * edge), (0, 0, 0, 0)
    wide = rng.uniform(0, 5)
    if figures == 1 and len(word) <= 6 and rng.random() < 0.15:
        return (4, 27, 44, 46), (51, 36, 45, 28)
    if rng.random() < 0.2:
        return (12, 33, 76, 61), (6 + wide, 7, 88 - 2 * wide, 20)
    return (12, 6, 76, 61), (6 + wide, 73, 88 - 2 * wide, 20)


def _place(markup: str, drawing: Drawing, box: Box, mirrored: bool, round_fit: bool) -> str:
    """A drawing's ink, centred in a box and as large as it can be; in its circle if `round_fit`."""
    left, top, width, height = box
    scale = (
        min(width, height) / (2 * drawing.radius)
        if round_fit
        else min(width / drawing.width, height / drawing.height)
    )
    x, y = drawing.centre
    return (
        f'<g transform="translate({left + width / 2:.2f} {top + height / 2:.2f}) '
        f"scale({-scale if mirrored else scale:.4f} {scale:.4f}) "
        f'translate({-x:g} {-y:g})">{markup}</g>'
    )


def _place_word(word: str, box: Box, colours: _Colours, rng: random.Random) -> str:
    """The wordmark, centred in its box and as large as it can be."""
    markup, width, top, bottom = write_word(word, choose_pen(rng), colours.word, colours.page)
    left, upper, wide, high = box
    scale = min(wide / width, high / (bottom - top))
    x = left + (wide - width * scale) / 2
    y = upper + (high - (bottom - top) * scale) / 2 - top * scale
    return f'<g transform="translate({x:.2f} {y:.2f}) scale({scale:.4f})">{markup}</g>'


def _title(figures: tuple[Motif, ...], treatment: str, ink_name: str, frame: str, word: str) -> str:
    """What is to be seen: `red fox silhouette in a shield, "Velora"`."""
    names = " and ".join(figure.name for figure in figures)
    described = {
        "original": names,
        "recoloured": f"recoloured {names}",
        "flat": f"flat {names}",
        "duotone": f"{ink_name} {names}",
    }.get(treatment, f"{ink_name} {names} {treatment}")
    return described + (f" in a {frame}" if frame else "") + (f', "{word}"' if word else "")
