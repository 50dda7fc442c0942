"""Sources as they come: tables in folders, other spellings, disks that go away, folders of somebody else."""

import errno
import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.marks import draw_marks
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.info import INFO_FILE, labels_changed
from tmssl.data.pack.reader import open_pack
from tmssl.data.picture import UnreachableError, cannot_read, load_image
from tmssl.data.sampler import steps_per_epoch
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import CatalogueError, ConfigError, PackError


def drawn(path: Path, colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), colour).save(path)


def codes(source: Path) -> dict[str, tuple[str, ...]]:
    return {mark.path: tuple(mark.vienna) for mark in read_catalogue(source).marks}


def test_a_table_labels_the_images_of_its_own_folder(tmp_path: Path) -> None:
    drawn(tmp_path / "b" / "1.png")
    drawn(tmp_path / "a" / "2.png")
    (tmp_path / "a" / "labels.csv").write_text("path,vienna\n1.PNG,01.01\n.\\2.png,03.01\n")
    (tmp_path / "b" / "labels.csv").write_text("path,vienna\n./1.PNG,02.02\n")
    assert codes(tmp_path) == {"a/2.png": ("03.01",), "b/1.png": ("02.02",)}


def test_a_table_in_a_folder_may_name_images_from_the_top(tmp_path: Path) -> None:
    drawn(tmp_path / "images" / "1.png")
    drawn(tmp_path / "images" / "2.png")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "labels.csv").write_text("path,vienna\nimages/1.png,01.01\n2.png,02.02\n")
    assert codes(tmp_path) == {"images/1.png": ("01.01",), "images/2.png": ("02.02",)}


def test_numbers_with_dots_and_composed_accents_find_their_images(tmp_path: Path) -> None:
    accent = unicodedata.normalize("NFD", "café")
    for name in ("018.123.png", "018.123.456.png", f"{accent}.png"):
        drawn(tmp_path / name)
    (tmp_path / "labels.csv").write_text(
        "path,vienna\n018.123,01.01\n018.123.456,02.01\ncafé.png,03.01\n", "utf-8"
    )
    assert codes(tmp_path) == {
        "018.123.png": ("01.01",),
        "018.123.456.png": ("02.01",),
        f"{accent}.png": ("03.01",),
    }


def test_an_image_that_a_table_spells_twice_is_one_mark(tmp_path: Path) -> None:
    drawn(tmp_path / "images" / "1.png")
    table = tmp_path / "marks.csv"
    table.write_text("path,vienna,group\nimages/1.png,01.01,a\n./images/1.png,02.01,b\n")
    catalogue = read_catalogue(table)
    assert [mark.path for mark in catalogue.marks] == ["images/1.png"]
    assert catalogue.report.duplicates == ("images/1.png",)


def test_an_image_has_the_path_of_its_own_folder_not_of_a_link(tmp_path: Path) -> None:
    drawn(tmp_path / "images" / "1.png")
    (tmp_path / "all").symlink_to("images")
    (tmp_path / "labels.csv").write_text("path,vienna\nimages/1.png,01.01\n")
    assert codes(tmp_path) == {"images/1.png": ("01.01",)}


def test_a_cell_too_many_is_an_error_with_its_line(tmp_path: Path) -> None:
    drawn(tmp_path / "a.png")
    table = tmp_path / "marks.csv"
    table.write_text("path,vienna,title\na.png,26.01,27.05,Foo\n")
    with pytest.raises(CatalogueError, match="line 2: more cells than the header has columns"):
        read_catalogue(table)
    table.write_text("path,vienna,title\na.png,26.01,Foo,\n")  # empty ones say nothing
    assert len(read_catalogue(table).marks) == 1


def test_a_folder_for_images_that_is_none_is_told(tmp_path: Path) -> None:
    drawn(tmp_path / "a.png")
    with pytest.raises(CatalogueError, match="which is not a folder"):
        read_catalogue(tmp_path, tmp_path / "typo")


def test_images_that_are_away_end_a_build_and_are_no_quarantine(tmp_path: Path) -> None:
    source = draw_marks(tmp_path / "marks", 6)
    catalogue = read_catalogue(source)
    images = next(path for path in source.iterdir() if path.is_dir())
    images.rename(tmp_path / "away")
    with pytest.raises(PackError, match="was listed and cannot be read: No such file"):
        build_pack(catalogue, tmp_path / "pack", 32)
    (tmp_path / "away").rename(images)
    pack = build_pack(catalogue, tmp_path / "pack", 32)
    assert (pack.count, pack.quarantine) == (6, [])


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EMFILE, errno.ESTALE])
def test_what_may_pass_is_told_from_damage(number: int) -> None:
    assert isinstance(cannot_read(OSError(number, "x")), UnreachableError)
    assert not isinstance(cannot_read(OSError(errno.EINVAL, "x")), UnreachableError)
    assert not isinstance(cannot_read(OSError("image file is truncated")), UnreachableError)


def test_a_folder_of_somebody_else_beside_a_pack_is_left_alone(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path / "marks", 4))
    precious = tmp_path / "pack.building" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    with pytest.raises(PackError, match=r"holds precious.txt, which does not belong to a pack"):
        build_pack(catalogue, tmp_path / "pack", 32)
    assert precious.read_text() == "mine"


def test_a_pack_that_is_replaced_is_known_as_one_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_pack(read_catalogue(draw_marks(tmp_path / "old", 4)), tmp_path / "pack", 32)
    other = read_catalogue(draw_marks(tmp_path / "new", 5))
    real, left = Path.unlink, [0]

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.parent == tmp_path / "pack":
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        real(path, missing_ok=missing_ok)

    for done in range(4):
        left[0] = done
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink)
            with pytest.raises(KeyboardInterrupt):
                build_pack(other, tmp_path / "pack", 32)
        assert (tmp_path / "pack" / INFO_FILE).is_file()
    assert build_pack(other, tmp_path / "pack", 32).count == 5


def test_a_pack_follows_its_source_to_another_place(tmp_path: Path) -> None:
    source = draw_marks(tmp_path / "marks", 4)
    build_pack(read_catalogue(source), tmp_path / "pack", 32)
    moved = source.rename(tmp_path / "moved")
    (moved / "ATTRIBUTION.txt").write_text("by somebody\n")
    pack = build_pack(read_catalogue(moved), tmp_path / "pack", 32)
    assert (pack.source_root, pack.attribution) == (str(moved), "by somebody")
    assert open_pack(tmp_path / "pack").source_root == str(moved)


def test_a_large_jpeg_keeps_the_resolution_of_a_png(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 2100), "white").save(tmp_path / "a.jpg")
    assert load_image(tmp_path / "a.jpg").size == (3000, 2100)


def test_a_set_without_marks_to_train_on_says_so() -> None:
    with pytest.raises(ConfigError, match="0 marks are left to train on"):
        steps_per_epoch(0, 8)


def test_labels_that_were_written_since_are_told_from_those_of_the_pack(tmp_path: Path) -> None:
    source = draw_marks(tmp_path / "marks", 4)
    pack = build_pack(read_catalogue(source), tmp_path / "pack", 32).folder
    assert not labels_changed(source, pack)
    table = source / "labels.csv"
    later = table.stat().st_mtime + 1000
    os.utime(table, (later, later))
    assert labels_changed(source, pack)
    assert labels_changed(table, pack)
    assert not labels_changed(tmp_path / "gone", pack)
