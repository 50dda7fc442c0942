"""A query and a match at full resolution, printed outside the app; the terminal gets no query."""

import functools
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import set_cell_size

from tmssl.doctor.terminal import colours
from tmssl.retrieval.evaluation.matches import QueryMatches, display_name, shared_codes, verdict
from tmssl.text import safe
from tui.matches.query_list import query_name
from tui.pictures.ways import CELLS

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from tmssl.data.pack.reader import Pack

_TEXT_LINES = 6  # around the picture
_CLASSES = {"kitty": "KittyImage", "iterm2": "ITerm2Image"}
"""what term-image draws by, for each protocol of graphics"""


def read_original(pack: "Pack", row: int, path: str) -> "tuple[Picture, str]":
    """The image file of a row, or the pack's copy where the file is gone; and its size in words.

    A path that leads out of the pack's source folder counts as gone.
    """
    from PIL import Image

    from tmssl.data.picture import UnreadableError, load_image
    from tmssl.data.sources.location import open_image

    root = Path(pack.source_root)
    file = root / path
    if path and root.is_dir() and file.resolve().is_relative_to(root.resolve()):
        try:
            picture = load_image(open_image(str(file)))
        except UnreadableError:  # deleted or damaged since
            pass
        else:
            return picture, f"{picture.width} x {picture.height}"
    return Image.fromarray(pack.read([row])[0]), f"{pack.size} x {pack.size} of the pack"


def side_by_side(left: "Picture", right: "Picture") -> "Picture":
    """Two pictures on white, the lower one enlarged to the height of the other."""
    from PIL import Image

    height = max(left.height, right.height)
    gap = height // 20 + 1
    left, right = (
        picture.resize(
            (max(1, round(picture.width * height / picture.height)), height),
            Image.Resampling.LANCZOS,
        )
        if picture.height != height
        else picture
        for picture in (left, right)
    )
    canvas = Image.new("RGB", (left.width + gap + right.width, height), "white")
    canvas.paste(left, (0, 0))
    canvas.paste(right, (left.width + gap, 0))
    return canvas


def render(picture: "Picture", columns: int, rows: int, protocol: str, *, way: str = "half") -> str:
    """The text that draws a picture in at most `columns` x `rows` cells.

    Args:
        picture: to draw.
        columns: most cells of a line.
        rows: most lines.
        protocol: one that `tui.options.graphics_protocol` returns. Graphics need term-image; cells are drawn
            where it is not installed.
        way: how cells are drawn, one of `tui.pictures.ways.DRAWN`.
    """
    if protocol == "off":
        return "(pictures are off)"
    images = _term_images() if protocol != "block" and way != "letters" else None
    if images is None:
        return "\n".join(_cells(picture, columns, rows, way))
    image_class = getattr(images, _CLASSES[protocol])
    image_class.forced_support = True  # else it would send the terminal a query
    image = image_class(picture)
    image.set_size(images.Size.FIT, frame_size=(columns, rows))
    return str(image)


def _cells(picture: "Picture", columns: int, rows: int, way: str) -> list[str]:
    """A picture as the largest cells of its shape that fit, in the colours that the terminal says it has."""
    import numpy as np

    from tui.pictures.ansi import ansi_lines
    from tui.pictures.letters import letter_lines

    scale = min(columns / picture.width, 2 * rows / picture.height)
    size = max(1, int(picture.width * scale)), max(1, int(picture.height * scale / 2))
    pixels = np.asarray(picture.convert("RGB"))
    if way == "letters":
        return letter_lines(pixels, *size)
    finest = way if way in CELLS else "quadrant"
    return ansi_lines([pixels], *size, finest, colours(os.environ))[0]


@functools.cache
def _term_images() -> Any:
    """The module `term_image.image`, or None where it is not installed.

    It is kept from sending queries to the terminal: a late answer would arrive as keys.
    """
    with warnings.catch_warnings():
        # It warns when there is no terminal, which does not matter here.
        warnings.simplefilter("ignore")
        try:
            import term_image
        except ModuleNotFoundError:
            return None
        term_image.disable_queries()
        import term_image.image
    return term_image.image


def _missing() -> str:
    """What to install for graphics."""
    if sys.version_info >= (3, 14):  # its Pillow has no wheel there
        return "drawn in cells: graphics need term-image, which there is none of for this Python"
    return "drawn in cells; for this terminal's graphics: pip install 'tmssl[inline]'"


def _captions(query: QueryMatches, index: int, sizes: tuple[str, str]) -> list[str]:
    """The lines under a query and a match: names, sizes, rank, verdict, shared codes."""
    match = query.matches[index]
    judgment = [verdict(match, query), "; ".join(shared_codes(match, query))]
    name = safe(display_name(match))
    return [
        f"left: {query_name(query)} ({sizes[0]})",
        f"right: {name} ({sizes[1]}), rank {match.rank}, similarity {match.similarity:.3f}, "
        + safe("; ".join(filter(None, judgment))),
    ]


def show_full_resolution(
    query: QueryMatches,
    pack: "Pack",
    protocol: str,
    write: Callable[[str], None],
    ask: Callable[[str], str],
    *,
    way: str = "half",
) -> None:
    """Show a query beside its first match, then beside each match that the user asks for.

    Args:
        query: has at least one match.
        pack: the pixels to show where an image file is gone.
        protocol: one that `tui.options.graphics_protocol` returns.
        write: writes a line to the terminal.
        ask: shows a prompt and returns what was typed; an empty answer ends it.
        way: how cells are drawn, one of `tui.pictures.ways.DRAWN`.
    """
    index, answer = 0, "1"
    left, left_size = read_original(pack, query.row, query.path)
    while answer:
        match = query.matches[index]
        right, right_size = read_original(pack, match.row, match.path)
        columns, lines = shutil.get_terminal_size()
        rows = max(4, lines - _TEXT_LINES)
        picture = side_by_side(left, right)
        write("\x1b[2J\x1b[H" + render(picture, columns, rows, protocol, way=way))
        lines_below = _captions(query, index, (left_size, right_size))
        if protocol in _CLASSES and _term_images() is None:
            lines_below.append(_missing())
        for line in lines_below:
            write(set_cell_size(line, columns - 1).rstrip())
        answer = ask(f"rank of another match (1 to {len(query.matches)}), or enter to go back: ")
        if answer.isdecimal() and 1 <= int(answer) <= len(query.matches):
            index = int(answer) - 1


def ask_user(prompt: str) -> str:
    """What the user types after a prompt; empty when the terminal is gone."""
    try:
        return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        return ""
