"""Tables as spreadsheets, databases and scripts write them: what was written is what is joined."""

import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers.l3d import images
from tmssl.data.cells import Row
from tmssl.data.sources.catalogue import Catalogue, read_catalogue
from tmssl.data.tables.columns import parse_columns
from tmssl.data.tables.table import read_table
from tmssl.errors import CatalogueError, ConfigError


def rows(data: str | bytes, name: str = "labels.csv", columns: str = "") -> list[Row]:
    """The rows of a table of some bytes."""
    encoded = data.encode() if isinstance(data, str) else data
    return list(read_table(name, io.BytesIO(encoded), parse_columns(columns)))


def notes(data: str | bytes, name: str = "labels.csv", columns: str = "") -> str:
    """What a table is told to have been taken for."""
    encoded = data.encode() if isinstance(data, str) else data
    told: list[str] = []
    list(read_table(name, io.BytesIO(encoded), parse_columns(columns), told))
    return "\n".join(told)


def catalogue(folder: Path, table: str, count: int = 4) -> Catalogue:
    """The catalogue of a folder of images 0.png, 1.png, ... and labels.csv."""
    images(folder, *(f"{i}.png" for i in range(count)))
    (folder / "labels.csv").write_text(table, "utf-8")
    return read_catalogue(folder)


TABLE = "path;vienna;title\n0.png;26.01.03;Ärzte\n1.png;27.05.01;Øl, fin\n"


@pytest.mark.parametrize(
    "before",
    [
        "sep=;\n",
        "sep=;\r\n\r\n",
        '"sep=;"\n',
        "SEP=;\n",
        "\n",
        "\r\n  \r\n",
        ";;\n;;\n",
        "# made by a script\n#\n",
        "Marks of the year 2024\n\n",
        "Report;of the;office\nprinted;;\n\n",
        "\ufeff",
        "\ufeffsep=;\n",
        "\ufeff\n\n",
        "\ufeff# a comment, with; separators\n",
        "# ",
        "#",
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_what_precedes_the_header_does_not_hide_it(before: str, ending: str) -> None:
    text = (before + TABLE).replace("\r\n", "\n").replace("\n", ending)
    assert rows(text) == rows(TABLE)


def test_a_line_before_the_header_that_has_words_is_told() -> None:
    told = notes("Marks of 2024\nall of them\n" + TABLE)
    assert told == "labels.csv: 2 lines before its header left out, such as 'Marks of 2024'"
    assert notes("sep=;\n" + TABLE).endswith("';', as its line sep= tells")
    assert notes(TABLE) == ""


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_every_unicode_encoding_is_read(encoding: str) -> None:
    assert rows(TABLE.encode(encoding)) == rows(TABLE)
    line = json.dumps({"path": "0.png", "title": "Ärzte"}, ensure_ascii=False) + "\n"
    assert rows(line.encode(encoding), "labels.jsonl") == rows(line, "labels.jsonl")


@pytest.mark.parametrize(("encoding", "name"), [("latin-1", "UTF-8"), ("cp1252", "UTF-8")])
def test_other_encodings_are_refused_by_name(encoding: str, name: str) -> None:
    with pytest.raises(CatalogueError, match=f"is not {name}; save it as UTF-8"):
        rows(TABLE.encode(encoding))
    with pytest.raises(CatalogueError, match="is not UTF-16"):
        rows(TABLE.encode("utf-16") + b"\x00")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_finds_the_path(separator: str) -> None:
    header = separator.join(['"title, or; name\tor|sign"', "path", "vienna"])
    (row,) = rows(f"{header}\n{separator.join(['x', 'a.png', '26.1'])}\n")
    assert (row["path"], row["vienna"]) == ("a.png", "26.1")


@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv", "labels.jsonl", "results.json"])
def test_tables_packed_by_gzip_are_read(tmp_path: Path, name: str) -> None:
    images(tmp_path, "0.png", "1.png")
    kinds = {
        "labels.csv": TABLE,
        "labels.tsv": TABLE.replace(";", "\t"),
        "labels.jsonl": '{"path": "0.png"}\n{"path": "1.png"}\n',
        "results.json": '[{"file": "0.PNG"}, {"file": "1.PNG"}]',
    }
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(kinds[name].encode()))
    for source in (tmp_path, packed):
        report = read_catalogue(source).report
        assert report.joined == 2
        assert "unpacked by gzip" in report.notes[0]
    packed.write_bytes(gzip.compress(kinds[name].encode())[:-9])
    with pytest.raises(CatalogueError, match="cannot read"):
        read_catalogue(tmp_path)
    packed.write_bytes(kinds[name].encode())
    with pytest.raises(CatalogueError, match="cannot read"):
        read_catalogue(tmp_path)


def test_an_unpacked_table_comes_before_its_packed_one(tmp_path: Path) -> None:
    images(tmp_path, "0.png")
    (tmp_path / "labels.csv").write_text("path,title\n0.png,new\n")
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(b"path,title\n0.png,old\n"))
    assert read_catalogue(tmp_path).marks[0].title == "new"


