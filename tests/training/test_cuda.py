"""The trainer on a real GPU; `pytest -m gpu -n 0` runs it with the other tests that need one."""

import contextlib
import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import training
from tests.helpers.marks import draw_marks
from tests.helpers.training import draw_pack, history_of, losses
from tests.helpers.waiting import wait_for
from tmssl.config import Config, changed, read_config, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.runs.events import End
from tmssl.runs.folder import Run
from tmssl.runs.launch import signal_trainer, start_trainer, wait_until_begun
from tmssl.training import loop
from tmssl.training.learner import create_learner, update
from tmssl.training.loader import Views
from tmssl.training.loop import train
from tmssl.training.session import Session
from tmssl.training.signals import SignalFlags

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(300)]

CUDA = torch.device("cuda")
TINY = {**training.TINY, "batch_size": 16, "deterministic": False, "device": "cuda"}
LARGE = {
    **TINY,
    "model.name": "efficientnet_b0",
    "image_size": 64,
    "batch_size": 256,
    "epochs": 1,
    "precision": "float32",
}
PER_EPOCH = 10


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pack(tmp_path_factory.mktemp("cuda"), 16 * PER_EPOCH)


@pytest.fixture(scope="module")
def large_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuda-large")
    catalogue = read_catalogue(draw_marks(folder / "source", 512, size=80))
    return build_pack(catalogue, folder / "pack", pack_size(64)).folder


def new_run(folder: Path, pack: Path, **settings: object) -> Run:
    return training.new_run(folder, pack, "", **{**TINY, **settings})


