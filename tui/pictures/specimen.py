"""A drawn mark, to show how pictures look where there is no real one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tmssl.types import Pixels

_SIDE = 256
_RED, _BLUE, _GOLD, _INK = (196, 30, 58), (20, 60, 140), (240, 180, 40), (25, 25, 30)


def specimen() -> "Pixels":
    """A mark with what marks have: a ring, an area, thin lines, round and sharp forms; uint8 (256, 256, 3)."""
    import numpy as np
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (_SIDE, _SIDE), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((8, 8, 248, 248), outline=_BLUE, width=14)
    draw.ellipse((30, 30, 226, 226), outline=_BLUE, width=3)
    draw.polygon([(128, 36), (196, 150), (60, 150)], fill=_RED)
    draw.ellipse((102, 90, 154, 142), fill=_GOLD)
    for at in range(5):
        draw.line((56, 164 + 12 * at, 200, 164 + 12 * at), fill=_INK, width=4)
    draw.rectangle((112, 160, 144, 218), fill="white", outline=_INK, width=4)
    return np.asarray(picture)
