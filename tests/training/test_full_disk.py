"""Training on a disk that is really full: what is lost, what waits, and what is said."""

import json
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.full_disk import Disk, SmallDisk, full_disk, small_disk
from tests.helpers.models import checkpoint_payload, poison_gradients
from tests.helpers.training import draw_pack, history_of, new_run
from tests.helpers.waiting import wait_for
from tmssl.config import changed, read_config, write_config
from tmssl.errors import ConfigError, RunError, TrainingError
from tmssl.runs.checkpoints import digest, read_sidecar, valid_checkpoints
from tmssl.runs.events import End, Eval, Event, Finding, Score, Step
from tmssl.runs.folder import Run, create_run, hold_lock
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import start_trainer
from tmssl.training import loop, trainer_journal
from tmssl.training.checkpoints.evaluations import Evaluations
from tmssl.training.checkpoints.store import load_payload, save_checkpoint
from tmssl.training.checkpoints.writer import CheckpointWriter, SaveRequest
from tmssl.training.loop import train
from tmssl.training.saving import journal_save
from tmssl.training.session import Session
from tmssl.training.signals import SignalFlags
from tmssl.training.trainer_journal import TrainerJournal

ROOM_KIB = 200  # for the journal, and not for a checkpoint
PER_EPOCH = 5


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pack(tmp_path_factory.mktemp("disk"), 8 * PER_EPOCH)


