"""Images in a tar or zip are read where they lie, and nothing leads out of it."""

import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.marks import draw_marks
from tmssl.data.pack import parts as building
from tmssl.data.pack.builder import build_pack
from tmssl.data.picture import UnreadableError
from tmssl.data.sources.archive import read_archive
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.location import Member, read_member
from tmssl.errors import CatalogueError


def as_tar(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w") as archive:
        archive.add(folder, ".")
    return target


def as_zip(folder: Path, target: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(target, "w", method) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return target


KINDS: dict[str, Callable[[Path, Path], Path]] = {
    "tar": lambda folder, to: as_tar(folder, to / "a.tar"),
    "zip": lambda folder, to: as_zip(folder, to / "a.zip"),
    "stored": lambda folder, to: as_zip(folder, to / "a.ZIP", zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_archive_is_the_same_catalogue_and_pack_as_its_folder_without_extraction(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "PER_PART", 8)
    monkeypatch.setattr(building, "_SERIAL_BELOW", 0)
    folder = draw_marks(tmp_path / "m", 40, validation=4)
    (folder / "ATTRIBUTION.txt").write_text("drawn by a test\nand more")
    (folder / "images" / "broken.png").write_bytes(b"not an image")
    (tmp_path / "there").mkdir()
    archive = KINDS[kind](folder, tmp_path / "there")
    expected, found = read_catalogue(folder), read_catalogue(archive)
    assert found.marks == expected.marks
    assert found.fingerprint == expected.fingerprint
    assert found.report.joined == 40
    pack = build_pack(found, tmp_path / "p", 32, workers=2)
    reference = build_pack(expected, tmp_path / "q", 32, workers=1)
    assert np.array_equal(pack.read(range(40)), reference.read(range(40)))
    assert pack.quarantine == reference.quarantine
    assert pack.attribution == "drawn by a test"
    assert [path.name for path in (tmp_path / "there").iterdir()] == [archive.name]


@pytest.mark.parametrize("table", ["jsonl", "parquet", "json"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_labels_of_every_kind_are_found_inside(tmp_path: Path, kind: str, table: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    folder = draw_marks(tmp_path / "m", 3)
    (folder / "labels.csv").unlink()
    rows = '{"path": "0001.PNG", "vienna": ["26.1.3"]}'
    if table == "jsonl":
        (folder / "labels.jsonl").write_text(rows)
    elif table == "json":
        (folder / "results.json").write_text(f"[{rows}]")
    else:
        data = [{"path": "0001.PNG", "vienna": ["26.1.3"]}]
        parquet.write_table(pa.Table.from_pylist(data), folder / "labels.parquet")
    catalogue = read_catalogue(KINDS[kind](folder, tmp_path))
    assert [mark.vienna for mark in catalogue.marks] == [(), ("26.01.03",), ()]


def test_links_within_a_tar_are_followed_and_special_files_left_out(tmp_path: Path) -> None:
    picture = (draw_marks(tmp_path / "m", 1) / "images" / "0000.png").read_bytes()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        first = tarfile.TarInfo("a.png")
        first.size = len(picture)
        archive.addfile(first, io.BytesIO(picture))
        for name, kind in (
            ("b.png", tarfile.LNKTYPE),
            ("c.png", tarfile.SYMTYPE),
            ("d.png", tarfile.FIFOTYPE),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "a.png"
            archive.addfile(link)
    catalogue = read_catalogue(tmp_path / "a.tar")
    assert [mark.path for mark in catalogue.marks] == ["a.png", "b.png"]
    pack = build_pack(catalogue, tmp_path / "p", 32)
    assert np.array_equal(*pack.read([0, 1]))


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/x.png", "a/../../x.png", "..\\x.png", "C:\\x.png"]
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    target = tmp_path / f"a.{kind}"
    if kind == "tar":
        with tarfile.open(target, "w") as archive:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    else:
        with zipfile.ZipFile(target, "w") as packed:
            packed.writestr(name, b"x")
    with pytest.raises(
        CatalogueError, match="a path that leads out of it; such an archive is refused"
    ):
        read_catalogue(target)


def test_labels_cannot_name_files_outside_an_archive(tmp_path: Path) -> None:
    folder = draw_marks(tmp_path / "m", 2)
    draw_marks(tmp_path / "secret", 1)
    (folder / "labels.csv").write_text(
        f"path\n../secret/images/0000.png\n{tmp_path}/secret/images/0000.png\nimages/0001.png\n"
    )
    catalogue = read_catalogue(as_tar(folder, tmp_path / "a.tar"))
    assert [mark.path for mark in catalogue.marks] == ["images/0000.png", "images/0001.png"]
    assert len(catalogue.report.labels_without_image) == 2


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_cut_off_is_one_line(tmp_path: Path, kind: str) -> None:
    archive = KINDS[kind](draw_marks(tmp_path / "m", 5), tmp_path)
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(CatalogueError, match=r"cannot read .*it may be cut off or no archive"):
        read_catalogue(archive)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar.xz"])
def test_an_archive_compressed_as_a_whole_says_what_to_do(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / name, "w:xz" if name.endswith("xz") else "w:gz") as archive:
        archive.add(draw_marks(tmp_path / "m", 1), ".")
    with pytest.raises(CatalogueError, match=r"compressed as a whole.*unpack it to a \.tar"):
        read_catalogue(tmp_path / name)


def test_members_that_cannot_be_unpacked_go_to_the_quarantine(tmp_path: Path) -> None:
    picture = (draw_marks(tmp_path / "m", 1) / "images" / "0000.png").read_bytes()
    target = tmp_path / "a.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("good.png", picture)
        archive.writestr("bomb.png", bytes(300 << 20), zipfile.ZIP_DEFLATED)
        archive.writestr("other.png", picture, zipfile.ZIP_BZIP2)
        archive.writestr("secret.png", picture)
        archive.writestr("damaged.png", picture * 9, zipfile.ZIP_DEFLATED)
    found = {name: read_archive(target).location(name) for name in ("secret.png", "damaged.png")}
    data = bytearray(target.read_bytes())
    secret, damaged = (member.offset for member in found.values() if isinstance(member, Member))
    data[secret + 6] |= 1
    data[damaged + 60 : damaged + 90] = b"\xff" * 30
    target.write_bytes(data)
    pack = build_pack(read_catalogue(target), tmp_path / "p", 32, workers=1)
    reasons = dict(pack.quarantine)
    assert pack.count == 1
    assert "above the limit" in reasons["bomb.png"]
    assert "method 12" in reasons["other.png"]
    assert "encrypted" in reasons["secret.png"]
    assert "damaged" in reasons["damaged.png"]


def test_an_archive_that_changes_under_a_build_is_told(tmp_path: Path) -> None:
    archive = as_tar(draw_marks(tmp_path / "m", 5), tmp_path / "a.tar")
    catalogue = read_catalogue(archive)
    member = catalogue.location(catalogue.marks[-1])
    assert isinstance(member, Member)
    archive.write_bytes(b"")
    with pytest.raises(UnreadableError, match="the archive ends before the image does"):
        read_member(member)
    archive.unlink()
    with pytest.raises(UnreadableError, match="No such file"):
        read_member(member)


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=900),
    kind=st.sampled_from(["tar", "zip"]),
    cut=st.integers(0, 3000),
    flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8),
)
def test_any_damage_to_an_archive_is_told_or_harmless(
    tmp_path_factory: pytest.TempPathFactory,
    data: bytes,
    kind: str,
    cut: int,
    flips: list[tuple[int, int]],
) -> None:
    whole = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=whole, mode="w") as archive:
            info = tarfile.TarInfo("a.png")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    else:
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("a.png", data)
    damaged = bytearray(whole.getvalue()[: len(whole.getvalue()) - cut % 200])
    for position, value in flips:
        if position < len(damaged):
            damaged[position] = value
    target = tmp_path_factory.mktemp("a") / f"a.{kind}"
    target.write_bytes(damaged)
    try:
        found = read_archive(target)
        for path in found.images:
            member = found.location(path)
            assert isinstance(member, Member)
            read_member(member)
    except (CatalogueError, UnreadableError) as error:
        assert str(error).isprintable()  # noqa: PT017 - both outcomes are right


def test_the_command_packs_an_archive_and_tells_its_join(tmp_path: Path) -> None:
    as_tar(draw_marks(tmp_path / "m", 6), tmp_path / "marks.tar")
    done = subprocess.run(
        [sys.executable, "-m", "cli", "pack", str(tmp_path / "marks.tar"), "--image-size", "32"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "6 label rows, 6 joined to an image" in done.stderr
    assert "images       6" in done.stdout
