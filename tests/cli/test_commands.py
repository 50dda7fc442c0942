"""The command line as a person meets it: real child processes, real trainers."""

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.helpers.command import (
    TINY,
    environment,
    error_line,
    history,
    read_terminal,
    start,
    tmssl,
)
from tests.helpers.marks import draw_marks
from tests.helpers.waiting import DEADLINE_S, wait_for
from tmssl.config import read_config
from tmssl.runs.folder import create_run, holder, is_alive, open_run
from tmssl.runs.schedule import learning_rate


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with marks, and a finished and evaluated run in it."""
    folder = tmp_path_factory.mktemp("world")
    draw_marks(folder / "marks", 40, validation=8)
    os.environ["TMSSL_CACHE"] = str(folder / "cache")
    done = tmssl(folder, "train", "--data", "marks", "--epochs", "1", *TINY)
    assert "40 images" in done.stderr
    assert "finished" in done.stderr
    tmssl(folder, "eval", "--topk", "5")
    return folder


@pytest.fixture(autouse=True)
def _same_cache(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMSSL_CACHE", str(world / "cache"))


BAD = [
    (["train", "--data", "empty"], r"no images in .*empty"),
    (["train", "--data", "nowhere"], r"there is nothing at"),
    (["train"], r"give --data"),
    (["train", "--data", "nopath.csv"], r"has no column 'path'"),
    (["train", "--data", "badcodes.csv"], r"none of its 1 Vienna codes parses"),
    (
        [
            "train",
            "--data",
            "marks",
            "--model",
            "efficientnet_b00",
            "--image-size",
            "32",
            "--batch-size",
            "8",
        ],
        r"no model 'efficientnet_b00'",
    ),
    (
        [
            "train",
            "--data",
            "marks",
            "--model",
            "test_efficientnet",
            "--image-size",
            "32",
            "--batch-size",
            "8",
            "--init",
            "imagenet",
        ],
        r"cannot be fetched from huggingface.co",
    ),  # tests keep the hub offline
    (
        ["train", "--data", "marks", "--init", "nowhere.pt"],
        r"init is 'nowhere.pt', which does not exist",
    ),
    (["train", "--data", "marks", "--batch-size", "9", "--gpus", "2"], r"give a multiple of 2"),
    (["train", "--data", "marks", "--lr", "-1", "--image-size", "32"], r"bad setting"),
    (["train", "--data", "marks", "--recipe", "nope"], r"no recipe 'nope'"),
    (["train", "--resume", "--run", "runs/none"], r"there is no run at"),
    (["train", "--resume", "--run", "marks"], r"is not a run folder"),
    (["train", "--resume", "--epochs", "1"], r"give --epochs above 1"),
    (["train", "--resume", "--epochs", "3", "--batch-size", "16"], r"cannot change within a run"),
    (["train", "--run", "x"], r"belong to --resume"),
    (["watch", "runs/none"], r"there is no run at"),
    (["watch", "marks"], r"is not a run folder"),
    (["watch", "silent"], r"has not written yet"),
    (["watch", "silent", "--json"], r"has not written yet"),
    (["eval", "runs/none"], r"there is no run at"),
    (["eval", "silent"], r"no checkpoint yet"),
    (["eval", "--checkpoint", "epoch-0099"], r"it has best, last"),
    (["stop"], r"is not being trained"),
    (["pack", "empty"], r"no images in"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line_exit_2_and_loses_nothing(
    world: Path, words: list[str], message: str
) -> None:
    (world / "empty").mkdir(exist_ok=True)
    (world / "nopath.csv").write_text("file\nmarks/images/0000.png\n")
    (world / "badcodes.csv").write_text("path,vienna\nmarks/images/0000.png,bird\n")
    if not (world / "silent").exists():
        create_run(world, "silent", latest=False).config.write_text("")
    before = sorted(p.name for p in (world / "runs").iterdir())
    journal = (world / "runs" / "latest" / "metrics.jsonl").read_bytes()
    line = error_line(tmssl(world, *words, code=2))
    assert re.search(message, line)
    assert sorted(p.name for p in (world / "runs").iterdir()) == before
    assert (world / "runs" / "latest" / "metrics.jsonl").read_bytes() == journal


@pytest.mark.parametrize("words", [["--topk", "abc"], ["--topk", "0"], ["--topk"], ["--nonsense"]])
def test_the_parser_refuses_what_it_must(world: Path, words: list[str]) -> None:
    assert "Error" in tmssl(world, "eval", *words, code=2).stderr


@pytest.mark.parametrize(
    "form",
    [
        "--topk 3 7 --json",
        "--topk 3,7 --json",
        "--topk 3 --topk 7 --json",
        "--topk=3 --topk=7 --json",
        "runs/latest --topk 3 7 --json",
        "--topk 3 7 --json runs/latest",
    ],
)
def test_every_form_of_topk_evaluates_the_same(world: Path, form: str) -> None:
    told = json.loads(tmssl(world, "eval", *form.split()).stdout)
    assert {score["k"] for score in told["scores"]} == {0, 3, 7}


def test_an_evaluation_without_a_terminal_prints_paths_and_scores(world: Path) -> None:
    out = tmssl(world, "eval", "--topk", "5", "--show", "2").stdout
    assert "\x1b" not in out
    assert "division, figurative codes" in out
    assert "chance" in out
    assert "untrained" in out
    assert "perceptual hash" in out
    assert out.count("query m") == 2
    assert re.search(r"^    1 [01]\.\d{4} (hit|miss|same group) .*images/\d{4}\.png$", out, re.M)


def test_an_evaluation_on_a_terminal_shows_pictures(world: Path) -> None:
    leader, follower = pty.openpty()
    streams = {"stdout": follower, "stderr": subprocess.DEVNULL, "stdin": follower}
    words = ["eval", "--topk", "5", "--show", "1"]
    told = environment(COLUMNS="80", TERM="xterm-256color", COLORTERM="truecolor")
    child = start(world, *words, "--pictures", "half", **streams, env=told)
    os.close(follower)
    seen = read_terminal(leader)
    assert child.wait(DEADLINE_S) == 0
    assert "\u2580".encode() in seen
    assert b"38;2;" in seen or b"48;2;" in seen
    assert b"1. " in seen


def test_snapshots_say_the_same_as_text_and_json(world: Path) -> None:
    told = json.loads(tmssl(world, "watch", "--json").stdout)
    assert (told["state"], told["epoch"], told["step"]) == ("finished", 1.0, 4)
    text = tmssl(world, "watch", "--once").stdout
    assert "# finished" in text
    assert "chance" in text
    assert "loss" in text
    piped = tmssl(world, "watch")
    assert "as with --once" in piped.stderr
    assert piped.stdout == text
    listed = json.loads(tmssl(world, "runs", "--json").stdout)
    assert [run["state"] for run in listed] == ["finished"]
    assert "finished" in tmssl(world, "runs").stdout


def test_no_runs_is_no_error(tmp_path: Path) -> None:
    done = tmssl(tmp_path, "runs")
    assert "no runs in runs" in done.stderr
    assert json.loads(tmssl(tmp_path, "runs", "--json").stdout) == []


def test_packing_reports_what_it_did(world: Path, tmp_path: Path) -> None:
    told = json.loads(
        tmssl(
            world, "pack", "marks", "--image-size", "32", "--out", str(tmp_path / "p"), "--json"
        ).stdout
    )
    assert (told["images"], told["quarantined"], told["size"]) == (40, 0, 48)
    assert Path(told["folder"]) == tmp_path / "p"


def test_a_killed_run_resumes_with_a_new_end_and_every_lr_is_the_closed_form(
    tmp_path: Path,
) -> None:
    draw_marks(tmp_path / "marks", 40)
    done = tmssl(
        tmp_path,
        "train",
        "--data",
        "marks",
        "--epochs",
        "2",
        *TINY,
        "--detach",
        "--checkpoint-minutes",
        "60",
    )
    run = open_run(tmp_path / "runs" / "latest")
    assert Path(done.stdout.strip()) == run.path
    wait_for(lambda: history(tmp_path).checkpoints)
    found = holder(run)
    if found is not None and found.pid:
        os.kill(found.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(run))
    told = tmssl(tmp_path, "train", "--resume", "--epochs", "4")
    assert "learning rate: old" in told.stderr
    assert "train.epochs: 2 -> 4" in told.stderr
    now = history(tmp_path)
    assert [segment.reason for segment in now.segments] == ["start", "resume"]
    assert now.step == 20
    optim = read_config(run.config).optim
    for step in now.steps:
        segment = now.segment_at(step.step)
        assert segment is not None
        expected = learning_rate(
            step.step - 1,
            steps_per_epoch=5,
            epochs=segment.epochs,
            lr=optim.lr,
            min_lr=optim.min_lr,
            warmup_epochs=optim.warmup_epochs,
        )
        assert step.lr == pytest.approx(expected, abs=1e-12)


def test_a_hang_up_without_a_terminal_stops_the_trainer_too(tmp_path: Path) -> None:
    draw_marks(tmp_path / "marks", 40)
    words = ["train", "--data", "marks", "--epochs", "5000", *TINY]
    follower = start(
        tmp_path,
        *words,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    latest = tmp_path / "runs" / "latest"
    wait_for(lambda: latest.exists() and history(tmp_path).step >= 3, follower)
    follower.send_signal(signal.SIGHUP)
    _, told = follower.communicate(timeout=DEADLINE_S)
    assert follower.returncode == 128 + signal.SIGHUP
    assert "stopped; resume with" in told
    assert not is_alive(open_run(latest))


def test_ctrl_c_stops_with_a_checkpoint_and_stop_does_too(tmp_path: Path) -> None:
    draw_marks(tmp_path / "marks", 40)
    words = ["train", "--data", "marks", "--epochs", "5000", *TINY]
    follower = start(tmp_path, *words)
    latest = tmp_path / "runs" / "latest"
    wait_for(lambda: latest.exists() and history(tmp_path).step >= 3, follower)
    run = open_run(latest)
    follower.send_signal(signal.SIGINT)
    _, told = follower.communicate(timeout=DEADLINE_S)
    assert follower.returncode == 130
    assert "Traceback" not in told
    assert "stopped; resume with" in told
    assert not is_alive(run)
    ended = history(tmp_path).end
    assert ended is not None
    assert ended.status == "stopped"
    leader, terminal = pty.openpty()
    second = start(
        tmp_path,
        "train",
        "--resume",
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # as in no nohup
    )
    os.close(terminal)
    wait_for(lambda: len(history(tmp_path).segments) == 2, second)
    second.send_signal(signal.SIGHUP)  # the terminal is closed
    second.wait(DEADLINE_S)
    os.close(leader)
    steps = history(tmp_path).step
    wait_for(lambda: history(tmp_path).step > steps + 3)  # the trainer goes on
    assert is_alive(run)
    assert "checkpoint at epoch" in tmssl(tmp_path, "stop").stderr
    assert not is_alive(run)
    assert (run.checkpoints / "last.pt").exists()
