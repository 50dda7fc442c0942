"""Two processes on a CPU train like one."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from tests.helpers.rank import SETTINGS, learn_a_little, teacher_of
from tests.helpers.training import draw_pack, history_of, new_run
from tests.helpers.waiting import DEADLINE_S, wait_for
from tmssl.children import without_torchrun
from tmssl.config import Config, changed, read_config, write_config
from tmssl.errors import ConfigError, InputError
from tmssl.runs.checkpoints import digest, valid_checkpoints
from tmssl.runs.events import End, Finding
from tmssl.runs.folder import Run, holder, is_alive
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import start_trainer, wait_until_begun
from tmssl.training.loop import train
from tmssl.training.ranks import distributed
from tmssl.training.ranks.distributed import ALONE, Ranks, check_torchrun, sync_batch_norms
from tmssl.training.signals import SignalFlags


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    draw_pack(folder, 40)
    return folder


@pytest.fixture(scope="module")
def teacher(world: Path) -> None:
    """A small run that teaches, at views of another size than its pupils'."""
    train(new_run(world, world / "pack", "teacher", image_size=48, epochs=1), SignalFlags())


@pytest.mark.slow
@pytest.mark.timeout(300)  # three interpreters load torch at once
@pytest.mark.usefixtures("teacher")
def test_two_processes_take_the_steps_of_one(world: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            "-m",
            "tests.helpers.rank",
            str(world),
        ],
        check=True,
        cwd=Path(__file__).parents[2],
    )
    first, second = (json.loads((world / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert first["asked"] == second["asked"] == [None, ["SIGTERM", True, True]]
    untaught, taught = (learn_a_little(world, ALONE, name) for name in ("", teacher_of(world)))
    check_same(first["untaught"], second["untaught"], untaught)
    check_same(first["taught"], second["taught"], taught)
    assert all(0 < loss < 2 for loss in taught["teacher_loss"])
    assert taught["grad_norm"] != untaught["grad_norm"]


def check_same(first: dict[str, Any], second: dict[str, Any], alone: dict[str, Any]) -> None:
    """Two processes took the steps of one: marks, keys, losses, gradients and weights."""
    both = [[*one, *two] for one, two in zip(first["rows"], second["rows"], strict=True)]
    assert both == alone["rows"]
    assert first["keys"] == second["keys"] == alone["keys"] == SETTINGS["batch_size"]
    for loss in ("loss", "teacher_loss"):
        assert first[loss] == pytest.approx(alone[loss], abs=1e-5)
        assert first[loss] == second[loss]
    assert first["grad_norm"] == pytest.approx(alone["grad_norm"], rel=1e-4)
    assert first["weights"] == pytest.approx(alone["weights"], rel=1e-5, abs=1e-5)
    assert first["weights"] == second["weights"]


@pytest.mark.parametrize(("size", "count"), [(2, 7), (3, 64), (4, 4)])
def test_a_batch_that_cannot_be_shared_evenly_is_refused(size: int, count: int) -> None:
    with pytest.raises(ConfigError, match=f"give a multiple of {size}"):
        Ranks(0, size).batch_slice(count)
    with pytest.raises(ConfigError, match=f"give a multiple of {size}"):
        changed(Config(), {"batch_size": count, "gpus": size})


def test_synchronised_norms_keep_the_activations_of_timms_layers() -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet", num_classes=0).eval()
    view = torch.randn(2, 3, 32, 32)
    before, names = model(view), list(model.state_dict())
    converted = sync_batch_norms(model, Ranks(0, 2), torch.device("cuda"))
    assert any(isinstance(layer, torch.nn.SyncBatchNorm) for layer in converted.modules())
    assert torch.equal(converted(view), before)
    assert list(converted.state_dict()) == names


def test_a_cpu_and_a_process_alone_keep_their_own_norms() -> None:
    model = timm.create_model("test_efficientnet", num_classes=0)
    for ranks, device in ((ALONE, "cuda"), (Ranks(0, 2), "cpu")):
        kept = sync_batch_norms(model, ranks, torch.device(device))
        assert not any(isinstance(layer, torch.nn.SyncBatchNorm) for layer in kept.modules())


def start(folder: Path, name: str) -> tuple[Run, subprocess.Popen[bytes]]:
    """A run of two processes that would go on for ever, begun."""
    settings = {**SETTINGS, "epochs": 100_000, "gpus": 2, "lr": 0.01, "checkpoint_minutes": 0.01}
    run = new_run(folder, folder / "pack", name, **settings)
    process = start_trainer(run)
    wait_until_begun(run, process, 0)
    return run, process


def ranks_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Process ids of the ranks that a torchrun started, in order."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return sorted(int(pid) for pid in children)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("signalled", [0, 1])
def test_a_signal_to_one_process_stops_all_after_the_same_step(world: Path, signalled: int) -> None:
    run, process = start(world, f"stopped-{signalled}")
    wait_for(lambda: history_of(run).step >= 5, process)
    pids = ranks_of(process)
    found = holder(run)
    assert found is not None
    assert found.pid in pids
    other = next(pid for pid in pids if pid != found.pid)
    os.kill(found.pid if signalled == 0 else other, signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    history = history_of(run)
    assert history.end is not None
    assert (history.end.status, history.end.reason) == ("stopped", "asked to by SIGTERM")
    step, path = valid_checkpoints(run.checkpoints)[0]
    assert step == history.end.step == history.step
    assert digest(path) == history.checkpoints[-1].sha256
    assert history.segments[0].batch_size == SETTINGS["batch_size"]
    assert history.started is not None
    assert history.started.device.startswith("2 x ")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_run_with_a_finding(world: Path, killed: int) -> None:
    run, process = start(world, f"killed-{killed}")
    wait_for(lambda: history_of(run).step >= 5, process)
    found = holder(run)
    assert found is not None
    other = next(pid for pid in ranks_of(process) if pid != found.pid)
    os.kill(found.pid if killed == 0 else other, signal.SIGKILL)
    assert process.wait(timeout=60) != 0
    assert not is_alive(run)
    events = read_journal(run.journal)
    assert isinstance(events[-1], End)
    assert events[-1].status == "failed"
    assert [e.code for e in events if isinstance(e, Finding)].count("rank-lost") == 1
    assert sum(isinstance(event, End) for event in events) == 1
    # One process goes on where the two were, with the same number of keys.
    write_config(changed(read_config(run.config), {"gpus": 1}), run.config)
    process = start_trainer(run)
    wait_until_begun(run, process, 1)
    process.terminate()
    assert process.wait(timeout=60) == 143
    assert history_of(run).segments[1].changed == {"train.gpus": [2, 1]}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_torchruns_processes_refuse_is_one_line(world: Path) -> None:
    run = new_run(world, world / "none", "refused", **SETTINGS, gpus=2)
    with pytest.raises(InputError, match="none"):
        wait_until_begun(run, start_trainer(run), 0)


_WHOLE = {
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_USE_AGENT_STORE": "False",
    "RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"RANK": None}, "RANK missing or wrong"),
        ({"RANK": "two"}, "RANK missing or wrong"),
        ({"RANK": "-1"}, "RANK missing or wrong"),
        ({"RANK": "2"}, "RANK missing or wrong"),
        ({"WORLD_SIZE": None}, "WORLD_SIZE missing or wrong"),
        ({"LOCAL_RANK": None, "MASTER_ADDR": None}, "LOCAL_RANK, MASTER_ADDR missing"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT missing or wrong"),
        ({"TORCHELASTIC_USE_AGENT_STORE": None}, "no torchrun answers at 127.0.0.1:29500"),
        ({"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_PORT": "1"}, "no torchrun answers"),
        ({"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": "no such host"}, "no torchrun"),
    ],
)
def test_variables_of_a_torchrun_that_is_not_there_are_told(
    changes: dict[str, str | None], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "_STORE_PATIENCE_S", 0.05)
    changed_variables = {k: v for k, v in {**_WHOLE, **changes}.items() if v is not None}
    with pytest.raises(ConfigError, match=told):
        check_torchrun(changed_variables)


def test_variables_of_one_process_and_of_a_torchrun_that_answers_are_taken() -> None:
    assert check_torchrun({**_WHOLE, "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}) == 1
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = {
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "MASTER_PORT": str(server.getsockname()[1]),
        }
        assert check_torchrun({**_WHOLE, **answering}) == 2


def test_our_children_inherit_no_number_of_another_job() -> None:
    others = {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "2",
        "SLURM_NTASKS": "8",
        "LOCAL": "de",
        "RANKING": "1",
    }
    job = {**_WHOLE, "PET_NNODES": "2", "GROUP_RANK": "0", "ROLE_NAME": "default"}
    assert without_torchrun({**others, **job}) == others


def test_a_wait_for_missing_processes_is_said_and_a_signal_ends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    script = (
        "import torch; from tmssl.training.ranks import distributed; distributed._SAID_AFTER_S = 0.1\n"
        "from tmssl.training.signals import SignalFlags; SignalFlags().install()\n"
        "with distributed.join_ranks(torch.device('cpu')): pass\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=subprocess.PIPE,
        env={**os.environ, **_WHOLE, "MASTER_PORT": str(port)},
    )
    assert child.stderr is not None
    assert b"waiting for 1 more of the 2 processes" in child.stderr.readline()
    child.terminate()
    assert child.wait(DEADLINE_S) == -signal.SIGTERM
    child.stderr.close()
