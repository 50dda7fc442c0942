"""Archives that lie, lead back or unpack without end are one line or one image in the quarantine."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.helpers.marks import draw_marks
from tmssl.data.pack.builder import build_pack
from tmssl.data.picture import UnreadableError
from tmssl.data.sources.archive import Archive, read_archive
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.location import Member, read_member
from tmssl.data.sources.member_stream import open_member
from tmssl.errors import CatalogueError

LABELS = b"path,vienna\na.png,26.01\n"


def picture(folder: Path) -> bytes:
    return (draw_marks(folder / "m", 1) / "images" / "0000.png").read_bytes()


def zip_of(folder: Path, labels: bytes, **options: int) -> Path:
    """A zip of one image and its labels."""
    target = folder / "a.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", picture(folder))
        archive.writestr("labels.csv", labels, **options)
    return target


def changed(target: Path, at: int, form: str, *values: int) -> None:
    """Write numbers over the directory's record of the last member."""
    data = bytearray(target.read_bytes())
    struct.pack_into(form, data, data.rindex(b"PK\1\2") + at, *values)
    target.write_bytes(data)


def member_of(archive: Archive, name: str) -> Member:
    location = archive.location(name)
    assert isinstance(location, Member)
    return location


@pytest.mark.parametrize(
    ("at", "form", "values", "reason"),
    [
        (16, "<I", (1,), "its checksum differs"),
        (24, "<I", (5,), "its length differs"),
        (24, "<I", (1000,), "its length differs"),
        (20, "<I", (3,), "its length differs"),
        (42, "<I", (7,), "has changed or is damaged"),
        (24, "<I", (1 << 31,), "bytes packed in"),
    ],
)
def test_labels_that_differ_from_what_a_zip_recorded_are_one_line(
    tmp_path: Path, at: int, form: str, values: tuple[int, ...], reason: str
) -> None:
    target = zip_of(tmp_path, LABELS)
    assert read_catalogue(target).report.with_codes == 1
    changed(target, at, form, *values)
    with pytest.raises(
        CatalogueError, match=rf"cannot read .*a\.zip/labels\.csv: .*{reason}"
    ) as told:
        read_catalogue(target)
    assert str(told.value).isprintable()


def test_a_version_that_nobody_reads_is_one_line(tmp_path: Path) -> None:
    target = zip_of(tmp_path, LABELS)
    changed(target, 6, "<H", 99)
    with pytest.raises(CatalogueError, match=r"cannot read .*a\.zip: zip file version"):
        read_catalogue(target)


@pytest.mark.parametrize("size", [1 << 63, (1 << 64) - 1])
def test_a_size_beyond_every_disk_is_one_member_less(tmp_path: Path, size: int) -> None:
    extra = struct.pack("<HHQ", 1, 8, size)
    target = zip_of(tmp_path, LABELS)
    data = bytearray(target.read_bytes())
    begin = data.rindex(b"PK\1\2")
    length = struct.unpack_from("<H", data, begin + 28)[0]
    struct.pack_into("<I", data, begin + 24, 0xFFFFFFFF)
    struct.pack_into("<H", data, begin + 30, len(extra))
    data[begin + 46 + length : begin + 46 + length] = extra
    end = data.rindex(b"PK\5\6")
    struct.pack_into("<I", data, end + 12, end - data.index(b"PK\1\2"))
    target.write_bytes(data)
    with pytest.raises(CatalogueError, match=r"labels\.csv: .*bytes packed in"):
        read_catalogue(target)


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(10_000_000))
        first = archive.infolist()[0]
        for number in range(1, 50):
            again = zipfile.ZipInfo(f"{number}.png")
            for name in ("header_offset", "compress_size", "file_size", "compress_type", "CRC"):
                setattr(again, name, getattr(first, name))
            archive.filelist.append(again)
        archive._didModify = True  # type: ignore[attr-defined]  # so that its directory is written
    with pytest.raises(CatalogueError, match="its members overlap"):
        read_catalogue(target)


