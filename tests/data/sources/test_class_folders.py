"""Folders are labels only where a user asks for it: classes as groups, `train` and `val` as splits."""

from pathlib import Path

import pytest

from tests.helpers.l3d import images
from tmssl.data.sources.catalogue import Catalogue, read_catalogue
from tmssl.errors import CatalogueError, ConfigError


def labels(catalogue: Catalogue) -> dict[str, tuple[str, str]]:
    return {mark.path: (mark.group, mark.split) for mark in catalogue.marks}


def test_folders_say_nothing_unless_asked(tmp_path: Path) -> None:
    images(tmp_path, "train/nike/1.png", "val/puma/2.png")
    assert set(labels(read_catalogue(tmp_path)).values()) == {("", "")}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("group", [("nike", ""), ("nike", ""), ("puma", ""), ("", "")]),
        ("split", [("", "train"), ("", "validation"), ("", "validation"), ("", "train")]),
        (
            "split, group",
            [("nike", "train"), ("nike", "validation"), ("puma", "validation"), ("", "train")],
        ),
    ],
)
def test_class_folders_and_splits_are_read_on_request(
    tmp_path: Path, asked: str, expected: list[tuple[str, str]]
) -> None:
    names = ["train/nike/1.png", "val/nike/2.png", "Test/puma/3.png", "training/4.png"]
    images(tmp_path, *names)
    catalogue = read_catalogue(tmp_path, folders=asked)
    assert labels(catalogue) == dict(zip(names, expected, strict=True))
    assert catalogue.report.notes[-1].endswith("as --folders asks")
    assert catalogue.report.with_group == sum(bool(group) for group, _ in expected)
    assert catalogue.report.validation == sum(split == "validation" for _, split in expected)


def test_a_folder_that_holds_all_images_is_no_class(tmp_path: Path) -> None:
    images(tmp_path, "images/a/1.png", "images/a/2.png", "images/b/c/3.png", "images/4.png")
    found = labels(read_catalogue(tmp_path, folders="group"))
    assert [group for group, _ in found.values()] == ["", "a", "a", "b/c"]


def test_a_label_comes_before_a_folder(tmp_path: Path) -> None:
    images(tmp_path, "a/1.png", "a/2.png", "val/3.png")
    (tmp_path / "labels.csv").write_text("path,group,split\na/1.png,mine,\nval/3.png,,train\n")
    found = labels(read_catalogue(tmp_path, folders="group,split"))
    assert found == {"a/1.png": ("mine", ""), "a/2.png": ("a", ""), "val/3.png": ("", "train")}


@pytest.mark.parametrize("asked", ["group", "split", "group,split"])
def test_folders_that_say_nothing_are_an_error(tmp_path: Path, asked: str) -> None:
    images(tmp_path, "images/1.png", "images/2.png")
    with pytest.raises(CatalogueError, match="found nothing: group takes a folder for each class"):
        read_catalogue(tmp_path, folders=asked)


def test_another_word_is_refused(tmp_path: Path) -> None:
    images(tmp_path, "images/1.png")
    with pytest.raises(ConfigError, match="--folders got 'class'; it takes group"):
        read_catalogue(tmp_path, folders="class")


def test_a_table_and_an_archive_have_folders_too(tmp_path: Path) -> None:
    import tarfile

    images(tmp_path / "m", "a/1.png", "b/2.png", "b/3.png")
    (tmp_path / "m" / "t.csv").write_text("path\na/1.png\nb/2.png\n")
    found = read_catalogue(tmp_path / "m" / "t.csv", folders="group")
    assert labels(found) == {"a/1.png": ("a", ""), "b/2.png": ("b", "")}
    with tarfile.open(tmp_path / "m.tar", "w") as archive:
        archive.add(tmp_path / "m", ".")
    found = read_catalogue(tmp_path / "m.tar", folders="group")
    assert [group for group, _ in labels(found).values()] == ["a", "b", "b"]
