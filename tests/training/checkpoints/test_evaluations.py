"""Evaluations beside the training, by real children."""

import json
import signal
from pathlib import Path
from typing import get_args

import pytest

from cli.start import planned_resume
from tests.helpers.training import SMALL_MODEL, draw_pack, history_of
from tests.helpers.waiting import wait_for
from tmssl.config import BestBy, Config, changed, write_config
from tmssl.errors import RunError
from tmssl.runs.events import Eval, Finding, Score
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import state
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.launch import start_trainer, wait_until_begun
from tmssl.runs.main_figure import BEST_BY, judge
from tmssl.training.checkpoints.evaluations import Evaluations
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluations")
    draw_pack(folder, 48, validation=8)
    return folder


def new_run(world: Path, name: str, **settings: object) -> Run:
    run = create_run(world / "runs", name, latest=False)
    configure(world, run, **settings)
    return run


def configure(world: Path, run: Run, **settings: object) -> None:
    tiny = {**SMALL_MODEL, "data.pack": str(world / "pack"), "log_every": 1, "lr": 0.05}
    write_config(changed(Config(), {**tiny, "keep_every": 0, **settings}), run.config)


def best_step(run: Run) -> int:
    return int(json.loads((run.checkpoints / "best.json").read_text())["step"])


def evaluated(epoch: int, value: float, metric: str = "map", folder: str = "checkpoints") -> Eval:
    level, codes = ("division", "figurative") if metric == "map" else ("group", "all")
    score = Score(metric=metric, level=level, codes=codes, k=10, value=value, chance=0.1)
    path = f"{folder}/eval-{epoch:04d}.pt"
    return Eval(epoch=epoch, step=5 * epoch, checkpoint=path, scores=[score])


def test_the_names_of_figures_are_the_settings_choices() -> None:
    assert set(get_args(BestBy)) == {*BEST_BY, "auto", "loss"}


def test_auto_takes_figurative_codes_then_groups_then_the_loss() -> None:
    both = Eval(scores=[*evaluated(1, 0.3, "group_map").scores, *evaluated(1, 0.2).scores])
    for event, best_by, name in (
        (both, "auto", "figurative-map"),
        (both, "group-map", "group-map"),
        (evaluated(1, 0.3, "group_map"), "auto", "group-map"),
    ):
        found = judge(event, best_by)
        assert found is not None
        assert found.name == name
    assert judge(both, "loss") is None
    assert judge(both, "invariance") is None
    assert judge(Eval(), "auto") is None
    assert judge(evaluated(1, float("nan")), "auto") is None


@pytest.mark.timeout(200)  # a child loads torch and faiss
def test_an_evaluation_beside_the_training_chooses_the_best(world: Path) -> None:
    run = new_run(world, "beside", epochs=4, eval_every=4)
    assert train(run, SignalFlags()) == 0
    history = history_of(run)
    assert [(e.step, e.checkpoint) for e in history.evals] == [(20, "checkpoints/eval-0004.pt")]
    assert history.end is not None
    assert history.end.status == "finished"
    assert best_step(run) == 20
    assert [f.code for f in history.findings if f.code == "best"] == ["best"]
    assert not list(run.checkpoints.glob("*eval-*"))


@pytest.fixture
def resumed(world: Path, request: pytest.FixtureRequest) -> Run:
    """A run of two epochs whose first is kept as best though its loss is not the lowest."""
    run = new_run(world, f"resumed-{request.node.name}", epochs=2, keep_every=1)
    train(run, SignalFlags())
    for suffix in ("pt", "json"):
        (run.checkpoints / f"best.{suffix}").unlink()
        (run.checkpoints / f"best.{suffix}").hardlink_to(run.checkpoints / f"epoch-0001.{suffix}")
    return run


def test_a_resume_knows_the_figure_of_the_checkpoint_it_kept(resumed: Run) -> None:
    journal = JournalWriter(resumed.journal)
    for event in (evaluated(1, 0.5), evaluated(2, 0.4), evaluated(1, 0.9, folder="elsewhere/last")):
        journal.write(event)
    journal.write(Eval(epoch=1, step=5, checkpoint="checkpoints/best.pt", scores=[]))
    journal.close()
    evaluations = Evaluations(resumed, every=1, best_by="auto")
    evaluations.resume(10)
    assert evaluations.best is not None
    assert (evaluations.best.step, evaluations.best.name) == (5, "figurative-map")
    assert not evaluations.busy
    by_loss = Evaluations(resumed, every=1, best_by="loss")
    by_loss.resume(10)
    assert by_loss.best is None


def test_what_an_undone_life_left_is_not_evaluated(resumed: Run) -> None:
    for suffix in ("pt", "json"):
        (resumed.checkpoints / f"eval-0002.{suffix}").hardlink_to(
            resumed.checkpoints / f"last.{suffix}"
        )
    evaluations = Evaluations(resumed, every=1, best_by="auto")
    evaluations.resume(5)  # the run goes on from epoch 1
    assert not evaluations.busy
    assert not list(resumed.checkpoints.glob("eval-*"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stopped_while_evaluating_and_resumed_the_best_is_the_best_of_all(world: Path) -> None:
    run = new_run(world, "stopped", epochs=100_000, eval_every=20)
    process = start_trainer(run)
    wait_until_begun(run, process, 0)
    wait_for(lambda: history_of(run).evals, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    done = history_of(run).step // 5
    configure(world, run, epochs=done + 3, eval_every=1)
    assert train(run, SignalFlags()) == 0
    history = history_of(run)
    found = [judge(event, "auto") for event in history.evals]
    known = [one for one in found if one is not None]
    assert len(known) == len(found) >= 2
    best = max(known, key=lambda one: one.value)
    values = {one.step: one.value for one in known}
    assert values[best_step(run)] == best.value
    assert not list(run.checkpoints.glob("eval-*"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_killed_in_its_last_evaluation_goes_on_to_its_end(world: Path) -> None:
    run = new_run(world, "vanished", epochs=2, eval_every=2)
    process = start_trainer(run)
    wait_until_begun(run, process, 0)
    wait_for(lambda: history_of(run).step >= 10 and any(run.checkpoints.glob("eval-0002.pt")))
    process.kill()
    process.wait()
    assert state(history_of(run), alive=False) == "dead"
    plan = planned_resume(run, {})
    assert plan is not None
    assert plan.changed == {}
    assert train(run, SignalFlags()) == 0
    assert state(history_of(run), alive=False) == "finished"
    assert best_step(run) == 10
    assert not list(run.checkpoints.glob("eval-*"))
    with pytest.raises(RunError, match="has done 2 epochs already"):
        planned_resume(run, {})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_evaluation_that_fails_is_a_finding_and_training_goes_on(world: Path) -> None:
    run = new_run(world, "failing", epochs=2, eval_every=1, best_by="invariance")
    in_the_way = [run.eval / f"epoch-{epoch:04}.json" for epoch in (1, 2)]
    for folder in in_the_way:
        folder.mkdir(parents=True)
    assert train(run, SignalFlags()) == 0
    codes = [event.code for event in read_journal(run.journal) if isinstance(event, Finding)]
    assert codes.count("evaluation-failed") == 2
    for folder in in_the_way:
        folder.rmdir()
    configure(world, run, epochs=3, eval_every=1, best_by="invariance")
    assert train(run, SignalFlags()) == 0
    told = [event for event in read_journal(run.journal) if isinstance(event, Finding)]
    assert [f.code for f in told if f.code == "best-by-missing"] == ["best-by-missing"]
