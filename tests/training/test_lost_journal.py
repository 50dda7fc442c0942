"""A trainer whose journal is deleted, moved or replaced under it: its record gets its name back, whole."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.training import history_of, new_run
from tmssl.runs.events import Eval, Finding, Segment, Started, Step
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.training import loop
from tmssl.training.loop import train
from tmssl.training.session import Session
from tmssl.training.signals import SignalFlags
from tmssl.training.trainer_journal import TrainerJournal


def delete(path: Path) -> None:
    path.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("old.jsonl"))


def replace_by_a_copy(path: Path) -> None:
    shutil.copyfile(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def replace_by_an_evaluation(path: Path) -> None:
    path.unlink()
    JournalWriter(path).write(Eval(epoch=1.0, step=5))


CHANGES = (delete, move_away, replace_by_a_copy, replace_by_an_evaluation)


def written(path: Path, *steps: int) -> TrainerJournal:
    journal = TrainerJournal(path)
    journal.write(Started(name="r"))
    journal.write(Segment(epochs=1, steps_per_epoch=9))
    for step in steps:
        journal.write(Step(step=step))
    return journal


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_record_gets_its_name_back(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "metrics.jsonl"
    journal = written(path, 1, 2)
    change(path)
    for step in (3, 4):
        journal.write(Step(step=step))
    journal.sync()
    journal.close()
    found = read_journal(path)
    assert [e.step for e in found if isinstance(e, Step)] == [1, 2, 3, 4]
    assert sum(isinstance(e, Segment) for e in found) == 1
    assert [f.code for f in found if isinstance(f, Finding)] == ["journal-restored"]
    assert any(isinstance(e, Eval) for e in found) == (change is replace_by_an_evaluation)
    assert not list(tmp_path.glob(".*"))


def test_what_was_lost_in_the_last_moment_is_back_when_the_trainer_ends(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    journal = written(path, 1)
    path.unlink()
    journal.close()
    assert [e.step for e in read_journal(path) if isinstance(e, Step)] == [1]


def test_a_folder_that_is_gone_gets_no_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r").mkdir()
    journal = written(tmp_path / "r" / "metrics.jsonl", 1)
    shutil.rmtree(tmp_path / "r")
    journal.write(Step(step=2))
    journal.close()
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr().err == ""


def test_a_link_in_its_place_is_not_followed_and_the_rest_is_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tmssl.training.trainer_journal._CLOSE_S", 0.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path, victim = tmp_path / "metrics.jsonl", tmp_path / "victim"
    victim.write_text("precious")
    journal = written(path, 1)
    path.unlink()
    path.symlink_to(victim)
    journal.write(Step(step=2))
    journal.close()
    assert victim.read_text() == "precious"
    assert "it is a link and no regular file" in capfd.readouterr().err
    (rest,) = tmp_path.glob("tmssl-journal-*")
    assert [e.step for e in read_journal(rest) if isinstance(e, Step)] == [2]


def test_a_run_whose_journal_is_deleted_while_it_trains_has_every_step(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, real = new_run(tmp_path, pack, epochs=1), loop.train_step

    def step(session: Session) -> float:
        lr = real(session)
        if session.step == 3:
            run.journal.unlink()
        return lr

    monkeypatch.setattr(loop, "train_step", step)
    assert train(run, SignalFlags()) == 0
    history = history_of(run)
    assert [s.step for s in history.steps] == [1, 2, 3, 4, 5]
    assert history.end is not None
    assert history.end.status == "finished"


def test_a_run_that_fails_says_at_which_step(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, real = new_run(tmp_path, pack), loop.train_step

    def step(session: Session) -> float:
        if session.step == 7:
            raise ZeroDivisionError("a library is broken")
        return real(session)

    monkeypatch.setattr(loop, "train_step", step)
    with pytest.raises(ZeroDivisionError):
        train(run, SignalFlags())
    end = history_of(run).end
    assert end is not None
    assert (end.status, end.step, end.epoch) == ("failed", 7, 1.4)
    assert end.reason == "ZeroDivisionError: a library is broken"
