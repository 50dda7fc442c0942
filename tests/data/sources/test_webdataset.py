"""Tars of samples are read in place, with the labels that stand beside each image."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.l3d import images
from tests.helpers.shards import picture, tar
from tmssl.data.pack.builder import build_pack
from tmssl.data.sources.catalogue import Catalogue, read_catalogue
from tmssl.data.sources.location import read_bytes
from tmssl.errors import CatalogueError


def sample(number: int, **labels: object) -> dict[str, bytes]:
    """The members of one sample."""
    labels = labels or {"vienna": ["26.01.03"], "title": f"mark {number}"}
    return {
        f"{number:03d}.png": picture(number),
        f"{number:03d}.json": json.dumps(labels).encode(),
    }


def samples(numbers: range) -> dict[str, bytes]:
    return {name: data for number in numbers for name, data in sample(number).items()}


def told(catalogue: Catalogue) -> str:
    return "\n".join(catalogue.report.lines())


def shards(folder: Path, count: int = 3) -> Path:
    for i in range(count):
        tar(folder / f"{i:03d}.tar", samples(range(4 * i, 4 * i + 4)))
    return folder


def test_a_folder_of_tars_is_a_set_of_shards(tmp_path: Path) -> None:
    catalogue = read_catalogue(shards(tmp_path / "s"))
    assert [mark.path for mark in catalogue.marks][3:5] == ["000.tar/003.png", "001.tar/004.png"]
    assert [mark.title for mark in catalogue.marks] == [f"mark {i}" for i in range(12)]
    assert catalogue.report.joined == catalogue.report.with_codes == 12
    assert "read as 3 shards of WebDataset, since .json files share a key with the images" in told(
        catalogue
    )
    assert [read_bytes(catalogue.location(mark)) for mark in catalogue.marks] == [
        picture(i) for i in range(12)
    ]


@pytest.mark.parametrize("pattern", ["{000..002}.tar", "*.tar", "00[0-2].tar", "{000,001,002}.tar"])
def test_patterns_name_the_same_shards_as_their_folder(tmp_path: Path, pattern: str) -> None:
    folder = shards(tmp_path / "s")
    expected = read_catalogue(folder)
    found = read_catalogue(folder / pattern)
    assert found.marks == expected.marks
    assert found.fingerprint == expected.fingerprint


def test_a_pattern_that_names_a_missing_shard_is_told(tmp_path: Path) -> None:
    folder = shards(tmp_path / "s")
    with pytest.raises(CatalogueError, match=r"1 file of .* is missing, such as .*003\.tar"):
        read_catalogue(folder / "{000..003}.tar")
    with pytest.raises(CatalogueError, match="missing"):
        read_catalogue(folder / "*.tgz")


@pytest.mark.parametrize(
    "order",
    [
        ["a.png", "a.json", "a.cls", "a.txt"],
        ["a.txt", "a.cls", "a.json", "a.png"],
        ["a.json", "a.png", "a.txt", "a.cls"],
    ],
    ids=str,
)
@pytest.mark.parametrize("folder", ["", "x/y/"])
def test_sidecars_count_in_any_order_and_folder(
    tmp_path: Path, order: list[str], folder: str
) -> None:
    members = {
        "a.png": picture(1),
        "a.json": b'{"vienna": "26.01", "title": "FOO", "office": "EM"}',
        "a.cls": b"7\n",
        "a.txt": b"a caption",
    }
    path = tar(tmp_path / "a.tar", [(folder + name, members[name]) for name in order])
    (mark,) = read_catalogue(path).marks
    assert mark.path == f"{folder}a.png"
    assert (mark.vienna, mark.title) == (("26.01",), "FOO")
    assert mark.extra == {"office": "EM", "cls": "7"}


def test_text_that_is_codes_is_read_as_codes_and_other_text_is_the_title(tmp_path: Path) -> None:
    members = {
        "a.png": picture(1),
        "a.txt": b"26.01.03; 27.05",
        "b.png": picture(2),
        "b.cls": b"03.01",
        "c.png": picture(3),
        "c.txt": b"2019",
        "d.png": picture(4),
        "d.txt": b"\xef\xbb\xbfcaf\xc3\xa9",
    }
    first, second, third, fourth = read_catalogue(tar(tmp_path / "a.tar", members)).marks
    assert (first.vienna, second.vienna) == (("26.01.03", "27.05"), ("03.01",))
    assert (third.vienna, third.title) == ((), "2019")
    assert fourth.title == "caf\u00e9"


def test_samples_that_lack_a_part_are_counted(tmp_path: Path) -> None:
    members = samples(range(4))
    del members["001.json"], members["002.png"]
    members["003.json"] = b"{broken"
    report = read_catalogue(tar(tmp_path / "s" / "a.tar", members)).report
    assert (report.images, report.labels, report.joined) == (3, 2, 1)
    assert report.labels_without_image == ("002",)
    assert report.images_without_label == ("001.png", "003.png")
    assert [path for path, _ in report.unread_labels] == ["003.json"]


def test_a_key_of_two_shards_is_two_marks(tmp_path: Path) -> None:
    for i, code in enumerate(["26.01", "27.05"]):
        members = {"a.png": picture(i), "a.json": json.dumps({"vienna": code}).encode()}
        tar(tmp_path / f"{i}.tar", members)
    marks = read_catalogue(tmp_path).marks
    assert [(mark.path, mark.vienna) for mark in marks] == [
        ("0.tar/a.png", ("26.01",)),
        ("1.tar/a.png", ("27.05",)),
    ]


def test_a_key_ends_at_the_first_dot_only_where_one_image_has_it(tmp_path: Path) -> None:
    members = {
        "a.front.png": picture(1),
        "a.json": b'{"vienna": "26.01"}',
        "b.image.png": picture(2),
        "b.mask.png": picture(3),
        "b.json": b'{"vienna": "27.05"}',
        "018.123.png": picture(4),
        "018.123.json": b'{"vienna": "03.01"}',
        "018.456.png": picture(5),
    }
    catalogue = read_catalogue(tar(tmp_path / "a.tar", members))
    assert {mark.path: mark.vienna for mark in catalogue.marks} == {
        "018.123.png": ("03.01",),
        "018.456.png": (),
        "a.front.png": ("26.01",),
        "b.image.png": (),
        "b.mask.png": (),
    }
    assert catalogue.report.labels_without_image == ("b",)


def test_notes_in_an_archive_of_images_are_no_labels(tmp_path: Path) -> None:
    members = {"a.png": picture(1), "README.txt": b"hello", "dataset_info.json": b"{}"}
    catalogue = read_catalogue(tar(tmp_path / "a.tar", members))
    assert (catalogue.report.labels, catalogue.report.notes) == (0, ())


def test_a_table_beside_or_in_the_shards_labels_them(tmp_path: Path) -> None:
    tar(
        tmp_path / "a" / "0.tar", {"x.png": picture(1), "labels.csv": b"path,vienna\nx.png,26.01\n"}
    )
    tar(tmp_path / "a" / "1.tar", {"x.png": picture(2)})
    assert [mark.vienna for mark in read_catalogue(tmp_path / "a").marks] == [("26.01",), ()]
    tar(tmp_path / "b" / "0.tar", {"y.png": picture(1)})
    tar(tmp_path / "b" / "1.tar", {"z.png": picture(2)})
    (tmp_path / "b" / "labels.csv").write_text("path,vienna\nz.png,26.01\n0.tar/y.png,27.05\n")
    assert [mark.vienna for mark in read_catalogue(tmp_path / "b").marks] == [
        ("27.05",),
        ("26.01",),
    ]


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".tar.xz"])
def test_compressed_shards_say_what_to_do(tmp_path: Path, suffix: str) -> None:
    mode = "w:xz" if suffix.endswith("xz") else "w:gz"
    tar(tmp_path / f"0{suffix}", samples(range(2)), mode)
    with pytest.raises(CatalogueError, match=r"compressed as a whole.*unpack it to a \.tar"):
        read_catalogue(tmp_path)
    with pytest.raises(CatalogueError, match="compressed as a whole"):
        read_catalogue(tmp_path / f"*{suffix}")


def test_archives_beside_images_are_told_and_not_read(tmp_path: Path) -> None:
    images(tmp_path, "1.png")
    tar(tmp_path / "backup.tar", samples(range(2)))
    catalogue = read_catalogue(tmp_path)
    assert catalogue.report.images == 1
    assert "1 archive or Parquet file beside them, such as backup.tar, is not read" in told(
        catalogue
    )


def test_the_fingerprint_and_the_pack_follow_the_contents_of_shards(tmp_path: Path) -> None:
    first = read_catalogue(shards(tmp_path / "a"))
    assert read_catalogue(shards(tmp_path / "b")).fingerprint == first.fingerprint
    pack = build_pack(first, tmp_path / "p", 32, workers=1)
    path = tmp_path / "b" / "001.tar"
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 8] ^= 1
    path.write_bytes(data)
    changed = read_catalogue(tmp_path / "b")
    assert changed.marks == first.marks
    assert changed.fingerprint != first.fingerprint
    assert np.array_equal(pack.read([0]), build_pack(first, tmp_path / "p", 32).read([0]))


def test_an_interrupted_build_of_shards_goes_on(tmp_path: Path) -> None:
    for i in range(2):
        tar(tmp_path / "s" / f"{i}.tar", samples(range(100)))
    catalogue = read_catalogue(tmp_path / "s")
    asked = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        build_pack(catalogue, tmp_path / "p", 32, workers=1, stop=lambda: next(asked))
    counts: list[int] = []
    build_pack(
        catalogue, tmp_path / "p", 32, workers=1, progress=lambda done, _: counts.append(done)
    )
    assert (counts[0], counts[-1]) == (128, 200)
