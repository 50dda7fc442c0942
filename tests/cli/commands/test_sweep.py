"""`tmssl sweep`: runs one after another, killed and continued, on several devices, and its refusals."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from cli.packing import absolute
from cli.sweep_follow import GPUS_VARIABLE, Sweeper, gpus_of
from tests.helpers.command import environment, error_line, start, tmssl
from tests.helpers.in_process import tmssl_in_process
from tests.helpers.marks import draw_marks
from tests.helpers.training import SMALL_MODEL, draw_pack, history_of
from tests.helpers.waiting import DEADLINE_S, wait_for
from tmssl.config import Config, changed, read_config, section_of, write_config
from tmssl.errors import InputError, RunError
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.runs.folder import Run, create_run, holder, is_alive, list_runs
from tmssl.runs.main_figure import QUERIES
from tmssl.runs.sweep.grid import plan_runs, read_sweep
from tmssl.runs.sweep.table import ranked, result_of, table_lines
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

SMALL = {**SMALL_MODEL, "deterministic": True, "log_every": 1, "eval_every": 0, "epochs": 2}


def toml(settings: dict[str, object]) -> str:
    """The settings as sections of a TOML file."""
    lines = [
        f"{section_of(name)}.{name.rpartition('.')[2]} = {json.dumps(value)}"
        for name, value in settings.items()
    ]
    return "\n".join(lines) + "\n"


def write_sweep(folder: Path, grid: str, **settings: object) -> Path:
    """`grid.toml` in a folder, over marks that are drawn there."""
    if not (folder / "marks").exists():
        draw_marks(folder / "marks", 40, validation=8)
    path = folder / "grid.toml"
    path.write_text(toml({"data.source": str(folder / "marks"), **SMALL, **settings}) + grid)
    return path


def trained(folder: Path, file: Path) -> list[str]:
    """The table of the runs of a sweep that one process trains and evaluates, without the command."""
    planned = plan_runs(read_sweep(file), Config())
    pack = draw_pack(folder, 40, validation=8)
    results = []
    for plan in planned:
        run = create_run(folder / "runs", plan.name)
        alone = {"data.pack": str(pack), "eval_every": 0}
        write_config(changed(plan.config, dict(alone)), run.config)
        train(run, SignalFlags())
        evaluate(run, checkpoint="last", queries=QUERIES, device="cpu")
        history = history_of(run)
        results.append(
            result_of(run, plan.settings, "auto", plan.config.train.epochs, history, alive=False)
        )
    return table_lines(ranked(results))


def trainer_of(folder: Path) -> int:
    """The trainer of the sweep's run that has logged a step and is not at its end; 0 without one."""
    for path in (folder / "runs" / "grid").glob("*/metrics.jsonl"):
        run = Run(path.parent)
        held = holder(run)
        if held and held.pid and history_of(run).step > 2:
            return held.pid
    return 0


def evaluating(folder: Path) -> int:
    """The trainer of the sweep's run that waits for its evaluation; 0 without one."""
    for path in (folder / "runs" / "grid").glob("*/checkpoints/eval-*.pt"):
        held = holder(Run(path.parents[1]))
        if held and held.pid:
            return held.pid
    return 0


@pytest.mark.slow
@pytest.mark.timeout(1500)  # a busy machine takes its time
def test_six_runs_killed_twice_end_with_the_table_of_undisturbed_ones(tmp_path: Path) -> None:
    grid = "[grid]\nlr = [0.02, 0.05, 0.1]\nseed = [0, 1]\n"
    file = write_sweep(tmp_path, grid, epochs=6, eval_every=6)
    # First the command alone while its trainer trains, then both while an evaluation is at work.
    for busy, whole in ((trainer_of, False), (evaluating, True)):
        with start(tmp_path, "sweep", "grid.toml") as child:
            pid = wait_for(partial(busy, tmp_path), child)
            child.kill()
            if whole:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.communicate(timeout=DEADLINE_S)
    with start(tmp_path, "sweep", "grid.toml") as child:
        out, said = child.communicate(timeout=10 * DEADLINE_S)  # six trainers begin, one by one
    assert child.returncode == 0, said
    assert out.splitlines() == trained(tmp_path / "undisturbed", file)
    again = tmssl(tmp_path, "sweep", "grid.toml", "--json")
    results = json.loads(again.stdout)
    assert [row["state"] for row in results] == ["finished"] * 6
    assert {row["figure"] for row in results} == {"figurative-map"}
    assert "6 finished already" in again.stderr
    assert len(list_runs(tmp_path / "runs" / "grid")) == 6


