import io
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.helpers.images import BAD, KINDS, encoded, logo, turned
from tests.helpers.marks import draw_marks
from tests.helpers.waiting import wait_for
from tmssl.data.pack import parts as building
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_folder, pack_size
from tmssl.data.pack.frame import PER_CHUNK
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.picture import UnreadableError, load_image, picture_square
from tmssl.data.preprocess import fit_square, ink_box
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import PackError


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_becomes_a_dark_figure_on_white(kind: str) -> None:
    KINDS[kind].seek(0)
    image = load_image(KINDS[kind])
    assert image.mode == "RGB"
    pixels = np.asarray(image)
    assert pixels[0, 0].min() > 245
    assert pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].min() < 120


def test_exif_turns_a_photograph_upright() -> None:
    assert load_image(turned()).size == (40, 60)


@pytest.mark.parametrize("kind", list(BAD))
def test_what_cannot_be_read_has_a_reason(kind: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        load_image(io.BytesIO(BAD[kind]))
    assert 3 < len(str(caught.value)) < 150
    if kind == "bomb":
        assert "pixels" in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"BM", b"II*\x00"]),
)
def test_no_bytes_raise_anything_else(data: bytes, head: bytes) -> None:
    try:
        load_image(io.BytesIO(head + data))
    except UnreadableError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right


def test_ink_is_cropped_with_a_margin_and_fitted_undistorted() -> None:
    assert ink_box(np.asarray(logo())) == (19, 9, 41, 31)
    square = fit_square(logo(), 64)
    assert square.shape == (64, 64, 3)
    red = (square[:, :, 1] < 100).nonzero()
    height, width = np.ptp(red[0]), np.ptp(red[1])
    assert abs(int(height) - int(width)) <= 1
    assert height > 50


@pytest.mark.parametrize("colour", ["white", "black", (30, 90, 160)])
def test_an_image_of_one_colour_is_unharmed(colour: str) -> None:
    assert (
        len(np.unique(fit_square(Image.new("RGB", (50, 30), colour), 32).reshape(-1, 3), axis=0))
        == 1
    )


def test_a_full_bleed_picture_keeps_its_edges_and_a_coloured_ground_its_colour() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8))
    assert ink_box(np.asarray(noise)) == (0, 0, 80, 40)
    square = fit_square(noise, 64)
    assert (square[:15] == 255).all()
    blue = Image.new("RGB", (80, 40), (20, 40, 160))
    ImageDraw.Draw(blue).ellipse((30, 10, 50, 30), fill="white")
    assert tuple(fit_square(blue, 64)[0, 0]) == (20, 40, 160)


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (300, 7)])
def test_odd_sizes_fit(size: tuple[int, int]) -> None:
    assert fit_square(Image.new("RGB", size, "red"), 32).shape == (32, 32, 3)


def test_sizes_leave_room_for_crops() -> None:
    assert (pack_size(224), pack_size(64), pack_size(32)) == (256, 80, 48)


def test_a_pack_gives_back_what_was_fitted(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 30))
    calls: list[tuple[int, int]] = []
    pack = build_pack(catalogue, tmp_path / "p", 48, workers=1, progress=lambda *c: calls.append(c))
    assert (pack.count, pack.size, calls[-1]) == (30, 48, (30, 30))
    rows = [7, 0, 29, 7]
    expected = [picture_square(tmp_path / "m" / pack.marks[row].path, 48) for row in rows]
    assert np.array_equal(pack.read(rows), np.stack(expected))
    assert [mark.path for mark in pack.marks] == [mark.path for mark in catalogue.marks]
    assert pack.marks[1].vienna == catalogue.marks[1].vienna
    with pytest.raises(IndexError):
        pack.read([30])
    assert pack.read([]).shape == (0, 48, 48, 3)


def test_a_chunk_read_whole_is_what_its_rows_are_one_by_one(tmp_path: Path) -> None:
    source = draw_marks(tmp_path / "marks", PER_CHUNK + 20, size=24)
    pack = build_pack(read_catalogue(source), tmp_path / "pack", 16)
    for rows in (range(PER_CHUNK), range(1, PER_CHUNK + 1), range(PER_CHUNK, PER_CHUNK + 20)):
        into = np.empty((len(rows), 16, 16, 3), np.uint8)
        assert pack.read(rows, into) is into
        assert np.array_equal(into, np.concatenate([pack.read([row]) for row in rows]))


