"""How often a mark amid other things is found: whole, by its rectangle, with several views of each mark.

`python -m tests.bench.composites --run runs/toy --views 6`
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.composites import COMPOSITES
from tmssl.retrieval.search.crop import parse_crop
from tmssl.retrieval.search.gallery import open_gallery
from tmssl.retrieval.search.logos import read_crops
from tmssl.retrieval.search.search import find_matches
from tmssl.runs.folder import open_run

_SIDE = 48  # pixels of a mark in its picture
_FIRST = 10


def main() -> None:
    """Print, for each kind of picture, how many marks are first and among the first ten."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--marks", type=int, default=3, help="of each kind of picture")
    asked = parser.parse_args()
    gallery = open_gallery(open_run(asked.run), views=asked.views)
    generator = np.random.default_rng(1)
    print(
        f"{gallery.pack.count:,} marks, {asked.views} views; first / among {_FIRST} of {asked.marks}"
    )
    for make in COMPOSITES:
        ranks: dict[str, list[int]] = {"whole": [], "rectangle": []}
        for _ in range(asked.marks):
            rows = generator.choice(gallery.pack.count, 6, replace=False).tolist()
            marks = [
                Image.fromarray(one).resize((_SIDE, _SIDE)) for one in gallery.images.read(rows)
            ]
            composite = make(marks[0], marks[1:])
            with tempfile.NamedTemporaryFile(suffix=".png") as file:
                composite.picture.save(file.name)
                crops = [None, parse_crop(composite.crop)]
                logos = read_crops(file.name, gallery.pack.size, crops)
            for found, logo in zip(ranks.values(), logos, strict=True):
                matches = find_matches(gallery, logo, _FIRST).matches
                found += [match.rank for match in matches if match.row == rows[0]]
        told = [f"{name} {found.count(1)} / {len(found)}" for name, found in ranks.items()]
        print(f"{make.__name__:8} {', '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
