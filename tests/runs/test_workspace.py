"""Runs that cannot be written: worked on in a copy that is not kept, and left as they are."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.read_only_disk import read_only
from tmssl.errors import RunError
from tmssl.files import write_atomic
from tmssl.runs import workspace as module
from tmssl.runs.events import Segment, Step
from tmssl.runs.folder import Run, create_run
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.workspace import workspace


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    run = create_run(tmp_path / "runs", "r")
    run.config.write_text("")
    journal = JournalWriter(run.journal)
    journal.write(Segment())
    journal.close()
    (run.checkpoints / "last.pt").write_bytes(b"weights")
    (run.index / "a.faiss").write_bytes(b"index")
    (run.eval / "epoch-0001.json").write_text("{}")
    return run


@pytest.fixture
def locked(made: Run) -> Iterator[Run]:
    """The same on a disk that is mounted read-only."""
    with read_only(made.path.parent) as folder:
        yield Run(folder / "r")


def content(run: Run) -> dict[str, bytes]:
    return {
        str(path.relative_to(run.path)): path.read_bytes()
        for path in run.path.rglob("*")
        if path.is_file()
    }


def test_a_run_that_can_be_written_keeps_what_is_made_of_it(made: Run, tmp_path: Path) -> None:
    told: list[str] = []
    with workspace(made, told.append) as run:
        write_atomic(run.eval / "epoch-0002.json", b"{}")
    assert (made.eval / "epoch-0002.json").exists()
    assert told == []
    assert not list((tmp_path / "scratch").iterdir())


def test_a_read_only_run_is_worked_on_in_a_copy_and_nothing_is_kept(
    locked: Run, tmp_path: Path
) -> None:
    before, told = content(locked), list[str]()
    with workspace(locked, told.append) as run:
        assert run.name == "r"
        assert (run.checkpoints / "last.pt").read_bytes() == b"weights"
        assert (run.index / "a.faiss").read_bytes() == b"index"
        write_atomic(run.eval / "epoch-0002.json", b"{}")
        journal = JournalWriter(run.journal)
        journal.write(Step(step=1))
        journal.close()
        assert len(read_journal(run.journal)) == 2
    assert content(locked) == before
    assert len(told) == 1
    assert told[0].endswith("is read-only, so nothing is kept there")
    assert not list((tmp_path / "scratch").iterdir())


def test_folders_that_are_missing_and_links_do_no_harm(locked: Run, made: Run) -> None:
    for path in (*made.eval.iterdir(), *made.index.iterdir()):
        path.unlink()
    made.eval.rmdir()
    (made.index / "out").symlink_to("/etc/hostname")
    with workspace(locked, lambda _: None) as run:
        assert run.eval.is_dir()
        assert not list(run.index.iterdir())


def test_a_large_index_is_built_again_instead_of_copied(
    locked: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST_COPY", 4)
    with workspace(locked, lambda _: None) as run:
        assert not list(run.index.iterdir())
        assert [path.name for path in run.eval.iterdir()] == ["epoch-0001.json"]


def test_a_copy_that_has_no_room_is_one_line(
    locked: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(_source: Path, _target: Path) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("shutil.copyfile", full)
    with (
        pytest.raises(RunError, match=r"is read-only and cannot be copied: No space left"),
        workspace(locked, lambda _: None),
    ):
        pass
    assert not list((tmp_path / "scratch").iterdir())
