"""Starting, measuring, moving and going on with a run, as life on rented machines asks for."""

import json
import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import msgspec
import pytest
import torch

from cli import packing
from cli.follow import event_line, follow, progress_line
from tests.helpers.command import TINY, environment, error_line, history, start, tmssl
from tests.helpers.marks import draw_marks
from tests.helpers.waiting import DEADLINE_S, wait_for
from tmssl.config import Config, changed, parse_setting, read_config
from tmssl.errors import ConfigError
from tmssl.runs.events import End, Epoch, Finding, Segment, Views
from tmssl.runs.folder import create_run, holder, is_alive, open_run
from tmssl.runs.history import read_history
from tmssl.runs.journal import JournalWriter

EXACT = [*TINY, "--deterministic"]


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("lr=1e-4", ("optim.lr", 1e-4)),
        ("optim.lr = 1", ("optim.lr", 1.0)),
        ("batch-size=64", ("train.batch_size", 64)),
        ("model.name=resnet18", ("model.name", "resnet18")),
        ("deterministic=true", ("train.deterministic", True)),
        ("source=26", ("data.source", "26")),
        ('views="logo"', ("data.views", "logo")),
    ],
)
def test_a_setting_is_set_by_name(text: str, setting: tuple[str, object]) -> None:
    assert parse_setting(text) == setting


