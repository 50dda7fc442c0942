"""The files of a lettering: what was read comes back, and what was not, or is damaged, does not."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.marks import draw_marks
from tmssl.data.lettering.line import Line
from tmssl.data.lettering.pack_lettering import PackLettering, lettering_boxes
from tmssl.data.lettering.store import (
    PER_PART,
    lettering_folder,
    part_path,
    pixels_digest,
    read_known,
    read_part,
    write_part,
)
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.reader import Pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import PackError

MARKS = PER_PART + 6
ACME = [Line("ACME", 3, 20, 30, 28, 0.99), Line("since 1932", 3, 29, 30, 32, 0.9)]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("lettering")
    return build_pack(read_catalogue(draw_marks(folder / "m", MARKS)), folder / "p", 32, workers=1)


@pytest.fixture
def folder(pack: Pack) -> Path:
    """The folder of the lettering, in which both parts were read; mark 65 alone has words."""
    folder = lettering_folder(pack.folder, pack.info)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    digests = [pixels_digest(pixels) for pixels in pack.read(range(MARKS))]
    write_part(folder, pack.identity, 0, digests[:PER_PART], [[]] * PER_PART)
    write_part(folder, pack.identity, 1, digests[PER_PART:], [[], ACME, *[[]] * 4])
    return folder


def test_what_was_read_is_looked_up(pack: Pack, folder: Path) -> None:
    lettering = PackLettering(pack.folder, pack.info)
    assert (lettering.any_read(), lettering.begun(), lettering.complete()) == (True, False, True)
    assert lettering.unread() == []
    assert lettering.texts() == ["ACME since 1932" if row == 65 else "" for row in range(MARKS)]
    assert lettering.lines([65, 0, 65]) == [ACME, [], ACME]
    boxes = lettering_boxes(pack.folder, pack.info, [64, 65])
    assert boxes == [[], [(3, 20, 30, 28), (3, 29, 30, 32)]]
    assert dict(read_known([folder]))[pixels_digest(pack.read([65])[0])] == ACME


def test_what_was_not_read_has_no_words(pack: Pack, folder: Path) -> None:
    part_path(folder, 1).unlink()
    lettering = PackLettering(pack.folder, pack.info)
    assert (lettering.unread(), lettering.begun()) == ([1], True)
    assert (lettering.lines([65]), lettering.texts()) == ([[]], [""] * MARKS)
    assert not lettering.complete()
    with pytest.raises(PackError, match=r"the lettering of .* is damaged"):
        lettering_boxes(pack.folder, pack.info, [3, 65])
    shutil.rmtree(folder)
    lettering = PackLettering(pack.folder, pack.info)
    assert not lettering.any_read()
    assert (lettering.unread(), lettering.lines([0])) == ([0, 1], [[]])


def test_a_part_of_another_pack_or_place_is_unread(pack: Pack, folder: Path) -> None:
    write_part(folder, "other", 0, ["x"] * PER_PART, [ACME] * PER_PART)
    part_path(folder, 1).replace(part_path(folder, 2))
    write_part(folder, pack.identity, 1, ["x"], [ACME])  # of too few marks
    assert [read_part(folder, pack.info, number) for number in (0, 1, 2)] == [None] * 3


@settings(max_examples=60)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans())
def test_damage_anywhere_is_unread_and_never_other_words(
    pack: Pack, place: int, byte: int, cut: bool
) -> None:
    folder = lettering_folder(pack.folder, pack.info)
    folder.mkdir(parents=True, exist_ok=True)
    write_part(folder, pack.identity, 1, ["x"] * 6, [[], ACME, *[[]] * 4])
    path = part_path(folder, 1)
    whole = path.read_bytes()
    place %= len(whole)
    path.write_bytes(whole[:place] if cut else whole[:place] + bytes([byte]) + whole[place + 1 :])
    read = read_part(folder, pack.info, 1)
    assert read is None or read == [[], ACME, *[[]] * 4]


@pytest.mark.parametrize(
    "line",
    [
        ["x" * 101, 0, 0, 1, 1, 0.5],
        ["x", -1, 0, 1, 1, 0.5],
        ["x", 0, 0, 1 << 40, 1, 0.5],
        ["x", 0, 0, 1, 1, 1.5],
        ["x", 0, 0, 1, 1],
        [7, 0, 0, 1, 1, 0.5],
    ],
)
def test_a_line_out_of_its_range_is_not_believed(
    pack: Pack, folder: Path, line: list[object]
) -> None:
    part = json.loads(part_path(folder, 1).read_bytes())
    part["rows"]["lines"][0] = [line]
    rows = json.dumps(part["rows"], separators=(",", ":")).encode()
    from hashlib import sha256

    part_path(folder, 1).write_bytes(
        b'{"sha256":"%s","rows":%s}' % (sha256(rows).hexdigest().encode(), rows)
    )
    assert read_part(folder, pack.info, 1) is None


def test_a_link_in_place_of_a_part_is_not_followed(pack: Pack, folder: Path) -> None:
    part_path(folder, 1).rename(folder / "elsewhere")
    part_path(folder, 1).symlink_to(folder / "elsewhere")
    assert read_part(folder, pack.info, 1) is None
