"""`tmssl train --branch` as a person gives it: found by name, killed on its way, and refused in one line."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.helpers.command import TINY, environment, error_line, start, tmssl
from tests.helpers.marks import draw_marks
from tests.helpers.waiting import DEADLINE_S
from tmssl.runs.folder import Run, list_runs
from tmssl.runs.history import History, read_history, state
from tmssl.runs.journal import read_journal

WSD = [*TINY, "--schedule", "wsd", "--decay-epochs", "1", "--set", "keep_every=1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `long` of four epochs."""
    folder = tmp_path_factory.mktemp("long")
    marks = draw_marks(folder / "marks", 40, validation=8)
    tmssl(folder, "train", "--data", str(marks), "--epochs", "4", "--name", "long", *WSD)
    return folder


def history(folder: Path, name: str) -> History:
    return read_history(read_journal(folder / "runs" / name / "metrics.jsonl"))


@pytest.mark.slow
def test_a_branch_of_a_read_only_run_is_trained_and_listed(runs: Path) -> None:
    source = runs / "runs" / "long"
    for path in (source, source / "checkpoints"):
        path.chmod(0o555)
    done = tmssl(runs, "train", "--branch", "long", "--epochs", "3", "--name", "short")
    for path in (source, source / "checkpoints"):
        path.chmod(0o755)
    assert "branching off" in done.stderr
    assert "(checkpoint epoch-0002), to epoch 3" in done.stderr
    assert "jump x1.00" in done.stderr
    short = history(runs, "short")
    assert state(short, alive=False) == "finished"
    assert (runs / "runs" / "latest").resolve().name == "short"
    listed = tmssl(runs, "runs").stdout
    assert "branched from long at epoch 2" in listed


@pytest.mark.slow
def test_a_dry_run_of_a_branch_tells_where_it_begins_and_what_is_left(runs: Path) -> None:
    whole = tmssl(runs, "train", "--branch", "long", "--epochs", "3", "--dry-run", "--json")
    assert "branching off" in whole.stderr
    told = json.loads(whole.stdout)
    assert told["hours"] == pytest.approx(told["hours_per_epoch"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--branch", "nothing"], "there is no run at"),
        (["--from", "best"], "add --branch RUN"),
        (["--branch", "long", "--resume"], "--preview-views do not go with it"),
        (["--branch", "long", "--from", "epoch-0099"], "no kept checkpoint has that name or step"),
        (["--branch", "long", "--name", "long"], "exists already"),
        (["--branch", "long", "--epochs", "0"], "epochs"),
    ],
)
def test_a_wrong_branch_is_one_line(runs: Path, words: list[str], said: str) -> None:
    names = [run.name for run in list_runs(runs / "runs")]
    assert said in error_line(tmssl(runs, "train", *words, code=2))
    assert [run.name for run in list_runs(runs / "runs")] == names


@pytest.mark.slow
def test_a_branch_that_is_killed_anywhere_is_finished_by_the_same_command(
    runs: Path, tmp_path: Path
) -> None:
    """The command kills itself at each call that makes, links or renames a file, one later every time."""
    shutil.copytree(runs / "runs" / "long", tmp_path / "runs" / "long")
    command = ["train", "--branch", "long", "--epochs", "3", "--name", "short", "--detach"]
    killer = tmp_path / "sitecustomize.py"
    killer.write_text(
        "import os, signal, sys\n"
        "left = int(os.environ.get('KILLED_AT', '0'))\n"
        "def look(event, words):\n"
        "    global left\n"
        "    kinds = 'os.mkdir', 'os.link', 'os.rename', 'subprocess.Popen'\n"
        "    if event in kinds and 'short' in str(words):\n"
        "        left -= 1\n"
        "        if left == 0:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "if left:\n"
        "    sys.addaudithook(look)\n"
    )
    paths = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    run = Run(tmp_path / "runs" / "short")
    for at in range(1, 100):
        with start(tmp_path, *command, env=environment(PYTHONPATH=paths, KILLED_AT=str(at))) as one:
            one.communicate(timeout=DEADLINE_S)
        if one.returncode != -9:  # 2 where the trainer had begun already
            break
        if run.path.exists():
            assert run.config.is_file()
            assert run.journal.is_file()
    assert at > 5
    tmssl(tmp_path, "train", "--resume-if-any", "--name", "short")
    assert history(tmp_path, "short").epoch == 3
    assert not [path for path in run.path.parent.iterdir() if path.name.startswith(".")]
