"""Registers in XML: ST.66 and ST.96 of any version, streamed, and safe from what XML can do."""

import io
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.endless_register import ST66, consume
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.tables.trademark_xml import read_register
from tmssl.errors import CatalogueError

ST96 = """<?xml version="1.0"?>
<tmk:TrademarkTransaction xmlns:com="http://www.wipo.int/standards/XMLSchema/ST96/Common"
  xmlns:tmk="http://www.wipo.int/standards/XMLSchema/ST96/Trademark" com:st96Version="V{version}">
 <tmk:TrademarkBag><tmk:Trademark com:operationCategory="Insert">
  <com:ApplicationNumber>
    <com:ST13ApplicationNumber>50000000077</com:ST13ApplicationNumber>
    <com:ApplicationNumberText>000000077</com:ApplicationNumberText>
  </com:ApplicationNumber>
  <tmk:MarkRepresentation><tmk:MarkReproduction>
   <tmk:WordMarkSpecification><tmk:MarkVerbalElementText>BAR</tmk:MarkVerbalElementText></tmk:WordMarkSpecification>
   <tmk:MarkImageBag><tmk:MarkImage><com:FileName>77.PNG</com:FileName>
    <tmk:MarkImageClassification><{p}:FigurativeElementClassificationBag><{p}:ViennaClassificationBag>
      <{p}:ViennaClassificationEdition>7</{p}:ViennaClassificationEdition>
      <{p}:ViennaClassification><{p}:ViennaCategory>26</{p}:ViennaCategory>
        <{p}:ViennaDivision>1</{p}:ViennaDivision><{p}:ViennaSection>3</{p}:ViennaSection></{p}:ViennaClassification>
      <{p}:ViennaClassification><{p}:ViennaCategory>03</{p}:ViennaCategory>
        <{p}:ViennaDivision>07</{p}:ViennaDivision></{p}:ViennaClassification>
    </{p}:ViennaClassificationBag></{p}:FigurativeElementClassificationBag></tmk:MarkImageClassification>
   </tmk:MarkImage></tmk:MarkImageBag>
  </tmk:MarkReproduction></tmk:MarkRepresentation>
 </tmk:Trademark></tmk:TrademarkBag>
</tmk:TrademarkTransaction>"""


def rows(text: str | bytes) -> list[dict[str, Any]]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_register("r.xml", io.BytesIO(data)))


def test_st66_gives_images_numbers_names_and_codes() -> None:
    first, third = rows(ST66)
    assert first["path"] == "000000001.jpg"
    assert first["id"] == "000000001"
    assert first["title"] == "FOO & B\u00c4R"
    assert first["vienna"] == ["26.01.03", "27.5.1"]
    assert first["design_search_code"] == "26.01.21"
    assert (third["path"], third["url"]) == ("3.GIF", "http://office.example/img/3.GIF")
    assert third["vienna"] == ["0307"]


@pytest.mark.parametrize(("version", "prefix"), [("5_0", "com"), ("1_0_D3", "tmk")])
def test_st96_of_any_version_gives_the_same(version: str, prefix: str) -> None:
    (row,) = rows(ST96.format(version=version, p=prefix))
    assert row["path"] == "77.PNG"
    assert row["id"] == "000000077"
    assert row["title"] == "BAR"
    assert row["vienna"] == ["26.1.3", "03.07"]


def with_kind(kind: str, *codes: str) -> dict[str, Any]:
    printed = "".join(f"<CategoryCode>{code}</CategoryCode>" for code in codes)
    (row,) = rows(
        "<TradeMark><MarkImageDetails><MarkImage><MarkImageFilename>1.png</MarkImageFilename>"
        f"<MarkImageCategory><CategoryKind>{kind}</CategoryKind><CategoryCodeDetails>{printed}"
        "</CategoryCodeDetails></MarkImageCategory></MarkImage></MarkImageDetails></TradeMark>"
    )
    return row


@pytest.mark.parametrize(
    "kind",
    [
        "Vienna",
        "VCL 8",
        "CFE(9)",
        "Wiener Klassifikation",
        "Clasificación de Viena",
        "Classification de Vienne",
        "Classificazione di Vienna",
        "Венская классификация",
        "ウィーン図形分類",
        "维也纳分类",
        "Figurative elements",
        "Internationale Klassifikation der Bildbestandteile",
        "Elementos figurativos",
        "Kuvaluokka",
        "7",
    ],
)
def test_words_for_the_kind_in_any_language_leave_vienna_codes_vienna_codes(kind: str) -> None:
    row = with_kind(kind, "26.01.03", "27.5.1")
    assert row["vienna"] == ["26.01.03", "27.5.1"]
    assert "design_search_code" not in row


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("US Design Search Code", "26.01.21"),
        ("USPTO", "26.01.21"),
        ("U.S.", "26.01.21"),
        ("National", "26.01.21"),
        ("Clasificación nacional", "26.01.21"),
        ("Nice", "25"),
        ("Nizza-Klassifikation", "9"),
        ("Locarno", "09-03"),
        ("Bildklasse", "26.98.01"),
    ],
)
def test_codes_of_other_schemes_are_kept_apart(kind: str, code: str) -> None:
    row = with_kind(kind, code)
    assert (row["vienna"], row["design_search_code"]) == ([], code)