@pytest.fixture(params=["tmpfs", "limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with full_disk(request.param, tmp_path / "disk") as found:
        yield found


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", files=20) as found:
        yield found


def keeping_all(folder: Path, pack: Path, **settings: object) -> Run:
    return new_run(folder, pack, "", keep_every=1, **settings)


def codes(run: Run) -> list[str]:
    return [finding.code for finding in history_of(run).findings]


def once(condition: Callable[[], bool], action: Callable[[], object]) -> threading.Thread:
    """A thread that does something as soon as a condition holds."""

    def act() -> None:
        wait_for(condition)
        action()

    return threading.Thread(target=act)


def after_steps(monkeypatch: pytest.MonkeyPatch, actions: dict[int, Any]) -> None:
    """Do something right after steps of these numbers, within the real loop and not while it saves."""
    real = loop.train_step

    def step(session: Session) -> float:
        lr = real(session)
        if session.step in actions:
            journal_save(session, session.writer.wait())
            actions[session.step]()
        return lr

    monkeypatch.setattr(loop, "train_step", step)


def test_a_run_whose_last_state_cannot_be_saved_fails_and_goes_on_from_the_one_before(
    disk: Disk, tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = keeping_all(tmp_path, pack)
    train(undisturbed, SignalFlags())
    run = keeping_all(disk.folder, pack, checkpoint_minutes=0.02)
    with monkeypatch.context() as patch:
        after_steps(patch, {8: lambda: disk.fill(ROOM_KIB)})
        with pytest.raises(
            TrainingError, match=r"step 10 is done .* the last whole one is of step"
        ):
            train(run, SignalFlags())
    disk.free()
    history = history_of(run)
    assert history.end is not None
    assert history.end.status == "failed"
    assert "could not be written" in history.end.reason
    assert "tmssl train --resume" in history.end.reason
    assert codes(run).count("checkpoint-failed") == 1  # however often it was tried
    step, path = valid_checkpoints(run.checkpoints)[0]
    assert 5 <= step < 10
    assert load_payload(path)["step"] == step
    assert train(run, SignalFlags()) == 0
    again = history_of(run)
    assert again.end is not None
    assert again.end.status == "finished"
    assert [s.loss for s in again.steps] == [s.loss for s in history_of(undisturbed).steps]
    assert valid_checkpoints(run.checkpoints)[0][0] == 10


def test_room_that_comes_while_the_end_waits_for_it_lets_the_run_finish(
    disk: Disk, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = keeping_all(disk.folder, pack)
    room = once(lambda: "checkpoint-failed" in codes(run), disk.free)

    def fill() -> None:
        disk.fill(ROOM_KIB)
        room.start()

    after_steps(monkeypatch, {10: fill})
    assert train(run, SignalFlags()) == 0
    room.join()
    history = history_of(run)
    assert history.end is not None
    assert history.end.status == "finished"
    found = codes(run)
    assert found.index("checkpoint-failed") < found.index("checkpoint-caught-up")
    assert history.checkpoints[-1].step == 10
    assert history.checkpoints[-1].reason == "end"
    assert digest(run.checkpoints / "last.pt") == history.checkpoints[-1].sha256
    assert read_sidecar(run.checkpoints / "epoch-0002.pt").step == 10


def test_names_that_a_full_disk_refused_are_given_when_there_is_room_again(
    disk: Disk, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = keeping_all(disk.folder, pack, epochs=4)
    after_steps(monkeypatch, {4: lambda: disk.fill(ROOM_KIB), 13: disk.free})
    assert train(run, SignalFlags()) == 0
    for epoch in (1, 2, 3, 4):
        path = run.checkpoints / f"epoch-{epoch:04d}.pt"
        assert load_payload(path)["step"] == read_sidecar(path).step == PER_EPOCH * epoch
    lowest = min(history_of(run).epochs, key=lambda epoch: epoch.loss or 9.0)
    assert load_payload(run.checkpoints / "best.pt")["step"] == lowest.step
    assert load_payload(run.checkpoints / "last.pt")["step"] == 20
    told = [f.text for f in history_of(run).findings if f.code == "checkpoint-caught-up"]
    assert len(told) == 1
    assert "epoch-0001, epoch-0002" in told[0]
    assert not list(run.checkpoints.glob(".*"))


def test_a_checkpoint_is_written_within_an_epoch_when_its_time_has_come(
    tmp_path: Path, pack: Path
) -> None:
    run = keeping_all(tmp_path, pack, checkpoint_minutes=1e-9, log_every=1000)
    assert train(run, SignalFlags()) == 0
    told = [(c.step, c.reason) for c in history_of(run).checkpoints]
    assert told == [
        *((step, "time") for step in range(1, 5)),
        (5, "epoch"),
        *((step, "time") for step in range(6, 10)),
        (10, "end"),
    ]


def test_a_stop_that_cannot_save_says_so_at_once_and_fails(
    disk: Disk, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, flags = keeping_all(disk.folder, pack), SignalFlags()

    def stop() -> None:
        disk.fill(ROOM_KIB)
        flags.stop = signal.SIGTERM

    after_steps(monkeypatch, {7: stop})
    with pytest.raises(TrainingError, match=r"step 7 is done .* the last whole one is of step 5"):
        train(run, flags)
    disk.free()
    end = history_of(run).end
    assert end is not None
    assert end.status == "failed"


def test_a_signal_ends_the_wait_for_room(
    disk: Disk, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, flags = keeping_all(disk.folder, pack, checkpoint_minutes=100.0), SignalFlags()
    stop = once(
        lambda: "checkpoint-failed" in codes(run),
        lambda: setattr(flags, "stop", signal.SIGTERM),
    )

    def fill() -> None:
        disk.fill(ROOM_KIB)
        stop.start()

    after_steps(monkeypatch, {10: fill})
    with pytest.raises(TrainingError, match="step 10 is done"):
        train(run, flags)
    stop.join()


def test_a_rollback_needs_no_room(disk: Disk, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = keeping_all(disk.folder, pack, epochs=3)
    poison_gradients(monkeypatch, range(7, 10))
    after_steps(monkeypatch, {6: disk.fill, 12: disk.free})
    assert train(run, SignalFlags()) == 0
    history = history_of(run)
    assert [(s.reason, s.step) for s in history.segments] == [("start", 0), ("rollback", 5)]
    assert "settings-not-written" in codes(run)
    assert [step.step for step in history.steps] == list(range(1, 16))
    assert history.steps[-1].lr is not None
    assert not [path for path in run.path.iterdir() if path.name.startswith(".config")]


def events(count: int) -> list[Step]:
    return [Step(step=step, epoch=step / 10, loss=1.0) for step in range(1, count + 1)]


def test_what_the_journal_cannot_take_to_the_end_is_left_elsewhere_and_told(
    tmpfs: SmallDisk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    path = tmpfs.folder / "metrics.jsonl"
    journal = TrainerJournal(path)
    told: list[Event] = [*events(60), End(status="failed", reason="no room")]
    tmpfs.fill()
    for event in told:
        journal.write(event)
    journal.close()
    tmpfs.free()
    said = capfd.readouterr().err
    (rest,) = elsewhere.iterdir()
    assert str(rest) in said
    assert str(path) in said
    assert said.endswith("The run failed: no room\n")
    with path.open("ab") as file:
        file.write(b"\n" + rest.read_bytes())
    found = read_journal(path)
    assert [e for e in found if not isinstance(e, Finding)] == told


def test_events_that_nothing_can_take_are_named(
    tmpfs: SmallDisk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmpfs.folder))
    journal = TrainerJournal(tmpfs.folder / "metrics.jsonl")
    tmpfs.fill()
    for event in events(60):
        journal.write(event)
    journal.close()
    said = capfd.readouterr().err
    assert "the last 60 events do not fit into" in said
    assert said.endswith(", nor elsewhere (No space left on device), and are lost: steps 1 to 60\n")
    assert sorted(path.name for path in tmpfs.folder.iterdir()) == ["filler", "metrics.jsonl"]


def test_events_that_waited_are_written_in_order_when_there_is_room(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_journal, "_CLOSE_S", 60.0)
    path = disk.folder / "metrics.jsonl"
    journal = TrainerJournal(path)
    journal.write(Step(step=0, epoch=0.0))
    disk.fill()
    for event in events(60):
        journal.write(event)
    room = threading.Timer(0.5, disk.free)
    room.start()
    journal.close()
    room.join()
    found = read_journal(path)
    assert [event.step for event in found if isinstance(event, Step)] == list(range(61))


def test_a_run_on_a_full_disk_is_refused_by_name(tmpfs: SmallDisk, pack: Path) -> None:
    run = keeping_all(tmpfs.folder, pack)
    config = read_config(run.config)
    tmpfs.fill()
    for start in (hold_lock(run).__enter__, partial(start_trainer, run)):
        with pytest.raises(RunError, match=r"cannot write .* No space left on device; "):
            start()
    with pytest.raises(
        ConfigError, match=r"cannot write .* No space left on device; check the disk"
    ):
        write_config(changed(config, {"epochs": 9}), run.config)
    assert read_config(run.config) == config


def test_a_disk_with_room_for_a_checkpoint_and_not_for_its_names_keeps_the_checkpoint(
    tmpfs: SmallDisk,
) -> None:
    exhaust(tmpfs, left=2)
    written = save_checkpoint(
        tmpfs.folder, checkpoint_payload(1), best=True, keep_as=["epoch-0001"]
    )
    assert written.refused == ("best", "epoch-0001")
    assert "No space left on device" in written.problem
    assert [(step, path.name) for step, path in valid_checkpoints(tmpfs.folder)] == [(1, "last.pt")]


def exhaust(disk: SmallDisk, left: int) -> None:
    """Leave the disk room for so many files."""
    for number in range(os.statvfs(disk.folder).f_favail - left):
        (disk.folder / f"taken-{number}").touch()


def test_a_torch_writer_on_a_full_disk_says_what_the_disk_said(tmpfs: SmallDisk) -> None:
    tmpfs.fill(64)
    with pytest.raises(OSError, match="No space left on device"):
        save_checkpoint(tmpfs.folder, checkpoint_payload(1, 100_000), best=True)
    assert sorted(path.name for path in tmpfs.folder.iterdir()) == ["filler"]


def test_refused_checkpoints_wait_in_memory_for_their_names_alone_and_not_in_any_number(
    tmpfs: SmallDisk,
) -> None:
    writer = CheckpointWriter(tmpfs.folder)
    tmpfs.fill()
    given_up: list[str] = []
    for epoch in range(1, 8):
        names = (f"epoch-{epoch:04d}", f"eval-{epoch:04d}")
        writer.save(
            SaveRequest(checkpoint_payload(epoch), "epoch", best=epoch == 2, keep_as=names), 0.0
        )
        saved = writer.wait()
        assert saved is not None
        assert saved.written is None
        given_up += saved.given_up
    assert writer.unsaved
    assert writer.owed == ("epoch-0004", "epoch-0005", "epoch-0006", "epoch-0007", "eval-0007")
    assert sorted(given_up) == ["best", "epoch-0001", "epoch-0002", "epoch-0003"]
    tmpfs.free()
    saved = writer.retry()
    assert saved.written is not None
    assert saved.written.step == 7
    assert saved.new_names == ("epoch-0007", "eval-0007", "epoch-0004", "epoch-0005", "epoch-0006")
    assert not writer.unsaved
    assert not writer.owed
    writer.close()


def test_the_best_evaluation_that_cannot_be_kept_is_kept_later(tmpfs: SmallDisk) -> None:
    run = create_run(tmpfs.folder / "runs", "r", latest=False)
    (run.checkpoints / "eval-0001.pt").write_bytes(b"x")
    sidecar = {"sha256": "0" * 64, "step": 5, "epoch": 1.0, "steps_per_epoch": 5}
    (run.checkpoints / "eval-0001.json").write_text(json.dumps(sidecar))
    score = Score(metric="map", level="division", codes="figurative", value=0.5, chance=0.1)
    journal = TrainerJournal(run.journal)
    journal.write(Eval(epoch=1, step=5, checkpoint="checkpoints/eval-0001.pt", scores=[score]))
    journal.close()
    exhaust(tmpfs, left=0)
    evaluations = Evaluations(run, every=1, best_by="auto")
    evaluations.resume(5)  # an earlier life had no room for it either
    assert [f.code for f in evaluations.poll() if isinstance(f, Finding)] == [
        "best",
        "checkpoint-failed",
    ]
    assert evaluations.unkept == "eval-0001"
    for path in tmpfs.folder.glob("taken-*"):
        path.unlink()
    evaluations._retry_at = 0.0
    assert evaluations.poll() == []
    assert (run.checkpoints / "best.pt").read_bytes() == b"x"
    assert not evaluations.unkept
    assert not list(run.checkpoints.glob("eval-*"))


@pytest.mark.slow
@pytest.mark.timeout(300)  # a child loads torch and faiss, only to find the disk full
def test_an_evaluation_that_has_no_room_for_its_log_is_begun_and_told(tmpfs: SmallDisk) -> None:
    run = create_run(tmpfs.folder / "runs", "r", latest=False)
    for suffix in ("pt", "json"):
        (run.checkpoints / f"eval-0001.{suffix}").touch()
    evaluations = Evaluations(run, every=1, best_by="auto")
    exhaust(tmpfs, left=0)
    evaluations.begin("eval-0001")
    told = evaluations.poll()

    def ended() -> bool:
        told.extend(evaluations.poll())
        return not evaluations.busy

    wait_for(ended)
    assert [event.code for event in told if isinstance(event, Finding)] == ["evaluation-failed"]
    assert not list(run.eval.iterdir())
