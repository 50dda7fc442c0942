"""Icons of several hands from npm as logos: which sets, which of their icons are brands, how they are drawn.

Each set is a hand; what two hands call by one name is one brand's mark. The sets are under CC0 (logos,
simple-icons, cib), MIT (devicon, skill-icons, bxl, tabler, ion, vscode-icons), ISC (file-icons), Apache-2.0
(mdi, ri) and CC BY 4.0 (fa6-brands, streamline-logos).
"""

import csv
import dataclasses
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import resvg_py

# By set: the version that was measured, and what tells its brands from its other icons, which is how
# their names begin or a category of the set's metadata; empty for a set of brands only.
HANDS: dict[str, tuple[str, str]] = {
    "logos": ("1.2.19", ""),
    "devicon": ("1.2.68", ""),
    "simple-icons": ("1.2.103", ""),
    "fa6-brands": ("1.2.6", ""),
    "skill-icons": ("1.2.4", ""),
    "cib": ("1.2.3", ""),
    "bxl": ("1.2.4", ""),
    "file-icons": ("1.2.2", ""),
    "streamline-logos": ("1.2.0", ""),
    "mdi": ("1.2.3", "Brand / Logo"),
    "ri": ("1.2.10", "Logos"),
    "tabler": ("1.2.41", "brand-"),
    "ion": ("1.2.7", "logo-"),
    "vscode-icons": ("1.2.97", "file-type-"),
}
_SIDE = 112  # pixels of the longer side
_VARIANT = re.compile(
    r"(-(icon|original|plain|line|light|color|fill)|-logo(-\d)?(-(block|solid))?)$"
)
_LEFT_OUT = re.compile(r"-(wordmark|dark|alt|old|[0-9])$")  # other marks of the same name


def item(name: str) -> str:
    """The brand's name without what a set adds to it: `google-cloud-icon` is `googlecloud`."""
    return re.sub(r"[^a-z0-9]", "", _VARIANT.sub("", name).replace("dot", "").replace("js", ""))


@dataclasses.dataclass(frozen=True)
class Drawing:
    """An icon of a set."""

    hand: str
    name: str
    brand: str
    svg: str
    wide: bool
    """whether it is at least as wide as it is high"""

    @property
    def path(self) -> str:
        """Of its picture in a folder of all."""
        return f"{self.hand}/{self.name}.png"


def fetch_icons(folder: Path) -> Path:
    """Install the sets with npm into a folder, and return it."""
    sets = [f"@iconify-json/{name}@{version}" for name, (version, _) in HANDS.items()]
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *sets]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return folder


def drawings(icons: Path) -> Iterator[Drawing]:
    """Every brand's icon of the installed sets, of those that `HANDS` knows."""
    for path in sorted((icons / "node_modules" / "@iconify-json").glob("*/icons.json")):
        told = json.loads(path.read_text("utf-8"))
        hand = told["prefix"]
        if hand not in HANDS:
            continue
        kept, prefix = _brands(path, told)
        for name in kept:
            if _LEFT_OUT.search(name):
                continue
            icon = told["icons"][name]
            width = icon.get("width", told.get("width", 16))
            height = icon.get("height", told.get("height", 16))
            svg = (
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'width="{width}" height="{height}" viewBox="{icon.get("left", 0)} '
                f'{icon.get("top", 0)} {width} {height}">{icon["body"]}</svg>'
            )
            yield Drawing(hand, name, item(name.removeprefix(prefix)), svg, width >= height)


def _brands(path: Path, told: dict[str, Any]) -> tuple[list[str], str]:
    """The names of a set's brands, and how they all begin."""
    kind = HANDS[told["prefix"]][1]
    if kind.endswith("-"):
        return [name for name in told["icons"] if name.startswith(kind)], kind
    if kind:
        metadata = json.loads(path.with_name("metadata.json").read_text("utf-8"))
        return [name for name in metadata["categories"][kind] if name in told["icons"]], ""
    return list(told["icons"]), ""


def known_to_others(drawn: Iterable[Drawing]) -> list[Drawing]:
    """One drawing of each hand for each brand that two hands or more drew."""
    hands: dict[str, dict[str, list[Drawing]]] = defaultdict(lambda: defaultdict(list))
    for drawing in drawn:
        hands[drawing.brand][drawing.hand].append(drawing)
    return [
        # The symbol comes before the name as letters, else the plainest name counts.
        min(of_hand, key=lambda one: (not one.name.endswith(("-icon", "-fill")), len(one.name)))
        for of_brand in hands.values()
        if len(of_brand) > 1
        for of_hand in of_brand.values()
    ]


def draw(drawn: Iterable[Drawing], folder: Path) -> int:
    """Draw icons into `folder/HAND/NAME.png` with `folder/labels.csv`, and return how many."""
    rows = []
    for drawing in drawn:
        try:
            png = resvg_py.svg_to_bytes(
                svg_string=drawing.svg,
                skip_system_fonts=True,
                width=_SIDE if drawing.wide else None,
                height=None if drawing.wide else _SIDE,
            )
        except ValueError as error:
            print(f"{drawing.path}: {error}", file=sys.stderr)
            continue
        path = folder / drawing.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(png))
        rows.append((drawing.path, drawing.brand, drawing.hand))
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "group", "hand"), *rows])
    return len(rows)