def test_columns_of_one_name_are_refused_unless_they_hold_codes() -> None:
    (row,) = rows("path,vienna,title,vienna\na.png,26.1,x,27.5\n")
    assert row["vienna"] == ["26.1", "27.5"]
    for header in ("path,title,Title", "path,path,title", "Path,path,group"):
        with pytest.raises(CatalogueError, match=r"2 columns '(title|path)'; rename or"):
            rows(f"{header}\na.png,b.png,c\n")
    with pytest.raises(CatalogueError, match="2 columns 'path'"):
        rows('{"path": "a.png", "Path": "b.png"}\n', "labels.jsonl")


@pytest.mark.parametrize("cell", ['"5 inch', 'a "b" "c', '"x\ny\nz'])
def test_a_quote_that_is_never_closed_is_an_error_with_its_line(cell: str) -> None:
    table = f'path,title\na.png,"two\nlines"\nb.png,{cell}\nc.png,last\n'
    if cell.startswith('"'):
        with pytest.raises(CatalogueError, match="line 4: a double quote is never closed"):
            rows(table)
    else:
        assert len(rows(table)) == 3


@pytest.mark.parametrize("file", ["0.png", " 0.png", "  0.png", "\u3000 0.png"])
@pytest.mark.parametrize("after", ["", " ", "\t", "\xa0"])
def test_blanks_before_a_file_name_belong_to_it_where_the_file_has_them(
    tmp_path: Path, file: str, after: str
) -> None:
    images(tmp_path, file, "1.png")
    (tmp_path / "labels.csv").write_text(f'path,title\n"{file}{after}",yes\n1.png ,no\n')
    found = {mark.path.strip(): mark.title for mark in read_catalogue(tmp_path).marks}
    assert found == {"0.png": "yes", "1.png": "no"}


