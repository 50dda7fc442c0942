"""Importing, tailing, completing and asking for the version, as a person would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from tmssl.errors import InputError, RunError
from tmssl.runs.folder import list_runs

LOG = "".join(f"Epoch {i} complete. Avg Loss: {7 + i / 100:.4f}\n" for i in range(1, 7))


def invoke(*words: str) -> tuple[int, str, BaseException | None]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.exception


def test_an_imported_log_is_a_run_that_every_command_reads(tmp_path: Path) -> None:
    log, runs = tmp_path / "old.log", ("--runs", str(tmp_path / "runs"))
    log.write_text(LOG)
    code, told, _ = invoke("import", str(log), "--keys", "1024", "--hit-chance", "10:0.75", *runs)
    assert code == 0
    assert told.strip().endswith("runs/old")
    assert [run.name for run in list_runs(tmp_path / "runs")] == ["old"]
    code, told, _ = invoke("tail", "old", "--lines", "2", *runs)
    assert code == 0
    assert len(told.splitlines()) == 2
    assert invoke("watch", "old", "--once", *runs)[0] == 0
    assert "is chance" in invoke("tail", "old", "--lines", "20", *runs)[1]
    assert isinstance(invoke("import", str(log), *runs)[2], RunError)  # the name is taken


@pytest.mark.parametrize(
    "words",
    [
        ["gone.log"],
        ["old.log", "--hit-chance", "ten"],
        ["old.log", "--name", "../up"],
        ["empty.log"],
    ],
)
def test_bad_input_leaves_no_run_behind(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "old.log").write_text(LOG)
    (tmp_path / "empty.log").write_text("")
    log, *rest = words
    code, _, error = invoke("import", str(tmp_path / log), *rest, "--runs", str(tmp_path / "runs"))
    assert code == 1
    assert isinstance(error, InputError)
    assert list_runs(tmp_path / "runs") == []


def test_a_shell_completes_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli"],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "_TMSSL_COMPLETE": "complete_bash",
            "COMP_WORDS": "tmssl rep",
            "COMP_CWORD": "1",
        },
    )
    assert done.stdout.split() == ["report"]
    assert "_TMSSL_COMPLETE" in invoke("completion", "bash")[1]


def test_the_version_is_the_packages() -> None:
    code, told, _ = invoke("--version")
    assert code == 0
    assert told.startswith("tmssl ")