def test_namespaces_and_case_do_not_matter() -> None:
    bare = ST96.format(version="1", p="x").replace("tmk:", "").replace("com:", "").replace("x:", "")
    assert rows(bare) == rows(ST96.format(version="1", p="com"))


def test_encodings_that_a_register_declares_are_read() -> None:
    for encoding in ("utf-16", "iso-8859-1", "windows-1252"):
        text = ST66.replace('encoding="UTF-8"', f'encoding="{encoding}"')
        assert rows(text.encode(encoding))[0]["title"] == "FOO & B\u00c4R"


def test_a_folder_of_registers_and_images_joins_in_spite_of_case_and_suffix(tmp_path: Path) -> None:
    (tmp_path / "xml").mkdir()
    (tmp_path / "img").mkdir()
    (tmp_path / "xml" / "a.xml").write_text(ST66)
    (tmp_path / "xml" / "b.XML").write_text(ST96.format(version="4", p="com"))
    (tmp_path / "xml" / "settings.xml").write_text("<settings/>")
    for name in ("000000001.JPG", "3.gif", "77.jpg"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / "img" / name)
    catalogue = read_catalogue(tmp_path)
    by_path = {mark.path: mark for mark in catalogue.marks}
    assert by_path["img/000000001.JPG"].vienna == ("26.01.03", "27.05.01")
    assert by_path["img/3.gif"].vienna == ("03.07",)
    assert by_path["img/77.jpg"].vienna == ("03.07", "26.01.03")
    assert catalogue.report.joined == catalogue.report.labels == 3
    assert catalogue.report.us_codes == ("26.01.21",)
    assert "US design search code, not a Vienna code" in "\n".join(catalogue.report.lines())
    assert by_path["img/000000001.JPG"].extra == {"design_search_code": "26.01.21"}


def test_one_register_is_a_source_too(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(ST66)
    Image.new("RGB", (4, 4), "red").save(tmp_path / "000000001.jpg")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "3.gif")
    catalogue = read_catalogue(tmp_path / "r.xml")
    assert [mark.id for mark in catalogue.marks] == ["000000001", "000000003"]
    (tmp_path / "none.xml").write_text("<a/>")
    with pytest.raises(CatalogueError, match="holds no marks with an image or Vienna codes"):
        read_catalogue(tmp_path / "none.xml")


EXTERNAL = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a><TradeMark>&x;</TradeMark></a>'
PARAMETER = '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://10.255.255.1/x.dtd"> %x;]><a/>'
QUADRATIC = f'<!DOCTYPE a [<!ENTITY x "{"y" * 100_000}">]><a>{"&x;" * 100_000}</a>'
LAUGHS = (
    '<!DOCTYPE a [<!ENTITY l0 "ha">'
    + "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 30))
    + "]><a>&l29;</a>"
)


@pytest.mark.parametrize(
    "text",
    [EXTERNAL, PARAMETER, QUADRATIC, LAUGHS],
    ids=["external", "parameter", "quadratic", "laughs"],
)
def test_entities_are_refused_at_once(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(CatalogueError, match=r"declares the entity '\w+'; such a file is refused"):
        rows(text)
    assert time.process_time() - begun < 5


def test_a_document_type_without_entities_is_read_over_and_not_fetched() -> None:
    named = '<!DOCTYPE Transaction SYSTEM "http://10.255.255.1/tm.dtd">'
    head, body = ST66.split("?>", 1)
    assert rows(f"{head}?>{named}{body}") == rows(ST66)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a>" * 300, "nests more than 200 elements"),
        ("<a b='" + "x" * (5 << 20) + "'/>", "a tag or comment above 1 MiB"),
        ("<a><!--" + "x" * (5 << 20) + "--></a>", "a tag or comment above 1 MiB"),
        ("<a><b></a>", "mismatched tag"),
        ("", "no element found"),
        ("<?xml version='1.0' encoding='none-such'?><a/>", "cannot read"),
    ],
)
def test_what_is_no_register_is_one_line(text: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message) as caught:
        rows(text)
    assert str(caught.value).isprintable()


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="<>/!-[]&;'\"= aTradeMrkImg?xlENTIY%", max_size=200) | st.binary(max_size=200)
)
def test_any_other_text_is_refused_or_harmless(text: str | bytes) -> None:
    try:
        rows(text)
    except CatalogueError as error:
        assert str(error).isprintable()  # noqa: PT017 - both outcomes are right


def test_memory_does_not_grow_with_the_file() -> None:
    code = (
        "import resource; from tests.helpers.endless_register import consume; consume(1 << 20)\n"
        f"before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; consume({64 << 20})\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 << 10  # KiB


@pytest.mark.slow
def test_two_gigabytes_of_register_need_no_two_gigabytes() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert consume(2 << 30) > 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10  # KiB


@pytest.mark.parametrize("part", ["<MarkImage/>", "<ViennaCode>26.01</ViennaCode>"])
def test_a_mark_of_endless_parts_is_one_line(part: str) -> None:
    text = f"<a><TradeMark><ApplicationNumber>1</ApplicationNumber>{part * 5000}</TradeMark></a>"
    with pytest.raises(CatalogueError, match="a mark of more than 4,096 images and codes"):
        list(read_register("a.xml", io.BytesIO(text.encode())))
