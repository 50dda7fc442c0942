"""Lettering that is really read: words, boxes, interruptions, and what an earlier reading knows."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.helpers.marks import draw_marks
from tmssl.data.lettering import reading
from tmssl.data.lettering.line import Line, joined
from tmssl.data.lettering.pack_lettering import PackLettering
from tmssl.data.lettering.reader import open_reader
from tmssl.data.lettering.reading import read_lettering
from tmssl.data.lettering.store import PER_PART, lettering_folder, part_path
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.reader import Pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import InputError, PackError
from tmssl.types import Pixels

WORDS = ["VELMORA", "Quendor", "moon cafe"]


def draw_words(folder: Path, count: int = 0) -> Path:
    """A mark for each word, below a disc, and `count` marks without any."""
    draw_marks(folder, count)
    (folder / "labels.csv").unlink()
    for i, word in enumerate(WORDS):
        image = Image.new("RGB", (160, 160), "white")
        draw = ImageDraw.Draw(image)
        draw.ellipse((50, 5, 110, 65), fill=(200, 30, 30))
        draw.text((80, 90), word, (20, 20, 90), ImageFont.load_default(30), anchor="ma")
        image.save(folder / "images" / f"w{i}.png")
    return folder


def packed(folder: Path, marks: Path) -> Pack:
    return build_pack(read_catalogue(marks), folder, 160, workers=1)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("words")
    return packed(folder / "p", draw_words(folder / "m"))


def test_drawn_words_are_read_with_their_boxes(pack: Pack) -> None:
    told: list[tuple[int, int]] = []
    assert read_lettering(pack, progress=lambda *counts: told.append(counts)) == len(WORDS)
    assert told == [(len(WORDS), len(WORDS))]
    lettering = PackLettering(pack.folder, pack.info)
    assert [text.lower() for text in lettering.texts()] == [word.lower() for word in WORDS]
    for lines, pixels in zip(lettering.lines(range(len(WORDS))), pack.read(range(3)), strict=True):
        blue = (pixels[:, :, 2].astype(int) - pixels[:, :, 0]) > 40
        inside = np.zeros_like(blue)
        for line in lines:
            inside[line.top : line.bottom, line.left : line.right] = True
        assert blue[inside].sum() > 0.9 * blue.sum()
        red = (pixels[:, :, 0].astype(int) - pixels[:, :, 2]) > 100
        assert red[inside].sum() < 0.05 * red.sum()
    assert read_lettering(pack) == 0


def test_a_picture_without_words_and_one_of_one_colour_have_none() -> None:
    image = Image.new("RGB", (96, 96), "white")
    ImageDraw.Draw(image).ellipse((10, 10, 80, 80), fill=(200, 30, 30))
    for pixels in (np.asarray(image), np.full((32, 32, 3), 255, np.uint8)):
        assert joined(open_reader()(pixels)) == ""


def test_the_network_is_never_asked(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    open_reader.cache_clear()
    assert open_reader()(pack.read([0])[0])[0].text == "VELMORA"


def test_what_an_earlier_pack_knows_is_not_read_again(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_lettering(pack)
    marks = tmp_path / "m"
    shutil.copytree(Path(pack.source_root), marks)
    Image.new("RGB", (160, 160), "white").save(marks / "images" / "a0.png")
    grown = packed(tmp_path / "grown", marks)
    seen: list[Pixels] = []

    def nothing(pixels: Pixels) -> list[Line]:
        seen.append(pixels)
        return []

    monkeypatch.setattr(reading, "open_reader", lambda: nothing)
    assert read_lettering(grown, known=[pack.folder]) == len(WORDS) + 1
    assert len(seen) == 1
    texts = PackLettering(grown.folder, grown.info).texts()
    assert [text.lower() for text in texts] == ["", *(word.lower() for word in WORDS)]


def test_an_interrupted_reading_goes_on_behind_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = packed(tmp_path / "p", draw_marks(tmp_path / "m", 2 * PER_PART + 1, size=160))
    monkeypatch.setattr(reading, "open_reader", lambda: lambda pixels: [])
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        read_lettering(
            pack, workers=1, progress=lambda n, _: done.append(n), stop=lambda: bool(done)
        )
    assert PackLettering(pack.folder, pack.info).unread() == [1, 2]
    part_path(lettering_folder(pack.folder, pack.info), 0).write_bytes(b"damaged")
    assert read_lettering(pack, workers=1) == pack.count
    assert PackLettering(pack.folder, pack.info).unread() == []


@pytest.mark.slow  # two processes that load the models
def test_several_processes_read_the_same_as_one(tmp_path: Path) -> None:
    pack = packed(tmp_path / "p", draw_words(tmp_path / "m", PER_PART))
    read_lettering(pack, workers=2)
    lettering = PackLettering(pack.folder, pack.info)
    assert lettering.unread() == []
    rows = [0, PER_PART - 1, *range(PER_PART, pack.count)]
    assert lettering.lines(rows) == [open_reader()(pixels) for pixels in pack.read(rows)]
    assert "velmora" in " ".join(lettering.texts()).lower()


def test_without_the_extra_or_a_place_to_write_one_line_says_so(
    pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = packed(tmp_path / "p", Path(pack.source_root))
    (tmp_path / "p.lettering").write_text("no folder")
    with pytest.raises(InputError, match=r"cannot write .*p\.lettering"):
        read_lettering(other)
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    open_reader.cache_clear()
    with pytest.raises(InputError, match=r"needs the extra text: pip install 'tmssl\[text\]'"):
        read_lettering(pack)


def test_a_pack_that_is_replaced_meanwhile_is_told(pack: Pack) -> None:
    with pytest.raises(PackError, match="was packed anew meanwhile"):
        reading._read_part(str(pack.folder), "another", "", 0, [])