@pytest.mark.parametrize("name", ["a b.xlsx", "marks.XLS", "marks.ods", "marks.csv", "marks.jsonl"])
@pytest.mark.parametrize("start", [b"PK\3\4\x14\0", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_a_workbook_is_refused_with_the_way_to_a_csv(
    tmp_path: Path, name: str, start: bytes
) -> None:
    images(tmp_path, "0.png")
    (tmp_path / name).write_bytes(start * 9)
    way = "libreoffice --headless --convert-to csv .*" + name.replace(".", r"\.")
    with pytest.raises(CatalogueError, match=f"is a workbook, which is not read; .*{way}"):
        read_catalogue(tmp_path / name)


MISSING = """nan NaN NAN None none NULL null <NA> <na> N/A n/a NA #N/A - -- \u2013 NaT \\N (null) [NULL] <null>
#NULL! #VALUE! -nan 1.#QNAN""".split()


@pytest.mark.parametrize("word", [*MISSING, " nan ", "#N/A N/A", "\xa0", "(blank)"])
def test_words_for_nothing_are_nothing_in_every_column(tmp_path: Path, word: str) -> None:
    columns = "path,id,vienna,group,split,title,url,owner"
    cells = ",".join([word] * 7)
    found = catalogue(tmp_path, f"{columns}\n0.png,{cells}\n1.png,i,26.1,g,val,t,u,o\n", 2)
    nothing, something = found.marks
    assert nothing == type(nothing)(path="0.png")
    assert (something.title, something.extra) == ("t", {"owner": "o"})
    assert (found.report.with_group, found.report.with_codes) == (1, 1)
    assert found.report.bad_codes == ()


@pytest.mark.parametrize("word", ["nano", "Nonesuch", "n", "0", "_", "+", "null and void", "NAS"])
def test_other_words_stay(tmp_path: Path, word: str) -> None:
    found = catalogue(tmp_path, f"path,group,title\n0.png,{word},{word}\n", 1)
    assert (found.marks[0].group, found.marks[0].title) == (word, word)


@pytest.mark.parametrize(
    "column",
    [
        "vienna_codes",
        "viennaCodes",
        "Vienna codes",
        "vienna_classes",
        "vienna_code",
        "VIENNA CLASS",
        "Vienna Classification (CFE)",
        "cfe",
        "VCL-10",
        "Clasificación de Viena",
        "Classification de Vienne",
        "Wiener Klassifikation",
        "Венская классификация",
        "ウィーン分類",
        "维也纳分类",
        "비엔나코드",
        "vienna.codes",
    ],
)
def test_codes_under_another_name_are_read_and_told(tmp_path: Path, column: str) -> None:
    found = catalogue(tmp_path, f"path,{column}\n0.png,26.01.03\n1.png,27.5;3.7\n2.png,\n")
    assert [mark.vienna for mark in found.marks[:2]] == [("26.01.03",), ("03.07", "27.05")]
    assert found.report.with_codes == 2
    assert f"its column '{column}' is read as Vienna codes" in found.report.notes[0]


@pytest.mark.parametrize(
    "header",
    ["vienna_1,vienna_2", "vienna_main,vienna_further", "vienna,vienna", "cfe,Viena"],
)
def test_codes_in_several_columns_are_read_together(tmp_path: Path, header: str) -> None:
    found = catalogue(tmp_path, f"path,{header}\n0.png,26.01.03,27.5\n1.png,3.7.16,\n2.png,,27.5\n")
    assert [mark.vienna for mark in found.marks[:3]] == [
        ("26.01.03", "27.05"),
        ("03.07.16",),
        ("27.05",),
    ]


@pytest.mark.parametrize(
    "header",
    [
        "vienna_category,vienna_division,vienna_section",
        "Vienna category,Division,Section",
        "viennaSection,viennaDivision,viennaCategory",
    ],
)
def test_codes_in_three_columns_are_put_together(tmp_path: Path, header: str) -> None:
    rows = ["26,1,3", "27.0,5.0,1.0", "3,7,"]
    if header.startswith("viennaS"):
        rows = [",".join(reversed(row.split(","))) for row in rows]
    table = "".join(f"{i}.png,{row}\n" for i, row in enumerate(rows))
    found = catalogue(tmp_path, f"path,{header}\n{table}")
    assert [mark.vienna for mark in found.marks] == [("26.01.03",), ("27.05.01",), ("03.07",), ()]
    (note,) = found.report.notes
    assert "are read as the parts of a Vienna code" in note


def test_parts_that_may_be_of_another_office_are_asked_about(tmp_path: Path) -> None:
    table = "path,category,division,section\n0.png,26,1,3\n1.png,27,5,1\n"
    found = catalogue(tmp_path, table)
    assert found.report.with_codes == 0
    assert "rename the first to vienna_category if they are" in found.report.notes[0]
    for other in ("0.png,12,40,7\n", "0.png,Sport,Men,Shoes\n"):
        table = f"path,category,division,section\n{other}"
        assert catalogue(tmp_path, table).report.notes == ()


def test_an_empty_column_of_codes_does_not_hide_another(tmp_path: Path) -> None:
    found = catalogue(tmp_path, "path,vienna,codes\n0.png,,26.1.3\n1.png,nan,27.5\n")
    assert "--columns 'vienna=codes' reads it" in found.report.notes[0]


def test_a_column_of_codes_may_begin_with_many_empty_cells() -> None:
    table = "path,vienna_codes\n" + "".join(f"{i}.png,\n" for i in range(600)) + "x.png,26.1\n"
    assert rows(table)[-1] == {"path": "x.png", "vienna": "26.1"}


def test_solid_codes_that_became_doubles_are_read() -> None:
    table = "path,vienna\na.png,260103.0\nb.png,\nc.png,2705.0\nd.png,30716.0\n"
    assert [row["vienna"] for row in rows(table)] == [260103.0, "", 2705.0, 30716.0]


@pytest.mark.parametrize("column", ["codes", "code_list", "figurative", "labels", "Bildklassen"])
def test_a_column_that_looks_like_codes_is_asked_about(tmp_path: Path, column: str) -> None:
    found = catalogue(tmp_path, f"path,{column}\n0.png,26.01.03\n1.png,27.05.01;26.04.02\n")
    assert found.report.with_codes == 0
    assert f"--columns 'vienna={column}' reads it" in found.report.notes[0]
    assert found.marks[0].extra == {column: "26.01.03"}


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("vienna_edition", ["8", "9"]),
        ("vienna_title", ["Circles", "Letters"]),
        ("filed", ["26.01.03", "30.11.03"]),
        ("filed", ["2003-01-26", "2003-11-30"]),
        ("price", ["26.10", "30.99"]),
        ("year", ["1997", "2004"]),
        ("design_search_code", ["26.01.21", "26.01.03"]),
    ],
)
def test_other_columns_are_not_taken_for_codes(
    tmp_path: Path, column: str, cells: list[str]
) -> None:
    found = catalogue(
        tmp_path,
        f"path,vienna,{column}\n" + "".join(f"{i}.png,27.5,{c}\n" for i, c in enumerate(cells)),
    )
    assert [mark.vienna for mark in found.marks[:2]] == [("27.05",)] * 2
    assert found.report.notes == ()
    found = catalogue(
        tmp_path, f"path,{column}\n" + "".join(f"{i}.png,{c}\n" for i, c in enumerate(cells))
    )
    assert found.report.with_codes == 0


