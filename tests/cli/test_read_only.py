"""Runs of others, or on a disk that is read-only: told on stdout or in a file elsewhere, and never in vain."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.histories import step
from tests.helpers.in_process import tmssl_in_process
from tmssl.config import Config, write_config
from tmssl.errors import InputError
from tmssl.runs.folder import create_run
from tmssl.runs.journal import JournalWriter


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run of a few steps that cannot be written, as the system says, also to root; nothing was in the end."""
    run = create_run(tmp_path / "runs", "r")
    write_config(Config(), run.config)
    journal = JournalWriter(run.journal)
    for number in range(1, 4):
        journal.write(step(number))
    journal.close()
    asked = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: (
            asked(path, mode) and not (mode == os.W_OK and Path(path).is_relative_to(run.path))
        ),
    )
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    yield run.path
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_it_is_looked_at_as_any_other(locked: Path) -> None:
    for words in (
        ["watch", str(locked), "--once"],
        ["tail", str(locked)],
        ["runs", "--runs", str(locked.parent)],
    ):
        told, said = tmssl_in_process(*words)
        assert told
        assert "read-only" not in said
    with pytest.raises(InputError, match="nothing to stop"):
        tmssl_in_process("stop", str(locked))


@pytest.mark.parametrize("form", [[], ["--html"]])
def test_its_report_goes_to_stdout_or_to_a_file_that_is_given(
    locked: Path, tmp_path: Path, form: list[str]
) -> None:
    told, said = tmssl_in_process("report", str(locked), *form)
    assert "Next Steps" in told
    assert said.endswith("is read-only, so nothing is kept there\n")
    _, said = tmssl_in_process("report", str(locked), *form, "--out", str(tmp_path / "report"))
    assert "is read-only" not in said
    assert "Next Steps" in (tmp_path / "report").read_text()


@pytest.mark.parametrize("what", ["--journal csv", "--embeddings npy", "--to safetensors"])
def test_an_export_without_a_place_is_refused_before_the_work(locked: Path, what: str) -> None:
    with pytest.raises(InputError, match="is read-only; give --out, a path elsewhere"):
        tmssl_in_process("export", str(locked), *what.split())


def test_its_journal_is_exported_elsewhere(locked: Path, tmp_path: Path) -> None:
    target = tmp_path / "journal.csv"
    tmssl_in_process("export", str(locked), "--journal", "csv", "--out", str(target))
    assert target.read_text().count("\n") == 4
