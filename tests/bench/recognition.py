"""Whether a mark is recognised by its picture in a terminal: `python -m tests.bench.recognition`.

A reader of oriented gradients (HOG) looks at pictures `--view` pixels wide, 48 by default, as a person looks at small ones from
afar, and seeks the original among 1,500 of the logos and icons that `diagrams` ships. The narrower the view, the less the edges
of cells mislead it: figures compare ways under one view, not views. Bytes are those of one picture in true colour; the time is the least of five,
for a page of 20 as widgets get it. Pixels are those that kitty gets, their bytes those of the sequences and the cells.
"""

import argparse
import io
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tmssl.data.picture import picture_square
from tmssl.types import Pixels, Vectors
from tui.pictures.ansi import ansi_lines
from tui.pictures.glyphs import glyphs
from tui.pictures.mosaic import Mosaic, mosaics
from tui.pictures.pixels import PixelPictures
from tui.pictures.placeholders import slot_of
from tui.pictures.text import text_lines
from tui.pictures.ways import CELLS, PIXELS
from tui.terminal.cell_diff import CellDiff
from tui.terminal.graphics import Graphics

_SIDE = 224  # pixels of a mark
_SIZES = (
    (10, 5),
    (12, 6),
    (24, 12),
)  # cells of a picture: of a match at 80x24 and 120x40, and twice that
_PAGE = 20


def marks(count: int) -> list[Pixels]:
    """So many different logos, drawn by chance."""
    import diagrams

    files = sorted((Path(diagrams.__file__).parents[1] / "resources").rglob("*.png"))
    random.Random(0).shuffle(files)
    found: dict[bytes, Pixels] = {}
    for file in files:
        pixels = picture_square(file, _SIDE)
        found.setdefault(pixels.tobytes(), pixels)
        if len(found) == count:
            break
    return list(found.values())


def shown(mosaic: Mosaic, way: str) -> Pixels:
    """What a terminal shows of a picture, (_SIDE, _SIDE, 3); a cell is twice as high as wide."""
    across, down = glyphs(way).across, glyphs(way).down
    parts = np.arange(across * down).reshape(down, across)
    has_ink = (mosaic.patterns[:, :, None, None] >> parts & 1).astype(bool)
    cells = np.where(
        has_ink[..., None], mosaic.inks[:, :, None, None], mosaic.papers[:, :, None, None]
    )
    rows, columns = mosaic.patterns.shape
    pixels = cells.transpose(0, 2, 1, 3, 4).reshape(rows * down, columns * across, 3)
    picture = Image.fromarray(pixels)
    return np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.NEAREST))


def in_pixels(picture: Pixels, columns: int, rows: int) -> tuple[Pixels, int]:
    """What kitty shows of a picture, (_SIDE, _SIDE, 3), and the bytes that it is sent."""
    kept = PixelPictures()
    (lines,) = kept.lines([picture], columns, rows)
    frame = "".join(f"\x1b[{row};1H{line}" for row, line in enumerate(lines, 1))
    sent = "".join([*Graphics(kept, 1).before(frame), CellDiff(1).diff(frame)])
    placed = kept.placed(slot_of(lines[0][0]))
    assert placed is not None
    with Image.open(io.BytesIO(placed.png)) as file:
        pixels = np.asarray(file.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    return pixels, len(sent.encode())


def in_cells(pictures: list[Pixels], columns: int, rows: int, way: str) -> list[tuple[Pixels, int]]:
    """What a terminal shows of pictures, (_SIDE, _SIDE, 3), and the bytes that it is sent."""
    drawn = ansi_lines(pictures, columns, rows, way, "true")
    return [
        (shown(one, way), sum(len(line.encode()) for line in lines))
        for one, lines in zip(mosaics(pictures, columns, rows, way), drawn, strict=True)
    ]


def described(pictures: Sequence[Pixels], view: int) -> Vectors:
    """HOG of pictures as seen `view` pixels wide: 9 orientations, cells of 8 pixels, blocks of 2 x 2; unit vectors."""
    from skimage.feature import hog

    found = []
    for pixels in pictures:
        grey = Image.fromarray(pixels).convert("L").resize((view, view), Image.Resampling.BOX)
        cell, block = (8, 8), (2, 2)
        found.append(hog(np.asarray(grey) / 255, 9, pixels_per_cell=cell, cells_per_block=block))
    vectors = np.array(found, np.float32)
    return vectors / np.maximum(1e-9, np.linalg.norm(vectors, axis=1, keepdims=True))


def page_ms(pictures: list[Pixels], columns: int, rows: int, way: str) -> float:
    """Milliseconds that a page takes."""
    found = []
    for _ in range(5):
        begun = time.perf_counter()
        text_lines(pictures[:_PAGE], columns, rows, way, PixelPictures())
        found.append(time.perf_counter() - begun)
    return 1000 * min(found)


def main() -> None:
    """Print a line for each way and size."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--marks", type=int, default=1500)
    given.add_argument("--thumbnails", type=int, default=200)
    given.add_argument("--view", type=int, default=48)
    told = given.parse_args()
    gallery = marks(told.marks)
    pictures = gallery[: told.thumbnails]
    originals = described(gallery, told.view)
    print(f"{len(pictures)} thumbnails of {len(gallery)} marks, seen {told.view} pixels wide")
    print(f"{'way':10} {'cells':>6} {'first':>6} {'among 10':>9} {'bytes':>6} {'20 in ms':>9}")
    for columns, rows in _SIZES:
        for way in (*CELLS, PIXELS):
            if way == PIXELS:
                seen = [in_pixels(one, columns, rows) for one in pictures]
            else:
                seen = in_cells(pictures, columns, rows, way)
            scores = described([pixels for pixels, _ in seen], told.view) @ originals.T
            own = scores[np.arange(len(pictures)), np.arange(len(pictures))]
            ranks = (scores > own[:, None]).sum(axis=1)
            sent = sum(count for _, count in seen) / len(pictures)
            figures = f"{(ranks < 1).mean():6.2f} {(ranks < 10).mean():9.2f} {sent:6.0f}"
            took = page_ms(pictures, columns, rows, way)
            print(f"{way:10} {f'{columns}x{rows}':>6} {figures} {took:9.1f}", flush=True)


if __name__ == "__main__":
    main()