def may_wait(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, in which waiting for the GPU is fine and after which it is an error."""

    def call(*arguments: Any, **named: Any) -> Any:
        torch.cuda.set_sync_debug_mode("default")
        try:
            return function(*arguments, **named)
        finally:
            torch.cuda.set_sync_debug_mode("error")

    return call


@pytest.fixture
def waiting_is_an_error_but_where_it_must_be(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """From the first logged step on, an operation that waits for the GPU raises in the loop.

    Logging, looking for broken gradients, closing an epoch and saving may wait.
    """
    for name in ("log_step", "roll_back_if_nonfinite", "finish_epoch", "save"):
        monkeypatch.setattr(loop, name, may_wait(getattr(loop, name)))
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd"},
        {"optimizer": "adamw", "views": "published"},
        {"optimizer": "lars"},
        {"precision": "float16"},
        {"precision": "float32", "chunk_size": 5},
        {"model.name": "efficientnet_b0", "image_size": 64},
    ],
    ids=["sgd", "adamw-published", "lars", "float16", "chunks", "b0"],
)
def test_steps_that_are_not_logged_never_wait_for_the_gpu(
    tmp_path: Path,
    pack: Path,
    waiting_is_an_error_but_where_it_must_be: None,
    settings: dict[str, object],
) -> None:
    run = new_run(tmp_path, pack, epochs=3, log_every=5, **settings)
    assert train(run, SignalFlags()) == 0
    history = history_of(run)
    assert [step.step for step in history.steps] == list(range(5, 3 * PER_EPOCH + 1, 5))
    assert history.steps[-1].loss is not None


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
def test_the_look_out_for_waiting_sees_it(
    tmp_path: Path,
    pack: Path,
    waiting_is_an_error_but_where_it_must_be: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = loop.train_step

    def waits(session: Session) -> float:
        """The real step, after which somebody looks at a weight on the GPU."""
        lr = real(session)
        next(session.learner.model.parameters()).sum().item()
        return lr

    monkeypatch.setattr(loop, "train_step", waits)
    with pytest.raises(RuntimeError, match="synchronizing"):
        train(new_run(tmp_path, pack, log_every=5), SignalFlags())


def test_a_run_on_a_gpu_begins_as_on_a_cpu_and_tells_of_its_memory(
    tmp_path: Path, pack: Path
) -> None:
    here, there = (
        new_run(tmp_path, pack, epochs=1, device=name, precision="float32")
        for name in ("cpu", "cuda")
    )
    for run in (here, there):
        assert train(run, SignalFlags()) == 0
    (_, first), (_, same) = losses(here)[0], losses(there)[0]
    assert first is not None
    assert same == pytest.approx(first, rel=0.01)
    history = history_of(there)
    assert history.started is not None
    assert history.started.device == torch.cuda.get_device_name(CUDA)
    assert all(step.mem_gib is not None and 0 < step.mem_gib < 10 for step in history.steps)
    assert all(step.gpu_util is None or 0 <= step.gpu_util <= 1 for step in history.steps)


def test_deterministic_training_stopped_and_resumed_is_bitwise_the_same(
    tmp_path: Path, pack: Path
) -> None:
    def end_of(run: Run, segments: int, *, stop_at: int = 0) -> None:
        process = start_trainer(run)
        wait_until_begun(run, process, segments)
        if stop_at:
            wait_for(lambda: history_of(run).step >= stop_at, process)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=120)

    undisturbed, killed = (
        new_run(tmp_path, pack, epochs=12, deterministic=True, checkpoint_minutes=0.005)
        for _ in range(2)
    )
    end_of(undisturbed, 0)
    end_of(killed, 0, stop_at=15)
    end_of(killed, 1)
    assert len(losses(undisturbed)) == 12 * PER_EPOCH
    assert losses(killed) == losses(undisturbed)


def test_sigterm_ends_a_run_on_a_gpu_with_a_checkpoint(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, epochs=10_000)
    process = start_trainer(run)
    wait_until_begun(run, process, 0)
    signal_trainer(run, signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    history = history_of(run)
    assert isinstance(history.end, End)
    assert history.checkpoints[-1].step == history.end.step


def reserved_by_a_step(config: Config, chunk_size: int) -> int:
    """The most memory that torch takes from the GPU for a step in chunks of a size, bytes."""
    learner = create_learner(config, CUDA)
    learner.chunk_size = chunk_size
    shape = (config.train.batch_size, 3, config.data.image_size, config.data.image_size)
    views = Views(torch.randn(shape, device=CUDA), torch.randn(shape, device=CUDA), 0.0)
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(CUDA)
    update(learner, views, 0.9, 1)
    return torch.cuda.max_memory_reserved(CUDA)


@contextlib.contextmanager
def memory_of(count: int) -> Iterator[None]:
    """Let this process have so many bytes of the GPU."""
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.set_per_process_memory_fraction(count / total, 0)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
        torch.cuda.empty_cache()


@pytest.fixture(scope="module")
def between(large_pack: Path) -> int:
    """Bytes that hold a step in chunks of half the batch, and not one in a single chunk."""
    config = changed(Config(), {**LARGE, "data.pack": str(large_pack)})
    whole, half = (reserved_by_a_step(config, count) for count in (256, 128))
    torch.cuda.empty_cache()
    assert half < 0.8 * whole
    return (whole + half) // 2


def test_memory_that_runs_out_on_a_gpu_halves_the_chunk_and_keeps_the_keys(
    tmp_path: Path, large_pack: Path, between: int
) -> None:
    run = new_run(tmp_path, large_pack, **LARGE)
    with memory_of(between):
        assert train(run, SignalFlags()) == 0
    history = history_of(run)
    told = [f.text for f in history.findings if f.code == "out-of-memory"]
    assert len(told) == 1
    assert "with 256 images at once; going on with " in told[0]
    assert "still against all 256 keys" in told[0]
    assert [step.step for step in history.steps] == [1, 2]
    write_config(changed(read_config(run.config), {"epochs": 2}), run.config)
    with memory_of(between):
        assert train(run, SignalFlags()) == 0
    again = history_of(run)
    assert again.segments[1].chunk_size in (64, 128)
    assert len([f for f in again.findings if f.code == "out-of-memory"]) == 1


def test_auto_takes_the_whole_batch_or_what_fits_and_leaves_the_memory_as_it_was(
    tmp_path: Path, large_pack: Path, between: int
) -> None:
    config = changed(Config(), {**LARGE, "data.pack": str(large_pack), "chunk_size": "auto"})
    plain = create_learner(changed(config, {"chunk_size": 256}), CUDA)
    holds = torch.cuda.memory_allocated(CUDA)
    found = create_learner(config, CUDA)
    assert found.chunk_size == 256
    # Two learners, and no activations, which would be ten times as much.
    assert torch.cuda.memory_allocated(CUDA) < 2 * holds + 2**28
    for one, other in zip(
        plain.model.state_dict().values(), found.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    del plain, found
    run = new_run(tmp_path, large_pack, **{**LARGE, "chunk_size": "auto"})
    with memory_of(between):
        assert train(run, SignalFlags()) == 0
    history = history_of(run)
    assert history.segments[0].chunk_size in (64, 128)
    assert history.step == 2
    assert not [f for f in history.findings if f.code == "out-of-memory"]
