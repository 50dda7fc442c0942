"""A mark inside a busy composite: five of toy marks, found by the rectangle around it and without one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from tmssl.config import ModelConfig
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.index.exact import CPU
from tmssl.retrieval.index.faiss_index import build_index
from tmssl.retrieval.index.regional import as_bytes, open_regional, regional_files, write_regional
from tmssl.retrieval.search.crop import parse_crop
from tmssl.retrieval.search.gallery import Gallery
from tmssl.retrieval.search.logos import read_crops
from tmssl.retrieval.search.manifest import IndexManifest
from tmssl.retrieval.search.search import find_matches
from tmssl.retrieval.search.search_index import SearchIndex
from tmssl.retrieval.vectors.embed import embed_pack, inference_copy
from tmssl.retrieval.vectors.region_vectors import embed_regions
from tmssl.runs.folder import create_run
from tmssl.toy.make import make_toy
from tmssl.training.encoder.axes import fit_axes
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.encoder.grid import GridEncoder

pytestmark = pytest.mark.slow

MARKS, SIZE, VIEWS = 320, 96, 10

Place = tuple[int, int, int]
"""left, top and side of the mark in pixels"""


def on_a_sign(canvas: Image.Image, draw: ImageDraw.ImageDraw) -> Place:
    """Above the door of a shop, with a striped awning and an address."""
    draw.rectangle((0, 0, 640, 420), "#8a5a3c")
    for left in range(20, 620, 60):
        draw.rectangle((left, 270, left + 30, 310), "#c8201f")
    draw.rectangle((40, 330, 260, 400), "#9ad1f5")
    draw.rectangle((200, 20, 430, 240), "white")
    draw.text((300, 350), "Market St. 14", "white", ImageFont.load_default(40))
    return 215, 30, 200


def among_sponsors(canvas: Image.Image, draw: ImageDraw.ImageDraw) -> Place:
    """In a wall of names and shapes."""
    draw.rectangle((0, 0, 640, 420), "white")
    for number, name in enumerate(["Kaldero", "Bluvent", "Ostrana", "Pilmax", "Torvik", "Nemura"]):
        across, down = (number % 3) * 215, (number // 3) * 330
        draw.text((across + 20, down + 20), name, "black", ImageFont.load_default(42))
    draw.ellipse((30, 130, 190, 290), "#1f5fbf")
    draw.polygon([(480, 290), (620, 290), (550, 140)], "#1e7d3c")
    return 240, 110, 180


def on_a_label(canvas: Image.Image, draw: ImageDraw.ImageDraw) -> Place:
    """On a bottle's label between lines of text."""
    draw.rectangle((0, 0, 640, 420), "#fdf3d8")
    for number, text in enumerate(["SINCE 1904", "by appointment of nobody"]):
        draw.text((60, 20 + 40 * number), text, "#7a1230", ImageFont.load_default(34))
    draw.line((20, 110, 620, 110), "#7a1230", 6)
    draw.line((20, 330, 620, 330), "#7a1230", 6)
    draw.text((90, 350), "750 ml   12.5 % vol", "#7a1230", ImageFont.load_default(38))
    draw.rectangle((210, 120, 420, 322), "white")
    return 222, 128, 186


def on_a_page(canvas: Image.Image, draw: ImageDraw.ImageDraw) -> Place:
    """In the corner of a web page with a picture and columns."""
    draw.rectangle((0, 0, 640, 420), "white")
    draw.rectangle((0, 0, 640, 12), "#1b2a5e")
    draw.rectangle((300, 60, 620, 240), "#d4560b")
    draw.ellipse((380, 90, 520, 220), "#ffd166")
    for top in range(270, 410, 22):
        draw.line((30, top, 600 - top // 3, top), "#44505c", 6)
    return 40, 40, 200


def on_a_van(canvas: Image.Image, draw: ImageDraw.ImageDraw) -> Place:
    """On the side of a van."""
    draw.rectangle((0, 0, 640, 420), "#dcecfb")
    draw.rectangle((30, 60, 470, 330), "white")
    draw.polygon([(470, 120), (560, 120), (620, 230), (620, 330), (470, 330)], "#c6cfd8")
    for left in (90, 470):
        draw.ellipse((left, 290, left + 100, 390), "black")
    draw.text((290, 200), "24 h", "#1b2a5e", ImageFont.load_default(60))
    return 70, 80, 190


COMPOSITES: dict[int, Callable[[Image.Image, ImageDraw.ImageDraw], Place]] = {
    11: on_a_sign,
    57: among_sponsors,
    102: on_a_label,
    203: on_a_page,
    300: on_a_van,
}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Toy marks as the default encoder sees them before its training."""
    folder = tmp_path_factory.mktemp("composites")
    marks = make_toy(folder / "marks", count=MARKS, workers=1)
    pack = build_pack(read_catalogue(marks), folder / "pack", pack_size(SIZE), workers=1)
    encoder = create_encoder(ModelConfig(), [MARKS // 4] * 2)
    assert isinstance(encoder, GridEncoder)
    fit_axes(encoder, pack, image_size=SIZE, seed=0)
    whole = build_index(embed_pack(encoder, pack, image_size=SIZE, device=CPU))
    files = regional_files(folder / "of-toy.faiss", VIEWS)
    every = [range(pack.count)]
    parts = embed_regions(encoder, pack, every, VIEWS, image_size=SIZE, device=CPU)
    write_regional(files, whole, ((rows, as_bytes(vectors)) for rows, vectors in parts))
    sha256 = "0" * 64
    manifest = IndexManifest(
        index="of-toy.faiss",
        index_sha256=sha256,
        encoder="",
        checkpoint="",
        checkpoint_sha256=sha256,
        model="tf_efficientnet_lite0",
        image_size=SIZE,
        epoch=0.0,
        step=0,
        marks=MARKS,
        holders={},
    )
    index = SearchIndex(whole, files.bits, whole, regional=open_regional(files, whole))
    return Gallery(
        run=create_run(folder / "runs", "r"),
        pack_folder=pack.folder,
        pack=pack.info,
        manifest=manifest,
        marks=pack.marks,
        index=index,
        encode=inference_copy(encoder, CPU),
    )


@pytest.mark.parametrize("row", COMPOSITES)
@pytest.mark.parametrize("by_crop", [True, False])
def test_a_mark_in_a_composite_is_found(
    gallery: Gallery, tmp_path: Path, row: int, by_crop: bool
) -> None:
    canvas = Image.new("RGB", (640, 420), "white")
    left, top, side = COMPOSITES[row](canvas, ImageDraw.Draw(canvas))
    mark = Image.open(Path(gallery.pack.source_root) / gallery.marks[row].path).convert("RGB")
    canvas.paste(mark.resize((side, side), Image.Resampling.LANCZOS), (left, top))
    canvas.save(tmp_path / "composite.png")
    crop = parse_crop(f"{left},{top},{side},{side}") if by_crop else None
    (logo,) = read_crops(tmp_path / "composite.png", gallery.pack.size, [crop])
    found = find_matches(gallery, logo, 10).matches
    assert row in [match.row for match in found]
    if not by_crop:
        one = next(match for match in found if match.row == row)
        assert one.logo_region is not None