def test_a_column_that_a_user_names_is_read(tmp_path: Path) -> None:
    table = "filename,code_list,brand\n0.png,26.1.3,A\n1.png,27.5,B\n"
    found = rows(table, columns="path=filename, vienna=code_list,title=Brand")
    assert [(row["path"], row["vienna"], row["title"]) for row in found] == [
        ("0.png", "26.1.3", "A"),
        ("1.png", "27.5", "B"),
    ]
    line = '{"path": "other.png", "filename": "0.png", "a": ["26.1"], "b": "27.5"}\n'
    (row,) = rows(line, "t.jsonl", "path=filename,vienna=a,vienna=b")
    assert row == {"path": "0.png", "vienna": [["26.1"], "27.5"]}
    listed = '[{"image": "0.png", "file": "x", "codes": ["26.1"]}]'
    (row,) = rows(listed, "labels.json", "path=image,vienna=codes")
    assert row == {"path": "0.png", "file": "x", "vienna": ["26.1"]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            "path=filname",
            r"no column 'filname' \(did you mean 'filename'\?\); it has filename, codes",
        ),
        ("path=filename,vienna=code", r"no column 'code' \(did you mean 'codes'\?\)"),
        ("", r"no column 'path' \(did you mean 'filename'\?\).*--columns path=filename"),
    ],
)
def test_a_column_that_is_missing_is_told_with_the_nearest(columns: str, message: str) -> None:
    for empty in ("", "\n"):
        with pytest.raises(CatalogueError, match=message):
            rows(f"{empty}filename,codes\na.png,26.1\n", columns=columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("filename", "it takes MEANING=NAME"),
        ("path=", "it takes MEANING=NAME"),
        ("vienn=codes", r"knows no 'vienn' \(did you mean 'vienna'\?\)"),
        ("path=a,path=b", "names two columns for path"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(columns: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_columns(columns)


def test_text_written_from_a_column_of_doubles_is_doubted() -> None:
    texts = ["26.1", "26.01", "27.05", "3.07", "26", "5.0"]
    table = "path,vienna\n" + "".join(f"{i}.png,{text}\n" for i, text in enumerate(texts))
    assert [row["vienna"] for row in rows(table)] == [26.1, 26.01, 27.05, 3.07, 26.0, 5.0]
    for sure in ("26.10", "26.1.3", "26.1;27.5"):  # no column of doubles holds these
        assert rows(f"{table}9.png,{sure}\n")[0]["vienna"] == "26.1"


def test_codes_as_numbers_are_told_with_the_reason(tmp_path: Path) -> None:
    images(tmp_path, "0.png", "1.png", "2.png")
    lines = ['{"path": "0.png", "vienna": 26.10}', '{"path": "1.png", "vienna": [26, 1, 3]}']
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    with pytest.raises(
        CatalogueError, match=r"number 26\.1'; they.*26\.10 and 26\.1 are one number"
    ):
        read_catalogue(tmp_path)
    lines.append('{"path": "2.png", "vienna": 260103}')
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    found = read_catalogue(tmp_path)
    assert [mark.vienna for mark in found.marks] == [(), (), ("26.01.03",)]
    told = "\n".join(found.report.lines())
    assert (
        "2 codes that are numbers and may have lost digits: number 26.1, numbers 26, 1, 3" in told
    )


def test_a_cell_too_long_for_a_label_is_left_out_and_told(tmp_path: Path) -> None:
    found = catalogue(tmp_path, f"path,title,thumbnail\n0.png,a,{'x' * 20_000}\n1.png,b,short\n", 2)
    assert [mark.extra for mark in found.marks] == [{}, {"thumbnail": "short"}]
    assert found.report.notes == (
        "1 cell above 16,384 characters left out of the column 'thumbnail'",
    )


_WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), max_size=12
).map(str.strip)


@example([("a", '"', "")], ",", "utf-16", "\r\n", 0)
@given(
    st.lists(st.tuples(_WORDS, _WORDS, _WORDS), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(0, 5),
)
def test_what_a_csv_was_written_with_is_what_is_read(
    cells: list[tuple[str, str, str]], separator: str, encoding: str, ending: str, order: int
) -> None:
    import csv
    import itertools

    names = list(itertools.permutations(["path", "title", "owner"]))[order]
    text = io.StringIO()
    table = csv.writer(text, delimiter=separator, lineterminator=ending, quoting=csv.QUOTE_ALL)
    table.writerow(names)
    written = [dict(zip(names, (f"p{row[0]}", *row[1:]), strict=True)) for row in cells]
    table.writerows(list(row.values()) for row in written)
    found = rows(text.getvalue().encode(encoding))
    assert found == written
