"""What several vectors a mark find of changed marks, by the regions that are taken and the rule of the similarity.

    python -m tests.bench.regions logos          600 logos of `diagrams`, 150 of them changed
    python -m tests.bench.regions toy            the same of 3,000 toy marks
    python -m tests.bench.regions scale          CPU time of a search of 50,000 marks, by random vectors

The encoder is the default one before its training. Each column is a change, each cell hit@1 and recall@10 of
the original. A logo of 600 takes about a tenth of a second of a core.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from tests.bench.ablation import sources
from tmssl.config import ModelConfig
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack
from tmssl.data.preprocess import fit_square
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.evaluation.robustness import CHANGES
from tmssl.retrieval.index.exact import CPU, search_one
from tmssl.retrieval.index.faiss_index import build_index
from tmssl.retrieval.index.regional import RegionalIndex, sign_bits
from tmssl.retrieval.index.regional_search import search_regions
from tmssl.retrieval.vectors.embed import inference_copy
from tmssl.retrieval.vectors.region_vectors import describe_images
from tmssl.retrieval.vectors.regions import DETAIL, QUERY_REGIONS, cut_regions
from tmssl.training.encoder.axes import fit_axes
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.encoder.grid import GridEncoder
from tmssl.types import Floats, Pixels, Vectors

_SIZE, _VIEWS = 96, 10
_RULES = {"maximum": (0.0, 0.0), "parts with wholes alone": (0.0, 99.0), "as searched": (1.2, 6.0)}
Change = Callable[[Image.Image], Image.Image]
Padded = npt.NDArray[np.float32]
"""vectors of the regions of each mark, (marks, regions, f), zeros where one has fewer"""


def further_changes(pack: Pack, seed: int = 1) -> dict[str, Change]:
    """A part at random, a word at the right, and a place among five other marks."""
    dice = np.random.default_rng(seed)

    def part(image: Image.Image) -> Image.Image:
        left, top = (int(dice.integers(0, side // 3 + 1)) for side in image.size)
        return image.crop((left, top, left + image.width * 2 // 3, top + image.height * 2 // 3))

    def word(image: Image.Image) -> Image.Image:
        width, height = image.size
        canvas = Image.new("RGB", (2 * width, height), image.getpixel((0, 0)))
        canvas.paste(image, (0, 0))
        font, at = ImageFont.load_default(height / 4.5), (int(1.08 * width), height // 2)
        ImageDraw.Draw(canvas).text(at, "Kaldero", "black", font, anchor="lm")
        return canvas

    def composite(image: Image.Image) -> Image.Image:
        side = image.width
        canvas = Image.new("RGB", (3 * side, 2 * side), (235, 230, 215))
        tiles = [image, *map(Image.fromarray, pack.read(dice.choice(pack.count, 4)))]
        for place, tile in zip(dice.permutation(6).tolist(), tiles, strict=False):
            canvas.paste(tile, (place % 3 * side, place // 3 * side))
        return canvas

    return {"random part": part, "word beside": word, "composite": composite}


def described(
    images: Iterator[tuple[Pixels, Pixels]], count: int, encoder: torch.nn.Module
) -> Padded:
    """The vectors of the regions of squares, each with its detail."""
    found = []
    for square, detail in images:
        vectors = describe_images(encoder, cut_regions(square, detail, count)[1], _SIZE, CPU)
        found.append(np.pad(vectors, ((0, count - len(vectors)), (0, 0))))
    return np.stack(found)


def ranks(gallery: Padded, queries: Padded, own: list[int], rule: tuple[float, float]) -> Floats:
    """How many marks come before each query's own, by a rule of penalties in standard deviations."""
    whole = gallery[:256, 0]
    spread = (whole @ whole.T)[np.triu_indices(len(whole), 1)].std()
    before = []
    for query, row in zip(queries, own, strict=True):
        cosines = np.einsum("mrf,qf->mqr", gallery, query, optimize=True)
        cosines[:, np.abs(query).sum(1) == 0] = -np.inf
        cosines[np.broadcast_to((np.abs(gallery).sum(2) == 0)[:, None], cosines.shape)] = -np.inf
        cosines[:, 0, 1:] -= rule[0] * spread
        cosines[:, 1:, 0] -= rule[0] * spread
        cosines[:, 1:, 1:] -= rule[1] * spread
        best = cosines.max((1, 2))
        before.append((best > best[row]).sum())
    return np.array(before, np.float64)


def measure(pack: Pack, marks: int, changed: int) -> None:
    """Print a line for one vector, and one for each rule."""
    encoder = create_encoder(ModelConfig())
    assert isinstance(encoder, GridEncoder)
    fit_axes(encoder, pack, image_size=_SIZE, seed=0)
    network, dice = inference_copy(encoder, CPU), np.random.default_rng(0)
    rows = np.sort(dice.choice(pack.count, min(marks, pack.count), replace=False))
    gallery = described(((one, one) for one in pack.read(rows)), _VIEWS, network)
    own = np.sort(dice.choice(len(rows), changed, replace=False)).tolist()
    lines: dict[str, list[str]] = {}
    for name, change in {**CHANGES, **further_changes(pack)}.items():
        images = [change(Image.fromarray(one)) for one in pack.read(rows[own])]
        pairs = (
            (fit_square(one, pack.size), fit_square(one, DETAIL * pack.size)) for one in images
        )
        queries = described(pairs, QUERY_REGIONS * _VIEWS, network)
        of_rules = {rule: ranks(gallery, queries, own, how) for rule, how in _RULES.items()}
        of_rules["one vector"] = ranks(gallery[:, :1], queries[:, :1], own, (0.0, 0.0))
        for rule, before in of_rules.items():
            cell = f"{(before < 1).mean():.3f} / {(before < 10).mean():.3f}"
            lines.setdefault(rule, []).append(cell)
        print(name, file=sys.stderr, flush=True)
    names = [*CHANGES, *further_changes(pack)]
    print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for rule, cells in lines.items():
        print(f"| {rule} | {' | '.join(cells)} |")


def scale(marks: int = 50_000, features: int = 1024) -> None:
    """Print the CPU time of a search by one vector and by several."""
    dice = np.random.default_rng(0)

    def unit(count: int) -> Vectors:
        vectors = dice.standard_normal((count, features), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    whole, query = unit(marks), unit(QUERY_REGIONS * _VIEWS)
    codes = dice.integers(-127, 128, (marks, _VIEWS - 1, features), dtype=np.int8)
    bits = np.stack([sign_bits(whole), *(sign_bits(codes[:, i]) for i in range(_VIEWS - 1))])
    index = RegionalIndex(build_index(whole), bits, codes)
    searches: dict[str, Callable[[], object]] = {
        "one vector": lambda: search_one(index.whole, query[:1], 10),
        f"{_VIEWS} views": lambda: search_regions(index, query, 10),
    }
    for name, search in searches.items():
        search()
        begun = time.process_time()
        for _ in range(10):
            search()
        print(f"{name}: {100 * (time.process_time() - begun):.1f} ms of a core")


def main() -> None:
    """Measure what is asked."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("data", choices=["logos", "toy", "scale"])
    words.add_argument("--marks", type=int, default=600)
    words.add_argument("--queries", type=int, default=150)
    asked = words.parse_args()
    torch.set_num_threads(1)
    if asked.data == "scale":
        scale()
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        catalogue = read_catalogue(sources(asked.data, folder))
        pack = build_pack(catalogue, folder / "pack", pack_size(_SIZE), workers=1)
        measure(pack, asked.marks, asked.queries)


if __name__ == "__main__":
    main()
