"""Several sources are one: folders, archives, tables and shards, given one by one or by a pattern."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.in_process import tmssl_in_process
from tests.helpers.l3d import images
from tests.helpers.marks import draw_marks
from tests.helpers.shards import parquet, picture, structs, tar
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.info import labels_changed
from tmssl.data.sources.catalogue import Catalogue, read_catalogue
from tmssl.data.sources.location import read_bytes
from tmssl.data.sources.specification import (
    SEPARATOR,
    expand,
    join_sources,
    resolve_sources,
    source_name,
    sources_exist,
    split_sources,
)
from tmssl.errors import CatalogueError


def together(*sources: Path) -> Catalogue:
    return read_catalogue(join_sources(sources))


def test_sources_of_any_form_are_one(tmp_path: Path) -> None:
    first = draw_marks(tmp_path / "office", 4, validation=1)
    second = parquet(tmp_path / "hub" / "a.parquet", {"image": structs(range(3))})
    third = tar(tmp_path / "wds.tar", {"x.png": picture(7), "x.json": b'{"vienna": "26.01"}'})
    catalogue = together(first, second, third)
    assert [mark.path for mark in catalogue.marks][3:] == [
        "office/images/0003.png",
        *(f"hub/a.parquet/{i:06d}/{i:03d}.png" for i in range(3)),
        "wds.tar/x.png",
    ]
    report = catalogue.report
    assert (report.images, report.labels, report.joined, report.validation) == (8, 8, 8, 1)
    assert "read as 3 sources in one; paths begin with office/, hub/, wds.tar/" in report.notes
    pack = build_pack(catalogue, tmp_path / "p", 32)
    alone = build_pack(read_catalogue(first), tmp_path / "q", 32)
    assert np.array_equal(pack.read(range(4)), alone.read(range(4)))
    assert read_bytes(catalogue.location(catalogue.marks[7])) == picture(7)


def test_two_tables_of_one_folder_are_one_source(tmp_path: Path) -> None:
    images(tmp_path / "m", "img/0.png", "img/1.png", "img/2.png")
    (tmp_path / "m" / "train.csv").write_text("path,vienna\nimg/0.png,26.01\nimg/1.png,27.05\n")
    (tmp_path / "m" / "val.csv").write_text("path,split\nimg/2.png,val\nimg/1.png,val\n")
    catalogue = together(tmp_path / "m" / "train.csv", tmp_path / "m" / "val.csv")
    assert [(mark.path, mark.split) for mark in catalogue.marks] == [
        ("m/img/0.png", ""),
        ("m/img/1.png", ""),
        ("m/img/2.png", "validation"),
    ]
    assert "1 image of two of them, such as m/img/1.png, once" in catalogue.report.notes[0]
    assert build_pack(catalogue, tmp_path / "p", 32).count == 3


def test_a_folder_inside_another_counts_once(tmp_path: Path) -> None:
    images(tmp_path / "m", "a/0.png", "b/1.png")
    catalogue = together(tmp_path / "m", tmp_path / "m" / "a")
    assert [mark.path for mark in catalogue.marks] == ["m/a/0.png", "m/b/1.png"]


def test_the_fingerprint_follows_each_of_them(tmp_path: Path) -> None:
    first, second = (draw_marks(tmp_path / name, 3) for name in "ab")
    before = together(first, second).fingerprint
    assert together(first, second).fingerprint == before
    (second / "images" / "0000.png").write_bytes(picture(1))
    assert together(first, second).fingerprint != before


def test_labels_that_changed_in_one_of_them_are_told(tmp_path: Path) -> None:
    import os

    sources = join_sources([draw_marks(tmp_path / name, 3) for name in "ab"])
    pack = build_pack(read_catalogue(sources), tmp_path / "pack", 32).folder
    assert not labels_changed(sources, pack)
    later = pack.stat().st_mtime + 1000
    os.utime(tmp_path / "b" / "labels.csv", (later, later))
    assert labels_changed(sources, pack)


def test_one_that_is_missing_is_named(tmp_path: Path) -> None:
    images(tmp_path / "a", "0.png")
    with pytest.raises(CatalogueError, match=r"there is nothing at .*/b;"):
        together(tmp_path / "a", tmp_path / "b")


def test_commands_take_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMSSL_CACHE", str(tmp_path / "cache"))
    for name in "ab":
        draw_marks(tmp_path / name, 3)
    out, _ = tmssl_in_process("data", "a", "b", "--sample", "0", "--json")
    assert json.loads(out)["join"]["images"] == 6
    out, _ = tmssl_in_process("pack", "a", "b", "--image-size", "32", "--json")
    assert json.loads(out)["images"] == 6
    again, told = tmssl_in_process("pack", f"a{SEPARATOR}b", "--image-size", "32", "--json")
    assert json.loads(again)["folder"] == json.loads(out)["folder"]
    assert "already packed" in told


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{08..11}.tar", ["08.tar", "09.tar", "10.tar", "11.tar"]),
        ("{9..11}.tar", ["10.tar", "11.tar", "9.tar"]),
        ("{08,11}.tar", ["08.tar", "11.tar"]),
        ("{0,1}{8,1}.tar", ["08.tar", "11.tar"]),
        ("0*.tar", ["08.tar", "09.tar"]),
        ("{a}.tar", ["{a}.tar"]),
    ],
)
def test_patterns_name_files_as_a_shell_does(
    tmp_path: Path, pattern: str, expected: list[str]
) -> None:
    for name in ("08", "09", "9", "10", "11", "{a}"):
        (tmp_path / f"{name}.tar").touch()
    if pattern == "{0,1}{8,1}.tar":
        (tmp_path / "01.tar").touch()
        (tmp_path / "18.tar").touch()
        expected = ["01.tar", "08.tar", "11.tar", "18.tar"]
    assert [path.name for path in expand(tmp_path / pattern)] == expected
    assert sources_exist(tmp_path / pattern)
    assert not sources_exist(tmp_path / "none" / pattern)


def test_a_pattern_of_a_hundred_thousand_files_and_more_is_refused() -> None:
    with pytest.raises(CatalogueError, match="stands for more than 100,000 files"):
        expand(Path("{000..999}{000..999}.tar"))


def test_a_name_with_the_separator_is_one_source(tmp_path: Path) -> None:
    folder = images(tmp_path / "a::b", "0.png")
    assert split_sources(folder) == [folder]
    assert read_catalogue(folder).report.images == 1


@given(st.lists(st.text("abc{},*. ", min_size=1, max_size=6).filter(str.strip), max_size=4))
def test_any_list_of_names_is_split_as_it_was_joined(names: list[str]) -> None:
    sources = [Path("/nowhere") / name for name in names if name not in (".", "..")]
    joined = resolve_sources(SEPARATOR.join(map(str, sources)))
    if sources:
        assert split_sources(joined) == [source.resolve() for source in sources]
        assert source_name(joined)