def test_an_image_with_a_wrong_checksum_goes_to_the_quarantine(tmp_path: Path) -> None:
    data = picture(tmp_path)
    target = tmp_path / "b.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("good.png", data)
        archive.writestr("bad.png", data)
    changed(target, 16, "<I", 1)
    pack = build_pack(read_catalogue(target), tmp_path / "p", 32, workers=1)
    assert pack.count == 1
    assert "checksum" in dict(pack.quarantine)["bad.png"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_is_read_in_any_order_and_checked_at_its_end(tmp_path: Path, method: int) -> None:
    words = b"".join(b"%d," % number for number in range(100_000))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.txt", words)
    member = read_archive(tmp_path / "a.zip").sidecars["a.txt"]
    assert read_member(member) == words
    with open_member(member) as stream:
        assert stream.seek(-6, io.SEEK_END) == len(words) - 6
        assert stream.read() == words[-6:]
        stream.seek(1000)
        assert stream.read(10) == words[1000:1010]
        stream.seek(0)
        assert stream.read() == words
    wrong = member._replace(crc=zlib.crc32(b"other"))
    with open_member(wrong) as stream, pytest.raises(UnreadableError, match="checksum"):
        stream.read()


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The header of a member of a tar, of any size."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, max(0, size)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = b"%011o\0" % size if 0 <= size < 8**11 else (size % (1 << 96)).to_bytes(12)
    if size < 0 or size >= 8**11:
        block[124] |= 0x80
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(**attributes: str) -> bytes:
    """The attributes before a member of a tar."""
    lines = b""
    for name, text in attributes.items():
        line = f" {name}={text}\n".encode()
        length = len(line) + len(str(len(line) + 3))
        lines += str(length).encode() + line
    return header("x", len(lines), tarfile.XHDTYPE) + lines + bytes(-len(lines) % 512)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header("a.png", -512), "-512 bytes"),
        (header("a.png", -(1 << 70)), "far too many bytes"),
        (header("a.png", 1 << 70), "far too many bytes"),
        (header("a.png", 1 << 40), "bytes"),
        (header("b.png", 0) + header("a.png", -512), "-512 bytes"),
        (header("b.png", 0) + header("a.png", -1024, tarfile.FIFOTYPE), "-1,024 bytes"),
        (header("a", 1 << 30, tarfile.XHDTYPE) + bytes(2048), "1,073,741,824 bytes"),
        (header("a", 1 << 30, tarfile.XGLTYPE) + bytes(2048), "1,073,741,824 bytes"),
        (header("a", 1 << 30, tarfile.GNUTYPE_LONGNAME) + bytes(2048), "1,073,741,824 bytes"),
        (header("a", -1, tarfile.GNUTYPE_LONGLINK) + bytes(2048), "-1 bytes"),
        (pax(size="-512") + header("a.png", 0), "-512 bytes"),
        (pax(size="9" * 100) + header("a.png", 0), "bytes"),
        (pax(size="-99999999") + header("a.png", 0, tarfile.BLKTYPE), "bytes|header"),
        (pax(comment="x") * 3000 + header("a.png", 0), "recursion"),
    ],
)
def test_a_tar_whose_headers_lie_is_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    target = tmp_path / "a.tar"
    target.write_bytes(content + bytes(1024))
    with pytest.raises(CatalogueError, match=rf"(?s)cannot read .*a\.tar: .*({reason})") as told:
        read_catalogue(target)
    assert str(told.value).isprintable()


def test_device_and_sparse_members_are_left_out(tmp_path: Path) -> None:
    data = picture(tmp_path)
    whole = header("a.png", len(data)) + data + bytes(-len(data) % 512)
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.SYMTYPE, b"Z"):
        whole += header("b.png", 0, kind)
    target = tmp_path / "a.tar"
    target.write_bytes(whole + header("c.png", 0, tarfile.GNUTYPE_SPARSE) + bytes(1024))
    images = read_archive(target).images
    assert "a.png" in images
    assert not {"c.png"} & set(images)


def test_a_sidecar_of_any_size_is_left_out_unread(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b"):
            archive.writestr(f"{name}.png", picture(tmp_path / name))
        archive.writestr("a.json", '{"title": "a"}')
        archive.writestr("b.json", b" " * (50 << 20))
    catalogue = read_catalogue(tmp_path / "a.zip")
    assert [mark.title for mark in catalogue.marks] == ["a", ""]
    assert "52,428,800 bytes, too many for labels" in str(catalogue.report.unread_labels)


def test_gzip_that_unpacks_without_end_is_one_line(tmp_path: Path) -> None:
    folder = draw_marks(tmp_path / "m", 2)
    (folder / "labels.csv").unlink()
    with gzip.open(folder / "labels.csv.gz", "wb", 1) as file:
        file.write(b"path,title\nimages/0000.png,")
        file.write(b" " * (5 << 20))
    with pytest.raises(CatalogueError, match=r"labels\.csv\.gz: .* bytes packed in .*a trap"):
        read_catalogue(folder)
