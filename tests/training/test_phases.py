"""The training log that this project grew from, re-enacted at toy scale with its own recipe."""

import signal
from typing import Any

import pytest

from tests.helpers.training import SMALL_MODEL, draw_pack, history_of
from tests.helpers.waiting import wait_for
from tmssl.config import changed, read_config, write_config
from tmssl.recipes import recipe_path
from tmssl.runs.folder import Run, create_run
from tmssl.runs.launch import signal_trainer, start_trainer, wait_until_begun
from tmssl.runs.report import report
from tmssl.runs.resume_plan import ResumePlan, plan_resume
from tmssl.runs.schedule import learning_rate
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

PER_EPOCH, BATCH = 22, 8
SMALL: dict[str, object] = {
    "model.name": SMALL_MODEL["model.name"],
    "image_size": SMALL_MODEL["image_size"],
    "device": "cpu",
    "hidden": 64,
    "dimensions": 32,
    "batch_size": BATCH,
    "chunk_size": 0,
}


def planned(run: Run, changes: dict[str, object]) -> ResumePlan:
    """Write down what `tmssl train --resume` would, before it starts the trainer."""
    step = history_of(run).checkpoints[-1].step
    plan = plan_resume(read_config(run.config), changes, step=step, steps_per_epoch=PER_EPOCH)
    write_config(plan.config, run.config)
    return plan


def stop_in_epoch(run: Run, epoch: int) -> None:
    """Train in a process of its own and stop it once so many epochs are done."""
    process = start_trainer(run)
    wait_until_begun(run, process, len(history_of(run).segments))
    wait_for(lambda: history_of(run).step >= epoch * PER_EPOCH, process)
    signal_trainer(run, signal.SIGTERM)
    assert process.wait(timeout=60) == 143


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("phases")
    pack = draw_pack(folder, BATCH * PER_EPOCH)
    run = create_run(folder / "runs", "log")
    recipe = read_config(recipe_path("seed-log"))
    write_config(changed(recipe, {**SMALL, "data.pack": str(pack)}), run.config)
    train(run, SignalFlags())
    planned(run, {"positives": "instance", "epochs": 20})
    train(run, SignalFlags())
    turned = planned(run, {"schedule": "cosine", "epochs": 30})
    assert turned.jump == pytest.approx(1)
    stop_in_epoch(run, 24)
    moved = planned(run, {"epochs": 50})
    assert 1 < moved.jump < 2
    train(run, SignalFlags())
    return run


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_three_phases_are_one_run_whose_findings_tell_its_story(run: Run) -> None:
    history = history_of(run)
    told = [(s.reason, sorted(s.changed)) for s in history.segments]
    assert told == [
        ("start", []),
        ("resume", ["data.positives", "train.epochs"]),
        ("resume", ["optim.anchor", "optim.schedule", "train.epochs"]),
        ("resume", ["train.epochs"]),
    ]
    assert [round(s.epoch) for s in history.segments] == [0, 10, 20, 24]
    assert [epoch.epoch for epoch in history.epochs] == list(range(1, 51))
    assert [event.segment for event in history.positives] == [0]  # phase 1 alone is about codes

    # What a person would say who sees these losses: codes that mean nothing to the eye, and a
    # loss that never leaves chance under AdamW at 3e-4, whatever the schedule does.
    chance = history.segments[0].chance
    assert chance is not None
    assert all(epoch.loss is not None and epoch.loss > 0.9 * chance for epoch in history.epochs)
    phases: list[tuple[int, str]] = [
        (sum(s.epoch <= finding.epoch for s in history.segments[1:]), finding.code)
        for finding in history.findings
    ]
    assert (0, "noisy-positives") in phases[:2]
    assert [phase for phase, code in phases if code == "at-chance"][:2] == [0, 1]
    # A loss that wanders at chance may drift up for a while, as the log's own did; of the log's steps
    # a fiftieth are done here, which are too few for its momentum.
    told_of = {code for _, code in phases} - {"rising"}
    assert told_of == {"noisy-positives", "at-chance", "slow-momentum"}
    assert all(finding.advice for finding in history.findings)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_learning_rate_of_the_three_phases_is_the_closed_form(run: Run) -> None:
    def expected(step: int) -> float:
        facts: dict[str, Any] = {"steps_per_epoch": PER_EPOCH, "lr": 3e-4, "min_lr": 1e-6}
        if step <= 20 * PER_EPOCH:
            return 3e-4
        end = 30 if step <= stopped else 50
        return learning_rate(step - 1, epochs=end, anchor=20, **facts)

    history = history_of(run)
    stopped = history.segments[3].step
    for step in history.steps:
        assert step.lr == pytest.approx(expected(step.step), abs=1e-12)
    assert history.steps[-1].lr == pytest.approx(1e-6, rel=0.01)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_report_of_the_three_phases_tells_the_same(run: Run) -> None:
    words = report(history_of(run), run.name, alive=False)
    for part in (
        "Weak Supervision",
        "Instance Discrimination",
        "look hardly more alike",
        "is chance",
    ):
        assert part in words
    assert "broken out" not in words
