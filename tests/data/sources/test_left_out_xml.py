"""XML that is damaged or of another kind is counted and left out; the other registers are read."""

import codecs
import zipfile
from pathlib import Path

import pytest

from tests.helpers.l3d import images
from tmssl.data.sources.catalogue import Catalogue, read_catalogue
from tmssl.errors import CatalogueError

MARK = (
    "<Transaction><TradeMark><ApplicationNumber>{0}</ApplicationNumber><MarkImageDetails><MarkImage>"
    "<MarkImageFilename>{0}.png</MarkImageFilename><MarkImageCategory><CategoryCodeDetails>"
    "<CategoryCode>26.04.01</CategoryCode></CategoryCodeDetails></MarkImageCategory></MarkImage>"
    "</MarkImageDetails></TradeMark></Transaction>"
)
GOOD = MARK.format(0).encode()
ENTITY = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


def register(folder: Path, count: int = 3) -> Path:
    images(folder, *(f"{i}.png" for i in range(count)))
    for i in range(count):
        (folder / f"{i}.xml").write_text(MARK.format(i))
    return folder


def zipped(folder: Path, to: Path) -> Path:
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return to


def told(catalogue: Catalogue) -> str:
    return "\n".join(catalogue.report.lines())


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no element found"),
        (b"\n \n", "no element found"),
        (codecs.BOM_UTF8, "no element found"),
        (GOOD[:-30], "unclosed token"),
        (GOOD.replace(b"</MarkImage>", b"</Mark>"), "mismatched tag"),
        (b"<html><br>no close</html>", "a web page"),
        (b"<?xml version='1.0' encoding='none-such'?><a/>", "unknown encoding"),
        (b"<?xml version='1.0' encoding='utf-8'?><a>\xe9</a>", "not well-formed"),
        (b"\xff\xd8\xff\xe0 a picture", "not well-formed"),
        (b"\0" * 4096, "not well-formed"),
        (ENTITY, "declares the entity 'x'"),
        (b"<a>" * 300, "nests more than 200 elements"),
        (b"<rss><channel/></rss>", "root element 'rss'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_one_bad_file_of_a_register_is_counted_and_left_out(
    tmp_path: Path, data: bytes, reason: str, packed: bool
) -> None:
    folder = register(tmp_path / "m")
    (folder / "9.xml").write_bytes(data)
    catalogue = read_catalogue(zipped(folder, tmp_path / "m.zip") if packed else folder)
    assert catalogue.report.with_codes == 3
    ((path, why),) = catalogue.report.unread_labels
    assert path == "9.xml"
    assert reason in why
    assert "1 file is not read for labels, such as 9.xml" in told(catalogue)


def test_the_same_fault_of_many_files_is_one_line(tmp_path: Path) -> None:
    folder = register(tmp_path / "m")
    for i in range(20):
        (folder / f"x{i}.xml").write_text("<a>" + "\n" * i)
    assert "20 files are not read for labels, such as" in told(read_catalogue(folder))


def test_marks_before_the_damage_count(tmp_path: Path) -> None:
    folder = register(tmp_path / "m")
    (folder / "1.xml").unlink()
    (folder / "2.xml").unlink()
    whole = "<all>" + "".join(MARK.format(i) for i in (1, 2)) + "</all>"
    (folder / "b.xml").write_text(whole[:-60])
    catalogue = read_catalogue(folder)
    assert [bool(mark.vienna) for mark in catalogue.marks] == [True, True, False]


def test_a_register_of_damaged_files_alone_is_an_error(tmp_path: Path) -> None:
    folder = images(tmp_path / "m", "0.png")
    (folder / "a.xml").write_bytes(GOOD[:-9])
    with pytest.raises(CatalogueError, match=r"cannot read .*a\.xml: "):
        read_catalogue(folder)


def test_an_encrypted_or_damaged_member_of_a_zip_is_left_out(tmp_path: Path) -> None:
    folder = register(tmp_path / "m")
    data = bytearray(zipped(folder, tmp_path / "m.zip").read_bytes())
    header = data.index(b"PK\3\4", data.index(b"1.xml") - 40)
    data[header + 6] |= 1
    body = data.index(b"2.xml") + 5
    data[body + 20 : body + 60] = b"\xff" * 40
    (tmp_path / "m.zip").write_bytes(data)
    report = read_catalogue(tmp_path / "m.zip").report
    assert report.with_codes == 1
    assert {path for path, _ in report.unread_labels} == {"1.xml", "2.xml"}


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + b"<?xml version='1.0' encoding='UTF-8'?>" + GOOD,
        b"\r\n\r\n<?xml version='1.0'?>" + GOOD,
        codecs.BOM_UTF8 + b"\n<?xml version='1.0'?>" + GOOD,
        b'<?xml version="1.0" encoding="utf-16"?>' + GOOD,
        b"<?xml version='1.0' encoding = 'UTF16'?>" + GOOD,
        ("<?xml version='1.0' encoding='utf-16'?>" + GOOD.decode()).encode("utf-16"),
        codecs.BOM_UTF16_BE + GOOD.decode().encode("utf-16-be"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_windows_programs_write_before_the_first_element_is_read(
    tmp_path: Path, data: bytes
) -> None:
    folder = images(tmp_path / "m", "0.png")
    (folder / "a.xml").write_bytes(data)
    report = read_catalogue(folder).report
    assert (report.with_codes, report.unread_labels) == (1, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<trademark-applications-daily/>", "USPTO's daily XML of applications"),
        ('<u:Trademark-Applications-Daily xmlns:u="u"/>', "USPTO's daily XML"),
        ("<revista numero='2760'><processo/></revista>", "Brazil's RPI"),
        ("<ENOTIF><BIRTH/></ENOTIF>", "WIPO's notifications under Madrid"),
        ("<response><body/></response>", "root element 'response'"),
        ("<marques><marque/></marques>", "root element 'marques'"),
        ("<!DOCTYPE html><html/>", "a web page"),
    ],
)
def test_xml_of_another_kind_is_named_by_its_root_element(
    tmp_path: Path, text: str, words: str
) -> None:
    folder = images(tmp_path / "m", "0.png")
    (folder / "a.xml").write_text(text)
    catalogue = read_catalogue(folder)
    assert words in told(catalogue)
    assert "such as a.xml" in told(catalogue)
    assert catalogue.report.labels == 0
    with pytest.raises(CatalogueError, match=words.replace("(", r"\(")):
        read_catalogue(folder / "a.xml")
    assert words in told(read_catalogue(zipped(folder, tmp_path / "m.zip")))
