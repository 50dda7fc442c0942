"""Packs made from others: the same pixels and marks as a pack of all sources, and a parent that stays."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.marks import draw_marks
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.derived import Edit, derive_pack
from tmssl.data.pack.edits import addition, removal
from tmssl.data.pack.frame import PER_CHUNK
from tmssl.data.pack.info import read_removed
from tmssl.data.pack.parts import BuildOptions
from tmssl.data.pack.reader import FRAME_FILE, Pack, open_pack
from tmssl.data.sources.catalogue import Catalogue, read_catalogue
from tmssl.data.sources.specification import join_sources
from tmssl.errors import InputError, PackError
from tmssl.types import Mask, Pixels

SIZE = 32
OPTIONS = BuildOptions(SIZE, 1)
FIRST, SECOND = PER_CHUNK + 44, 30  # one whole chunk, and a part of the next


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("sources")
    first = draw_marks(folder / "first", FIRST, size=24)
    return first, draw_marks(folder / "second", SECOND, first=FIRST, size=24)


@pytest.fixture(scope="module")
def parent(sources: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return build_pack(read_catalogue(sources[0]), tmp_path_factory.mktemp("pack") / "p", SIZE)


def pixels(pack: Pack) -> Pixels:
    return pack.read(range(pack.count))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def derived(parent: Pack, edit: Edit | None, folder: Path) -> Pack:
    assert edit is not None
    pack, left_out = derive_pack(parent, edit, folder, OPTIONS)
    assert pack is not None
    assert left_out == {}
    assert not list(folder.glob("*.building"))
    return pack


def without(parent: Pack, rows: list[int]) -> Edit:
    kept: Mask = np.ones(parent.count, np.bool_)
    kept[rows] = False
    return Edit(kept, by="rows")


def test_an_added_source_gives_the_pixels_and_labels_of_a_pack_of_both(
    sources: tuple[Path, Path], parent: Pack, tmp_path: Path
) -> None:
    before = files(parent.folder)
    grown = derived(parent, addition(parent, read_catalogue(sources[1])).edit, tmp_path)
    both = build_pack(read_catalogue(join_sources(sources)), tmp_path / "both", SIZE)
    assert np.array_equal(pixels(grown), pixels(both))
    assert [mark.id for mark in grown.marks] == [mark.id for mark in both.marks]
    for ours, theirs in zip(grown.marks, both.marks, strict=True):
        assert (Path(grown.source_root) / ours.path).resolve() == (
            Path(both.source_root) / theirs.path
        )
        assert (ours.vienna, ours.group, ours.title) == (theirs.vienna, theirs.group, theirs.title)
    assert files(parent.folder) == before


def test_a_pack_tells_the_chain_of_its_changes(
    sources: tuple[Path, Path], parent: Pack, tmp_path: Path
) -> None:
    grown = derived(parent, addition(parent, read_catalogue(sources[1])).edit, tmp_path)
    last = derived(grown, without(grown, [0, 3, FIRST]), tmp_path)
    first, second = last.info.changes
    assert (first.fingerprint, first.parent) == (parent.fingerprint, parent.identity)
    assert (first.added, first.removed, first.by) == (SECOND, 0, str(sources[1]))
    assert (second.fingerprint, second.added, second.removed) == (grown.fingerprint, 0, 3)
    assert last.info.kept == [(1, 3), (4, FIRST), (FIRST + 1, FIRST + SECOND)]
    assert [mark.id for mark in read_removed(last.folder)] == ["m0", "m3", f"m{FIRST}"]
    assert len({parent.fingerprint, grown.fingerprint, last.fingerprint}) == 3


@pytest.mark.parametrize(
    "rows", [[0], [FIRST - 1], [5, 6, 7, 200], list(range(PER_CHUNK)), list(range(1, FIRST))]
)
def test_what_stays_after_a_removal_is_as_it_was(
    parent: Pack, tmp_path: Path, rows: list[int]
) -> None:
    edit = without(parent, rows)
    left = derived(parent, edit, tmp_path)
    assert np.array_equal(pixels(left), pixels(parent)[edit.kept])
    assert [m.id for m in left.marks] == [f"m{i}" for i in range(FIRST) if i not in rows]
    kept = [row for begin, end in left.info.kept for row in range(begin, end)]
    assert kept == np.flatnonzero(edit.kept).tolist()


def test_the_same_edit_again_opens_the_pack_that_is_there(parent: Pack, tmp_path: Path) -> None:
    first = derived(parent, without(parent, [4]), tmp_path)
    written = (first.folder / FRAME_FILE).stat().st_mtime_ns
    assert derived(parent, without(parent, [4]), tmp_path).folder == first.folder
    assert (first.folder / FRAME_FILE).stat().st_mtime_ns == written


def test_a_chunk_of_black_marks_is_copied(tmp_path: Path) -> None:
    (tmp_path / "black").mkdir()
    for number in range(PER_CHUNK + 1):
        Image.new("RGB", (8, 8)).save(tmp_path / "black" / f"{number:03d}.png")
    black = build_pack(read_catalogue(tmp_path / "black"), tmp_path / "pack", SIZE)
    left = derived(black, without(black, [PER_CHUNK]), tmp_path)
    assert np.array_equal(pixels(left), pixels(black)[:PER_CHUNK])


def test_a_damaged_chunk_of_the_parent_is_not_copied(
    sources: tuple[Path, Path], parent: Pack, tmp_path: Path
) -> None:
    shutil.copytree(parent.folder, tmp_path / "damaged")
    frame = tmp_path / "damaged" / FRAME_FILE
    content = bytearray(frame.read_bytes())
    content[3000] ^= 1
    frame.write_bytes(content)
    damaged = open_pack(tmp_path / "damaged")
    edit = addition(damaged, read_catalogue(sources[1])).edit
    assert edit is not None
    with pytest.raises(PackError, match="damaged"):
        derive_pack(damaged, edit, tmp_path, OPTIONS)


def test_of_images_that_cannot_be_read_none_is_added(parent: Pack, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.png").write_bytes(b"no image")
    edit = addition(parent, read_catalogue(tmp_path / "bad")).edit
    assert edit is not None
    pack, left_out = derive_pack(parent, edit, tmp_path, OPTIONS)
    assert pack is None
    assert [path.endswith("bad/1.png") for path in left_out] == [True]
    assert {path.name for path in tmp_path.iterdir()} == {"bad"}
    Image.new("RGB", (8, 8)).save(tmp_path / "bad" / "2.png")
    edit = addition(parent, read_catalogue(tmp_path / "bad")).edit
    assert edit is not None
    pack, left_out = derive_pack(parent, edit, tmp_path, OPTIONS)
    assert pack is not None
    assert (pack.count, len(left_out), len(pack.quarantine)) == (parent.count + 1, 1, 1)


def catalogue(folder: Path, text: str, images: list[str]) -> Catalogue:
    folder.mkdir()
    for name in images:
        Image.new("RGB", (8, 8), (200, 10, 10)).save(folder / name)
    (folder / "labels.csv").write_text(text)
    return read_catalogue(folder)


def test_marks_that_are_there_are_told_from_new_ones(tmp_path: Path) -> None:
    table = "path,id,title\n1.png,a,one\n2.png,b,two\n"
    old = build_pack(catalogue(tmp_path / "s", table, ["1.png", "2.png"]), tmp_path / "pack", SIZE)
    more = f"{table}3.png,c,three\n4.png,b,another\n".replace("two", "another name")
    shutil.rmtree(tmp_path / "s")
    names = ["1.png", "2.png", "3.png", "4.png"]
    found = addition(old, catalogue(tmp_path / "s", more, names))
    assert (found.new, found.there, found.back) == (1, 2, 0)
    assert (found.other_labels, found.same_id) == (["2.png"], ["4.png"])
    grown = derived(old, found.edit, tmp_path)
    assert [(mark.path, mark.title) for mark in grown.marks] == [
        ("1.png", "one"),
        ("2.png", "two"),
        ("3.png", "three"),
    ]
    again = addition(grown, read_catalogue(tmp_path / "s"))
    assert (again.edit, again.new, again.there) == (None, 0, 3)
    left = derived(grown, removal(grown, ["c", "1.png"], None, ""), tmp_path)
    assert [mark.id for mark in left.marks] == ["b"]
    back = addition(left, read_catalogue(tmp_path / "s"))
    assert (back.new, back.back) == (2, 2)
    assert len(read_removed(derived(left, back.edit, tmp_path).folder)) == 0


def test_an_id_that_several_marks_share_tells_none_apart(tmp_path: Path) -> None:
    table = "path,id\n1.png,a\n2.png,a\n"
    old = build_pack(catalogue(tmp_path / "s", table, ["1.png", "2.png"]), tmp_path / "pack", SIZE)
    found = addition(old, catalogue(tmp_path / "t", "path,id\n3.png,a\n", ["3.png"]))
    assert (found.new, found.same_id) == (1, [])


def test_a_removal_names_marks_that_are_or_were_there(parent: Pack, tmp_path: Path) -> None:
    edit = removal(parent, ["m1", "images/0002.png"], None, "m1 and 2")
    assert edit is not None
    assert np.flatnonzero(~edit.kept).tolist() == [1, 2]
    left = derived(parent, edit, tmp_path)
    assert removal(left, ["m1"], None, "") is None
    assert removal(parent, [], np.zeros(FIRST, np.bool_), "") is None
    with pytest.raises(InputError, match="such as 'm9999'"):
        removal(left, ["m1", "m9999"], None, "")
    with pytest.raises(InputError, match="at least one"):
        removal(parent, [], np.ones(FIRST, np.bool_), "")
