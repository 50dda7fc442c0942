"""`tmssl add` and `tmssl remove`: what they print, and what they refuse in one line."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.in_process import tmssl_in_process
from tests.helpers.marks import draw_marks
from tests.helpers.tiny_run import tiny_run
from tmssl.data.pack.searched import gallery_lock, searched_pack, trained_pack
from tmssl.errors import CatalogueError, CheckpointError, InputError, RunError
from tmssl.runs.folder import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_run(tmp_path_factory.mktemp("add"), 24)


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    shutil.copytree(trained.path, tmp_path / "r")
    return Run(tmp_path / "r")


def changed(run: Run, *words: str) -> tuple[dict[str, object], str]:
    """The facts that a command tells as JSON, and its words."""
    told, words_said = tmssl_in_process(*words, "--run", str(run.path), "--json")
    facts: dict[str, object] = json.loads(told)
    return facts, words_said


def test_marks_are_added_found_and_removed(run: Run, tmp_path: Path) -> None:
    more = draw_marks(tmp_path / "more", 6, first=24)
    (more / "images" / "bad.png").write_bytes(b"no image")
    told, words = changed(run, "add", str(more))
    assert (told["marks"], told["added"], told["unreadable"], told["changes"]) == (30, 6, 1, 1)
    assert "1 image left out, such as ../" in words
    logo = tmp_path / "logo.png"
    shutil.copy(more / "images" / "0027.png", logo)
    found = json.loads(
        tmssl_in_process("search", str(logo), "-k", "1", "--json", "--run", str(run.path))[0]
    )
    assert (found["marks"], found["pack_fingerprint"]) == (30, told["fingerprint"])
    assert found["answers"][0]["matches"][0]["id"] == "m27"
    own = tmssl_in_process("search", str(more / "images/0027.png"), "--run", str(run.path))[0]
    assert "the logo itself" in own
    told, words = changed(run, "add", str(more))
    assert (told["marks"], told["added"], told["unreadable"], told["changes"]) == (30, 0, 1, 1)
    assert "6 marks there already" in words
    assert "nothing has changed" in words
    before = told["fingerprint"]
    told, _ = changed(run, "remove", "m27", "--where", "group=g13")
    assert (told["marks"], told["removed"], told["parent"], told["changes"]) == (29, 1, before, 2)
    told, _ = changed(run, "remove", "--vienna", "26.1", "--where", "split=train")
    assert told["removed"] == 10
    told, words = changed(run, "remove", "m27")
    assert (told["removed"], words) == (0, "nothing has changed\n")
    plain = tmssl_in_process("remove", "m26", "--run", str(run.path))[0]
    assert "removed      1\n" in plain
    assert trained_pack(run) != searched_pack(run)


def test_a_mark_that_is_there_keeps_its_labels(run: Run, trained: Run, tmp_path: Path) -> None:
    shutil.copytree(trained.path.parents[1] / "marks", tmp_path / "copy" / "marks")
    source = trained.path.parents[1] / "marks"
    table = (source / "labels.csv").read_text()
    try:
        (source / "labels.csv").write_text(table.replace("mark 3", "another name"))
        told, words = changed(run, "add", str(source))
    finally:
        (source / "labels.csv").write_text(table)
    assert told["added"] == 0
    assert (
        "1 mark of these with other labels, which are not taken, such as images/0003.png" in words
    )
    told, words = changed(run, "add", str(tmp_path / "copy" / "marks"))
    assert told["added"] == 0
    assert "24 images left out, as a mark with the same id is there, such as ../" in words


def test_what_cannot_be_done_is_refused_before_anything_changes(run: Run, tmp_path: Path) -> None:
    at = ("--run", str(run.path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CatalogueError, match="no images in"):
        tmssl_in_process("add", str(tmp_path / "empty"), *at)
    with pytest.raises(CatalogueError, match="nothing at"):
        tmssl_in_process("add", str(tmp_path / "none"), *at)
    with pytest.raises(InputError, match="nothing says what to remove"):
        tmssl_in_process("remove", *at)
    with pytest.raises(InputError, match="1 name is of no mark, such as 'm99'"):
        tmssl_in_process("remove", "m1", "m99", *at)
    with pytest.raises(InputError, match="removes all of 24 marks"):
        tmssl_in_process("remove", "--where", "path~images", *at)
    with pytest.raises(InputError, match="no column 'yeer'"):
        tmssl_in_process("remove", "--where", "yeer=3", *at)
    with pytest.raises(CheckpointError):
        tmssl_in_process("remove", "m1", "--checkpoint", "epoch-0099", *at)
    with pytest.raises(RunError):
        tmssl_in_process("remove", "m1", "--run", str(tmp_path / "no-run"))
    with gallery_lock(run), pytest.raises(InputError, match="another command changes"):
        tmssl_in_process("remove", "m1", *at)
    assert searched_pack(run) == trained_pack(run)


def test_a_link_in_the_place_of_the_gallery_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (run.path / "gallery").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        tmssl_in_process("remove", "m1", "--run", str(run.path))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_images_of_any_size_join_at_the_size_of_the_pack(run: Run, tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    Image.new("RGB", (900, 30), (0, 90, 200)).save(tmp_path / "large" / "1.png")
    told, _ = changed(run, "add", str(tmp_path / "large"))
    assert (told["marks"], told["added"]) == (25, 1)