@pytest.mark.parametrize(
    ("text", "said"),
    [("lrr=1", "did you mean 'lr'"), ("lr", "write NAME=VALUE"), ("data.lr=1", "unknown setting")],
)
def test_a_setting_that_is_none_names_the_nearest(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_setting(text)


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_marks(tmp_path_factory.mktemp("marks") / "marks", 40, validation=8)


def test_a_run_too_short_to_be_measured_is_one_line(tmp_path: Path, marks: Path) -> None:
    words = ["train", "--data", str(marks), "--epochs", "1", *TINY, "--batch-size", "16"]
    assert "the whole run has 2 steps" in error_line(tmssl(tmp_path, *words, "--dry-run", code=2))


def test_a_dry_run_says_what_the_whole_takes_and_leaves_nothing(
    tmp_path: Path, marks: Path
) -> None:
    words = ["train", "--data", str(marks), "--epochs", "30", *TINY, "--set", "price_per_hour=0.5"]
    done = tmssl(tmp_path, *words, "--dry-run", "--json")
    told = json.loads(done.stdout)
    assert told["images_s"] > 0
    assert told["hours"] == pytest.approx(30 * told["hours_per_epoch"])
    assert told["cost"] == pytest.approx(told["hours"] * 0.5)
    assert told["checkpoint_mib"] > 0
    assert told["warnings"] == [
        "momentum 0.99 is slow for a run of 120 steps: the momentum encoder takes 100 steps to follow: "
        "--set optim.momentum=0.9, or more epochs"
    ]
    assert not (tmp_path / "runs").exists()
    wrong = tmssl(tmp_path, "train", "--data", str(marks), "--set", "lrr=1", "--dry-run", code=2)
    assert "did you mean 'lr'" in error_line(wrong)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_dry_run_that_is_ended_takes_its_trainer_and_its_folder_along(
    tmp_path: Path, marks: Path, number: signal.Signals, code: int
) -> None:
    words = ["train", "--data", str(marks), "--epochs", "100000", *TINY, "--dry-run"]

    def trainer_pid() -> int:
        """The trainer's process; 0 until it is written down."""
        runs = tmp_path.glob("tmssl-dry-run-*/dry-run/config.toml")
        holders = [holder(open_run(settings.parent)) for settings in runs]
        return next((trainer.pid for trainer in holders if trainer and trainer.pid), 0)

    with start(tmp_path, *words, env=environment(TMPDIR=str(tmp_path))) as child:
        trainer = wait_for(trainer_pid, child)
        child.send_signal(number)
        out, said = child.communicate(timeout=DEADLINE_S)
    assert child.returncode == code
    assert out == ""
    assert "Traceback" not in said
    assert not list(tmp_path.glob("tmssl-dry-run-*"))
    with pytest.raises(ProcessLookupError):
        os.kill(trainer, 0)


def test_settings_come_from_a_file_and_can_be_set_one_by_one(tmp_path: Path, marks: Path) -> None:
    (tmp_path / "mine.toml").write_text("[train]\nepochs = 1\nbatch_size = 8\n[optim]\nlr = 0.01\n")
    tiny = [word for word in TINY if word not in ("--batch-size", "8", "--lr", "0.05")]
    tmssl(
        tmp_path,
        "train",
        "--data",
        str(marks),
        "--config",
        "mine.toml",
        "--set",
        "min_lr=1e-3",
        *tiny,
    )
    config = read_config(tmp_path / "runs/latest/config.toml")
    assert (config.optim.lr, config.optim.min_lr, config.train.batch_size) == (0.01, 1e-3, 8)
    both = tmssl(tmp_path, "train", "--config", "mine.toml", "--recipe", "toy", code=2)
    assert "leave one out" in error_line(both)


def test_an_on_start_script_starts_goes_on_and_is_done(tmp_path: Path, marks: Path) -> None:
    words = ["train", "--data", str(marks), "--resume-if-any", *TINY]
    tmssl(tmp_path, *words, "--epochs", "1")
    assert len(history(tmp_path).segments) == 1
    tmssl(tmp_path, *words, "--epochs", "2")
    assert [segment.reason for segment in history(tmp_path).segments] == ["start", "resume"]
    done = tmssl(tmp_path, *words, "--epochs", "2", "--detach")
    assert "nothing is left to do" in done.stderr
    assert len(history(tmp_path).segments) == 2


def test_an_on_start_script_never_takes_another_run_for_its_own(
    tmp_path: Path, marks: Path
) -> None:
    other = draw_marks(tmp_path / "other", 40)
    tmssl(tmp_path, "train", "--data", str(other), "--name", "other", *TINY, "--epochs", "1")
    words = ["train", "--data", str(marks), "--resume-if-any", *TINY, "--epochs", "1"]
    refused = tmssl(tmp_path, *words, code=2)
    assert f"trains on {other}, not on {marks}; give --name" in error_line(refused)
    missing = tmssl(tmp_path, *words, "--run", "mine", code=2)
    assert "there is no run at mine" in error_line(missing)
    tmssl(tmp_path, *words, "--name", "mine")
    again = tmssl(tmp_path, *words, "--name", "mine", "--detach")
    assert again.stdout == f"{tmp_path}/runs/mine\n"
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["latest", "mine", "other"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../outside", "give a plain name"),
        ("a/b", "give a plain name"),
        ("latest", "give a plain name"),
        ("..", "give a plain name"),
        ("taken", "exists already"),
    ],
)
def test_a_bad_name_is_told_before_anything_is_packed(
    tmp_path: Path, marks: Path, name: str, said: str
) -> None:
    (tmp_path / "runs/taken").mkdir(parents=True)  # an empty one is what a killed start leaves
    (tmp_path / "runs/taken/notes.txt").write_text("a person's folder")
    done = tmssl(tmp_path, "train", "--data", str(marks), "--name", name, *TINY, code=2)
    assert said in error_line(done)
    assert "packed" not in done.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.name": "nonesuch"}, "timm has no model 'nonesuch'"),
        ({"device": "cuda"}, "torch sees no GPU"),
        (
            {"model.name": "vit_tiny_patch16_224", "init": "none", "image_size": 64},
            "cannot take 64 px",
        ),
    ],
)
def test_what_no_images_could_cure_is_told_before_many_are_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], said: str
) -> None:
    if changes.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setenv("TMSSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packing, "_MANY_IMAGES", 1)
    source = draw_marks(tmp_path / "few", 4)
    with pytest.raises(ConfigError, match=said):
        packing.with_pack(changed(Config(), {"data.source": str(source), **changes}))
    assert not list((tmp_path / "cache").rglob("*.b2*"))


def test_a_printed_command_can_be_pasted(tmp_path: Path, marks: Path) -> None:
    name = "logo 商標 $run"
    done = tmssl(tmp_path, "train", "--data", str(marks), "--name", name, *TINY, "--detach")
    command = re.search(r"watch it with: (tmssl watch .*)", done.stderr)
    assert command is not None
    *_, path = shlex.split(command[1])
    assert path == str(tmp_path / "runs" / name)
    tmssl(tmp_path, "stop", path)


def test_an_on_start_script_is_done_below_the_planned_end_too(tmp_path: Path, marks: Path) -> None:
    words = ["train", "--data", str(marks), "--name", "mine", *TINY]
    tmssl(tmp_path, *words, "--epochs", "3")
    journal = tmp_path / "runs/mine/metrics.jsonl"
    journal.write_bytes(journal.read_bytes()[: journal.read_bytes().rindex(b'{"kind":"end"')])
    for epochs in ("2", "1"):
        done = tmssl(tmp_path, *words, "--epochs", epochs, "--resume-if-any", "--detach")
        assert "nothing is left to do" in done.stderr
    tmssl(tmp_path, *words, "--epochs", "3", "--resume-if-any")
    assert history(tmp_path).segments[-1].step == history(tmp_path).step
    assert history(tmp_path).end is not None


def test_an_on_start_script_may_name_the_weights_to_begin_from(tmp_path: Path, marks: Path) -> None:
    tmssl(tmp_path, "train", "--data", str(marks), "--name", "first", *TINY, "--epochs", "1")
    words = ["train", "--data", str(marks), *TINY, "--resume-if-any", "--runs", "more"]
    named = [*words, "--init", "runs/first/checkpoints/last.pt"]
    tmssl(tmp_path, *named, "--epochs", "1")
    shutil.rmtree(tmp_path / "runs")
    tmssl(tmp_path, *named, "--epochs", "2")
    assert read_config(tmp_path / "more/latest/config.toml").train.epochs == 2


def test_settings_of_a_resumed_run_begin_a_new_one_afresh(tmp_path: Path, marks: Path) -> None:
    tmssl(tmp_path, "train", "--data", str(marks), "--name", "old", *TINY, "--epochs", "1")
    more = ["--resume", "--restart-schedule", "--set", "rewarm_steps=3"]
    tmssl(tmp_path, "train", *more, "--epochs", "2")
    resumed = read_config(tmp_path / "runs/old/config.toml").optim
    assert (resumed.anchor, resumed.rewarm_steps) == (1.0, 3)
    done = tmssl(tmp_path, "train", "--config", "runs/old/config.toml", "--name", "new")
    assert (
        "the schedule begins with the run, not at epoch 1 as in the file; --set anchor=1"
        in done.stderr
    )
    fresh = read_config(tmp_path / "runs/new/config.toml").optim
    assert (fresh.anchor, fresh.rewarm_steps, fresh.rewarm_step, fresh.rewarm_lr) == (0, 0, 0, 0)
    assert fresh.lr == resumed.lr


def test_what_a_start_finds_is_said_at_once_and_a_resume_says_only_what_is_new(
    tmp_path: Path, marks: Path
) -> None:
    def told(*words: str) -> list[str]:
        said = tmssl(tmp_path, "train", *TINY, "--vienna-level", "section", *words).stderr
        return re.findall(
            r"^epoch \d+:|share a section with another|a coarser --vienna-level", said, re.M
        )

    found = ["share a section with another", "a coarser --vienna-level"]
    first = ["--positives", "vienna", "--data", str(marks), "--epochs", "1"]
    assert told(*first) == [*found, "epoch 1:"]
    assert told("--resume", "--epochs", "2") == [*found, "epoch 2:"]


def test_of_a_long_journal_nothing_is_told_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = create_run(tmp_path, "long")
    journal = JournalWriter(run.journal)
    for epoch in range(1, 4):
        journal.write(Finding(code="x", level="info", text="w" * 60_000, t=1.0))
        for _ in range(40):
            journal.write(Segment(title="t" * 60_000, t=1.0))
        journal.write(Epoch(epoch=epoch, step=epoch, loss=1.0, ce=1.0, t=1.0))
    journal.write(End(status="finished", reason="", step=3, epoch=3.0, t=1.0))
    journal.close()
    assert run.journal.stat().st_size > 6 << 20
    assert follow(run, begun=False) == 0
    assert capsys.readouterr().err == f"finished: {run.path}\n"
    assert follow(run, begun=True) == 0
    assert [line[:8] for line in capsys.readouterr().err.splitlines()] == ["epoch 3:", "finished"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_lost_machine_costs_no_step_and_no_bit(tmp_path: Path, marks: Path) -> None:
    words = ["train", "--data", str(marks), "--epochs", "3", *EXACT]
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    tmssl(undisturbed, *words)
    lost, found = tmp_path / "lost", tmp_path / "found"
    lost.mkdir()
    tmssl(lost, *words, "--set", "checkpoint_minutes=0.0001", "--detach")
    run = open_run(lost / "runs/latest")
    held = holder(run)
    assert held is not None
    wait_for(lambda: history(lost).step >= 6)  # in the second of three epochs of 4 steps
    os.killpg(held.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(run))
    assert history(lost).end is None
    shutil.copytree(lost / "runs", found / "runs", symlinks=True)  # as rsync -a would
    shutil.copytree(marks, found / "marks")
    shutil.rmtree(lost)
    shutil.rmtree(os.environ["TMSSL_CACHE"])
    told = tmssl(found, "train", "--resume", "--data", "marks")
    assert "packing" in told.stderr or "40 images" in told.stderr
    expected = [(step.step, step.loss) for step in history(undisturbed).steps]
    assert [(step.step, step.loss) for step in history(found).steps] == expected


def test_a_run_that_moved_without_its_images_says_what_to_give(tmp_path: Path, marks: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    shutil.copytree(marks, home / "marks")
    tmssl(home, "train", "--data", "marks", "--epochs", "1", *TINY)
    shutil.copytree(home / "runs", away / "runs", symlinks=True)
    shutil.rmtree(home)
    shutil.rmtree(os.environ["TMSSL_CACHE"])
    before = (away / "runs/latest/config.toml").read_bytes()
    gone = tmssl(away, "train", "--resume", "--epochs", "2", code=2)
    assert "give --data with their place on this machine" in error_line(gone)
    draw_marks(away / "others", 24)
    other = tmssl(away, "train", "--resume", "--epochs", "2", "--data", "others", code=2)
    assert "holds other images" in error_line(other)
    assert (away / "runs/latest/config.toml").read_bytes() == before


def test_the_computing_of_views_is_told_while_it_goes_on_and_when_it_is_done() -> None:
    part = Views(done=300, total=1000, found=100, seconds=2.0, seconds_left=7.0, gib=0.5)
    history = read_history([Segment(steps_per_epoch=5, epochs=3), part])
    assert progress_line(history) == "computing views 300/1,000 (30 %), 100/s, ETA 7s"
    assert event_line(part) is None
    done = Views(done=1000, total=1000, found=100, seconds=9.0, gib=0.5, path="/p.views-\x1b1")
    assert event_line(done) == "cached 1,000 views in 9s: 0.500 GiB in /p.views-\u241b1"
    small = msgspec.structs.replace(done, gib=0.01)
    assert ": 10.2 MiB in " in (event_line(small) or "")
    found = Views(done=1000, total=1000, found=1000, seconds=0.1, gib=0.5, path="/p")
    assert event_line(found) == "1,000 views are cached already: 0.500 GiB in /p"
