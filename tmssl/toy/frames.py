"""Frames around the figures of toy marks, and where the figures go inside them.

Lengths are in hundredths of the mark's side.
"""

import random

FRAMES = {"circle": "26.01", "square": "26.04", "shield": "24.01", "hexagon": "26.05"}
"""Frames and the Vienna division of their shape."""

Box = tuple[float, float, float, float]  # left, top, width, height

# Width and height of what fits into a frame, and how far its centre moves down, in parts of the frame's side.
_ONE_INSIDE = {
    "circle": (0.80, 0.80, 0.0),
    "hexagon": (0.74, 0.74, 0.0),
    "square": (0.76, 0.76, 0.0),
    "shield": (0.62, 0.60, -0.08),
}
_TWO_INSIDE = {
    "circle": (0.80, 0.50, 0.0),
    "hexagon": (0.80, 0.48, 0.0),
    "square": (0.84, 0.60, 0.0),
    "shield": (0.74, 0.50, -0.10),
}


def figure_boxes(picture: Box, frame: str, figures: int, share: float) -> list[Box]:
    """A box for each figure inside the picture area or the frame in it."""
    left, top, width, height = picture
    x, y = left + width / 2, top + height / 2
    if frame:
        side = min(width, height)
        wide, high, up = (_ONE_INSIDE if figures == 1 else _TWO_INSIDE)[frame]
        if figures > 1 and frame in ("circle", "square"):
            side = min(width, 1.35 * height)
            high /= 1.35
            high *= 1.1
        width, height, y = wide * side, high * side, y + up * side
    width, height = width * share, height * share
    gap = 3.0 if figures > 1 else 0.0
    each = (width - gap * (figures - 1)) / figures
    return [
        (x - width / 2 + number * (each + gap), y - height / 2, each, height)
        for number in range(figures)
    ]


def frame_markup(
    frame: str, style: str, picture: Box, figures: int, paints: tuple[str, str], rng: random.Random
) -> str:
    """A frame as SVG: one filled shape, a ring, or a filled band around the inside.

    Args:
        frame: one of FRAMES.
        style: `filled`, `ring` or `double`.
        picture: where it may go.
        figures: how many stand in it.
        paints: its colour, and that of what is inside a ring.
        rng: decides corners and widths.
    """
    paint, behind = paints
    corner = rng.choice((0.0, 0.06, 0.2))
    band = rng.uniform(0.05, 0.10)
    outer = _shape(frame, picture, figures, 1.0, corner)
    if style == "filled":
        return f'{outer} fill="{paint}"/>'
    inner = _shape(frame, picture, figures, 1 - band, corner)
    hole = f'{outer} fill="{paint}"/>{inner} fill="{behind}"/>'
    if style == "ring":
        return hole
    line = _shape(frame, picture, figures, 1 - band - 0.05, corner)
    core = _shape(frame, picture, figures, 1 - band - 0.08, corner)
    return f'{hole}{line} fill="{paint}"/>{core} fill="{behind}"/>'


def _shape(frame: str, picture: Box, figures: int, share: float, corner: float) -> str:
    """A frame's outline at `share` of its full size, as an SVG element left open for its paint."""
    left, top, width, height = picture
    x, y, side = left + width / 2, top + height / 2, min(width, height)
    wide, high = side * share, side * share
    if figures > 1 and frame in ("circle", "square"):
        wide = min(width, 1.35 * height) * share
        high = wide / 1.35
    if frame == "circle":
        return f'<ellipse cx="{x:.2f}" cy="{y:.2f}" rx="{wide / 2:.2f}" ry="{high / 2:.2f}"'
    if frame == "square":
        return (
            f'<rect x="{x - wide / 2:.2f}" y="{y - high / 2:.2f}" width="{wide:.2f}" '
            f'height="{high:.2f}" rx="{corner * high:.2f}"'
        )
    if frame == "hexagon":
        points = ((-0.5, 0), (-0.25, -0.43), (0.25, -0.43), (0.5, 0), (0.25, 0.43), (-0.25, 0.43))
        corners = " ".join(f"{x + a * wide:.2f},{y + b * high:.2f}" for a, b in points)
        return f'<polygon points="{corners}"'
    path = "M-.45 -.5H.45V-.02C.45 .27 .22 .42 0 .5C-.22 .42 -.45 .27 -.45 -.02Z"
    if corner > 0.1:
        path = "M0 -.5C.14 -.42 .3 -.4 .45 -.42V-.02C.45 .27 .22 .42 0 .5C-.22 .42 -.45 .27 -.45 -.02V-.42C-.3 -.4 -.14 -.42 0 -.5Z"
    return (
        f'<path vector-effect="non-scaling-stroke" transform="translate({x:.2f} {y:.2f}) '
        f'scale({wide:.3f})" d="{path}"'
    )
