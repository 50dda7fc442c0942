"""Pictures in ASCII letters, for terminals without UTF-8 and for `--ascii`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tmssl.types import Pixels

_RAMP = "@%#*+=-:. "  # from dark to light


def letter_lines(pixels: "Pixels", columns: int, rows: int) -> list[str]:
    """A picture as `rows` lines of ASCII, with denser letters for darker parts.

    Args:
        pixels: uint8 (h, w, 3).
        columns: width in cells.
        rows: height in cells.
    """
    from tui.pictures.mosaic import fit

    grey = fit(pixels, (columns, 2 * rows)).convert("L").resize((columns, rows))
    letters = "".join(_RAMP[value * len(_RAMP) // 256] for value in grey.tobytes())
    return [letters[begin : begin + columns] for begin in range(0, len(letters), columns)]
