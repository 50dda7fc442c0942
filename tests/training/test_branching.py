"""Runs that branch off another one, whose past they share."""

import dataclasses
from pathlib import Path

import msgspec
import pytest

from cli.branch import branch_lines, planned_branch
from cli.start import planned_resume
from tests.helpers.training import history_of, losses, new_run
from tmssl.config import write_config
from tmssl.errors import CheckpointError, ConfigError, RunError
from tmssl.runs.branching import BranchPlan, make_branch, past
from tmssl.runs.checkpoints import list_checkpoints
from tmssl.runs.folder import Run
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

WSD: dict[str, object] = {"schedule": "wsd", "decay_epochs": 1.0, "keep_every": 1}


def branch(
    source: Run, name: str, changes: dict[str, object], which: str = ""
) -> tuple[Run, BranchPlan]:
    """Make a branch of a run as the command does, and train it."""
    plan = planned_branch(source, changes, which)
    run = Run(source.path.parent / name)
    assert make_branch(run, source, read_journal(source.journal), plan)
    assert train(run, SignalFlags()) == 0
    return run, plan


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Run:
    """A run of seven epochs, of which six are at the stable rate."""
    run = new_run(tmp_path_factory.mktemp("long"), pack, "long", epochs=7, **WSD)
    assert train(run, SignalFlags()) == 0
    return run


def files_of(run: Run) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(run.path.rglob("*")) if path.is_file()}


def test_a_branch_is_bitwise_the_run_that_was_planned_that_long_and_its_source_stays_as_it_is(
    tmp_path: Path, pack: Path, long: Run
) -> None:
    before = files_of(long)
    run, plan = branch(long, "short", {"train.epochs": 4})
    planned = new_run(tmp_path, pack, "planned", epochs=4, **WSD)
    assert train(planned, SignalFlags()) == 0
    assert losses(run) == losses(planned)
    assert (plan.name, plan.resume.step, plan.resume.jump) == ("epoch-0003", 15, 1)
    assert files_of(long) == before
    history = history_of(run)
    assert history.branch is not None
    assert (history.branch.run, history.branch.step) == (str(long.path), 15)
    assert [(s.reason, s.step) for s in history.segments] == [("start", 0), ("branch", 15)]
    assert history.started is not None
    assert history.started.name == "short"
    kept = {name: sidecar.step for name, sidecar in list_checkpoints(run).items()}
    assert (kept["last"], kept["stable"], kept["epoch-0004"]) == (20, 15, 20)
    assert kept["best"] in (5, 10, 15, 20)


def plan(source: Run, changes: dict[str, object], which: str = "") -> BranchPlan:
    return planned_branch(source, changes, which)


def test_a_checkpoint_after_the_planned_beginning_decays_at_once(long: Run) -> None:
    """A fifth of six epochs is 1.2, so the decay would have begun before epoch 5."""
    late = plan(long, {"train.epochs": 6, "optim.decay_epochs": 0.0}, "25")
    assert (late.name, late.resume.jump, late.resume.config.optim.anchor) == ("epoch-0005", 1, 5)
    early = plan(long, {"train.epochs": 6, "optim.decay_epochs": 0.0}, "epoch-0004")
    assert (early.resume.jump, early.resume.config.optim.anchor) == (1, 0)


def test_a_decay_that_is_longer_than_what_is_left_is_shortened(pack: Path, tmp_path: Path) -> None:
    settings: dict[str, object] = {**WSD, "decay_epochs": 2.0}
    source = new_run(tmp_path, pack, "source", epochs=4, **settings)
    assert train(source, SignalFlags()) == 0
    run, made = branch(source, "late", {"train.epochs": 3}, "epoch-0002")
    optim = made.resume.config.optim
    assert (optim.anchor, optim.decay_epochs, made.resume.jump) == (2, 1, 1)
    again = history_of(run)
    assert again.steps[-1].lr is not None
    assert again.steps[-1].lr < 0.03
    kept = plan(source, {"train.epochs": 6}, "last")
    assert kept.resume.jump > 2  # from the end of the decay up to the stable rate
    assert kept.resume.config.optim.anchor == 4


def test_a_cosine_that_branches_tells_the_jump(pack: Path, tmp_path: Path) -> None:
    source = new_run(tmp_path, pack, "cosine", epochs=3)
    assert train(source, SignalFlags()) == 0
    run, made = branch(source, "longer", {"train.epochs": 5})
    assert (made.name, made.resume.step) == ("last", 15)
    assert "up from" in branch_lines(source, made)[-1] or "jump x" in branch_lines(source, made)[-1]
    assert made.resume.jump > 2
    assert "lr-jump" in {finding.code for finding in history_of(run).findings}
    assert [step.step for step in history_of(run).steps] == list(range(1, 26))


@pytest.mark.parametrize(
    ("which", "changes", "error", "said"),
    [
        ("", {"train.epochs": 1, "decay_epochs": 0.5}, RunError, "is from before epoch 0.6, where"),
        (
            "epoch-0099",
            {"train.epochs": 9},
            CheckpointError,
            r"there are last \(step 35, epoch 7\)",
        ),
        ("last", {"train.epochs": 7}, RunError, "give --epochs above 7"),
        ("", {"train.batch_size": 16}, ConfigError, "batch_size cannot change within a run"),
    ],
)
def test_a_branch_that_cannot_be_is_one_line(
    long: Run, which: str, changes: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        planned_branch(long, changes, which)


def test_a_run_without_checkpoints_is_one_line(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint to branch from"):
        planned_branch(new_run(tmp_path, pack), {}, "")


def test_a_damaged_checkpoint_leaves_no_folder(long: Run, tmp_path: Path) -> None:
    made = plan(long, {"train.epochs": 4})
    sidecar = msgspec.structs.replace(made.sidecar, sha256="0" * 64)
    run = Run(tmp_path / "runs" / "new")
    made = dataclasses.replace(made, sidecar=sidecar)
    assert not make_branch(run, long, read_journal(long.journal), made)
    assert not list(run.path.parent.iterdir())


def test_a_branch_of_a_checkpoint_from_an_undone_decay_has_its_past(
    pack: Path, tmp_path: Path
) -> None:
    source = new_run(tmp_path, pack, "source", epochs=2, **WSD)
    assert train(source, SignalFlags()) == 0
    extended = planned_resume(source, {"train.epochs": 3})
    assert extended is not None
    write_config(extended.config, source.config)
    assert train(source, SignalFlags()) == 0
    made = plan(source, {"train.epochs": 3}, "decayed-0002")
    kept = past(read_journal(source.journal), made.sidecar)
    history = read_history(kept)
    assert [segment.step for segment in history.segments] == [0]
    assert [step.step for step in history.steps] == list(range(1, 11))
    assert made.resume.config.optim.anchor == 2