def test_a_chunk_that_is_damaged_is_told_of(tmp_path: Path) -> None:
    source = draw_marks(tmp_path / "marks", PER_CHUNK, size=24)
    pack = build_pack(read_catalogue(source), tmp_path / "pack", 16)
    frame = pack.folder / "images.b2frame"
    data = bytearray(frame.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    frame.write_bytes(data)
    with pytest.raises(PackError, match="damaged"):
        open_pack(pack.folder).read(range(PER_CHUNK))


def test_unreadable_images_go_to_the_quarantine_and_the_rest_is_packed(tmp_path: Path) -> None:
    draw_marks(tmp_path / "m", 6)
    for kind, data in BAD.items():
        (tmp_path / "m" / "images" / f"{kind}.png").write_bytes(data)
    (tmp_path / "m" / "images" / "jpeg-inside.png").write_bytes(encoded(logo(), "JPEG").getvalue())
    pack = build_pack(read_catalogue(tmp_path / "m"), tmp_path / "p", 48)
    assert pack.count == 7
    assert {Path(path).stem for path, _ in pack.quarantine} == set(BAD)
    assert all(reason for _, reason in pack.quarantine)
    assert len(pack.marks) == pack.count


def test_a_source_without_one_readable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x.png").write_bytes(b"hello")
    with pytest.raises(PackError, match=r"none of 1 image can be read, such as x\.png"):
        build_pack(read_catalogue(tmp_path / "m"), tmp_path / "p", 48)
    assert not (tmp_path / "p").exists()


def test_the_attribution_of_a_source_goes_with_its_pack(tmp_path: Path) -> None:
    draw_marks(tmp_path / "m", 3)
    (tmp_path / "m" / "ATTRIBUTION.txt").write_text("by Somebody, CC BY\nmore\n")
    assert (
        build_pack(read_catalogue(tmp_path / "m"), tmp_path / "p", 48).attribution
        == "by Somebody, CC BY"
    )


def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "PER_PART", 8)


def test_an_interrupted_build_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 50))
    whole = build_pack(catalogue, tmp_path / "whole", 48, workers=1)
    for stop_after in (1, 2, 2):
        answers = iter([False] * stop_after + [True])
        with pytest.raises(KeyboardInterrupt):
            build_pack(catalogue, tmp_path / "p", 48, workers=1, stop=answers.__next__)
        assert not (tmp_path / "p").exists()
    done: list[int] = []
    pack = build_pack(
        catalogue, tmp_path / "p", 48, workers=1, progress=lambda d, _: done.append(d)
    )
    assert done[:2] == [5 * 8, 6 * 8]
    assert np.array_equal(pack.read(range(50)), whole.read(range(50)))
    assert pack.fingerprint == whole.fingerprint
    name = "catalogue.jsonl"
    assert (tmp_path / "p" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    names = sorted(path.name for path in (tmp_path / "p").iterdir())
    assert names == "catalogue.jsonl images.b2frame pack.json quarantine.csv".split()


def build_in_child(source: str, folder: str) -> None:
    build_pack(read_catalogue(Path(source)), Path(folder), 48, workers=1)


def test_a_killed_build_leaves_nothing_that_opens(tmp_path: Path) -> None:
    draw_marks(tmp_path / "m", 60)
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=build_in_child, args=(str(tmp_path / "m"), str(tmp_path / "p")))
    child.start()
    wait_for((tmp_path / "p.building").exists, what="the build to begin")
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    if not (tmp_path / "p").exists():  # it was killed before the end
        with pytest.raises(PackError, match="there is no pack"):
            open_pack(tmp_path / "p")
    assert build_pack(read_catalogue(tmp_path / "m"), tmp_path / "p", 48, workers=1).count == 60


def test_many_processes_give_the_same_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 600, size=24))
    alone = build_pack(catalogue, tmp_path / "a", 32, workers=1)
    together = build_pack(catalogue, tmp_path / "b", 32, workers=2)
    assert np.array_equal(alone.read(range(600)), together.read(range(600)))


@pytest.fixture
def built(tmp_path: Path) -> Pack:
    return build_pack(read_catalogue(draw_marks(tmp_path / "m", 9)), tmp_path / "p", 48)


def test_a_complete_pack_is_opened_not_built_again(built: Pack, tmp_path: Path) -> None:
    before = (built.folder / "pack.json").stat().st_mtime_ns
    again = build_pack(read_catalogue(tmp_path / "m"), built.folder, 48)
    assert (again.folder / "pack.json").stat().st_mtime_ns == before
    draw_marks(tmp_path / "n", 5)
    other = build_pack(read_catalogue(tmp_path / "n"), built.folder, 48)
    assert other.count == 5


@pytest.mark.parametrize("damage", ["truncated", "no frame", "facts", "rows", "foreign frame"])
def test_a_damaged_pack_is_told_from_a_whole_one(built: Pack, damage: str) -> None:
    frame = built.folder / "images.b2frame"
    data = frame.read_bytes()
    if damage == "truncated":
        frame.write_bytes(data[:-40])
    elif damage == "no frame":
        frame.unlink()
    elif damage == "facts":
        (built.folder / "pack.json").write_text("{")
    elif damage == "rows":
        (built.folder / "catalogue.jsonl").write_text('{"path":"x"}\n')
    else:
        frame.write_bytes(b"x" * len(data))
    with pytest.raises(PackError, match="build it again"):
        open_pack(built.folder)


def test_a_folder_that_is_no_pack_is_not_overwritten(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 3))
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "thesis.tex").write_text("x")
    with pytest.raises(PackError, match="is not a pack; choose another folder"):
        build_pack(catalogue, tmp_path / "p", 48)
    assert (tmp_path / "p" / "thesis.tex").exists()


def test_the_cache_decides_where_packs_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "m", 3))
    monkeypatch.setenv("TMSSL_CACHE", str(tmp_path / "c"))
    assert (
        pack_folder(catalogue, 48) == tmp_path / "c" / "packs" / f"{catalogue.fingerprint[:16]}-48"
    )