@pytest.mark.slow
def test_an_interrupted_sweep_stops_its_trainer_and_says_how_to_go_on(tmp_path: Path) -> None:
    write_sweep(tmp_path, "[grid]\nlr = [0.02, 0.05]\n", epochs=100_000)
    with start(tmp_path, "sweep", "grid.toml", "--name", "mine and yours") as child:
        runs = tmp_path / "runs" / "mine and yours"
        wait_for(
            lambda: [r for r in runs.glob("*/metrics.jsonl") if history_of(Run(r.parent)).step],
            child,
        )
        second = tmssl(tmp_path, "sweep", "grid.toml", "--name", "mine and yours", code=2)
        assert "by another `tmssl sweep` already" in error_line(second)
        child.send_signal(signal.SIGTERM)
        out, said = child.communicate(timeout=DEADLINE_S)
    assert child.returncode == 143
    assert out == ""
    assert "go on with: tmssl sweep grid.toml --name 'mine and yours'" in said
    (run,) = list_runs(runs)
    assert not is_alive(run)
    assert history_of(run).end is not None
    assert (run.checkpoints / "last.pt").exists()


@pytest.mark.slow
def test_runs_share_the_gpus_and_a_failure_leaves_the_others(tmp_path: Path) -> None:
    file = write_sweep(
        tmp_path, '[grid]\nname = ["test_efficientnet", "no_such_model"]\nseed = [0]\n'
    )
    pack = draw_pack(tmp_path, 40)
    configs = {
        plan.name: changed(plan.config, {"data.pack": str(pack)})
        for plan in plan_runs(read_sweep(file), Config())
    }
    folder = tmp_path / "runs"
    folder.mkdir()
    sweeper = Sweeper(folder, configs, ["GPU-a", "GPU-b"], cores=2)
    sweeper.train_all()
    assert sweeper.failed == ["name-no-such-model-seed-0"]
    (run,) = list_runs(folder)
    end = history_of(run).end
    assert end is not None
    assert end.status == "finished"


@pytest.mark.slow
def test_finished_runs_are_kept_and_a_changed_file_is_one_line(tmp_path: Path) -> None:
    file = write_sweep(tmp_path, "[grid]\nlr = [0.02]\n")
    words = ["sweep", str(file), "--runs", str(tmp_path / "runs")]
    (plan,) = plan_runs(read_sweep(file), Config())
    pack = draw_pack(tmp_path, 40)
    run = create_run(tmp_path / "runs" / "grid", plan.name, latest=False)
    write_config(changed(absolute(plan.config), {"data.pack": str(pack)}), run.config)
    train(run, SignalFlags())
    out, said = tmssl_in_process(*words)
    assert "1 run of 2 epochs, 1 finished already" in said
    assert out.splitlines()[1].split()[:3] == ["lr-0.02", "finished", "2/2"]
    write_sweep(tmp_path, "[grid]\nlr = [0.02]\n", batch_size=16, momentum=0.9)
    with pytest.raises(
        RunError, match=r"has optim.momentum 0.99, and the file says 0.9 and 1 more"
    ):
        tmssl_in_process(*words)
    assert read_config(run.config).optim.momentum == 0.99
    shutil.move(run.path, run.path.with_name("old"))
    shutil.copytree(run.path.with_name("old"), tmp_path / "runs" / "grid.2")
    write_sweep(tmp_path, "[grid]\nlr = [0.02]\n")
    _, said = tmssl_in_process(*words, "--dry-run")
    assert "has 1 other run, such as old" in said
    with pytest.raises(RunError, match="no folder of a sweep's runs"):
        tmssl_in_process(*words, "--name", "grid.2")
    with pytest.raises(RunError, match=r"--name is '\.\./x'"):
        tmssl_in_process(*words, "--name", "../x")


def test_a_trainer_tells_which_gpus_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(tmp_path, "r", latest=False)
    assert gpus_of(run) == ()
    code = (
        "import sys, pathlib; from tmssl.runs.folder import Run, hold_lock\n"
        "with hold_lock(Run(pathlib.Path(sys.argv[1]))): print(1, flush=True); sys.stdin.read()"
    )
    monkeypatch.setenv(GPUS_VARIABLE, "GPU-a,3")
    command = [sys.executable, "-c", code, str(run.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"
        assert gpus_of(run) == ("GPU-a", "3")
        child.communicate(timeout=DEADLINE_S)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ('[grid]\ninit = ["nowhere.pt"]\n', "init is 'nowhere.pt', which does not exist"),
        ("[grid]\nlrr = [0.02]\n", "unknown setting 'lrr'"),
        ("[grid]\nlr = [-1.0]\n", "lr is -1.0; give a number from"),
        ("[grid]\n", r"\[grid\] is empty"),
        ("[grid\n", "is not TOML"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, grid: str, said: str) -> None:
    file = write_sweep(tmp_path, grid)
    with pytest.raises(InputError) as refused:
        tmssl_in_process("sweep", str(file), "--runs", str(tmp_path / "runs"))
    assert re.search(said, str(refused.value))
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "runs").exists()
