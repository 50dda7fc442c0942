"""Logos of the same owners drawn by different hands, as a folder of PNGs with labels.

    npm install --prefix ICONS @iconify-json/logos @iconify-json/devicon @iconify-json/simple-icons \\
        @iconify-json/fa6-brands @iconify-json/skill-icons
    python -m tests.bench.known ICONS FOLDER

Each set of icons is a hand; what two hands call by one name is one owner's mark. `tests.bench.views`
learns from the folder and asks whether a mark finds another hand's drawing of it. The sets are under
CC0 (logos, simple-icons), MIT (devicon, skill-icons) and CC BY 4.0 (fa6-brands).
"""

import csv
import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import resvg_py

_SIDE = 112  # pixels of the longer side
_VARIANT = re.compile(r"-(icon|original|plain|line|light|color)$")
_LEFT_OUT = re.compile(r"-(wordmark|dark|alt|old|[0-9])$")  # other marks of the same name


def item(name: str) -> str:
    """The owner's name without what a set adds to it: `google-cloud-icon` is `googlecloud`."""
    return re.sub(r"[^a-z0-9]", "", _VARIANT.sub("", name).replace("dot", "").replace("js", ""))


@dataclasses.dataclass(frozen=True)
class Drawing:
    """An icon of a set."""

    hand: str
    name: str
    svg: str
    wide: bool
    """whether it is at least as wide as it is high"""


def drawings(icons: Path) -> Iterator[Drawing]:
    """Every icon of the installed sets."""
    for path in sorted((icons / "node_modules" / "@iconify-json").glob("*/icons.json")):
        told = json.loads(path.read_text("utf-8"))
        for name, icon in told["icons"].items():
            if _LEFT_OUT.search(name):
                continue
            width = icon.get("width", told.get("width", 16))
            height = icon.get("height", told.get("height", 16))
            svg = (
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'width="{width}" height="{height}" viewBox="{icon.get("left", 0)} '
                f'{icon.get("top", 0)} {width} {height}">{icon["body"]}</svg>'
            )
            yield Drawing(told["prefix"], name, svg, width >= height)


def make_known(icons: Path, folder: Path) -> int:
    """Draw every icon into `folder/HAND/NAME.png` with `folder/labels.csv`, and return how many."""
    rows = []
    for drawing in drawings(icons):
        try:
            png = resvg_py.svg_to_bytes(
                svg_string=drawing.svg,
                skip_system_fonts=True,
                width=_SIDE if drawing.wide else None,
                height=None if drawing.wide else _SIDE,
            )
        except ValueError as error:
            print(f"{drawing.hand}/{drawing.name}: {error}", file=sys.stderr)
            continue
        path = folder / drawing.hand / f"{drawing.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(png))
        rows.append((f"{drawing.hand}/{drawing.name}.png", item(drawing.name), drawing.hand))
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "group", "hand"), *rows])
    return len(rows)


if __name__ == "__main__":
    print(f"{make_known(Path(sys.argv[1]), Path(sys.argv[2])):,} logos")
