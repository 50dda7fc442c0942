"""How fast the trainer is beside others: `python -m tests.bench.trainer [--help]`.

Every contender takes a few steps in turn, five times over, so that a busy machine is busy for all.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from tests.bench.rivals import LightlyExample, PlainLoop
from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.runs.folder import create_run
from tmssl.runs.journal import JournalWriter
from tmssl.toy.make import make_toy
from tmssl.training.learner import create_learner, update
from tmssl.training.loop import train_step
from tmssl.training.loss import feature_std
from tmssl.training.meter import Meter
from tmssl.training.rollback import roll_back_if_nonfinite
from tmssl.training.saving import save
from tmssl.training.session import Session, open_session

_ROUNDS, _WARM = 5, 2


def main() -> None:
    """Print throughputs, their ratios, and what checkpoints and signals cost."""
    asked = _arguments()
    torch.set_num_threads(asked.workers)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        session = open_bench_session(folder, asked)
        torch.backends.cudnn.benchmark &= not asked.no_search
        config = session.config
        print(
            f"{config.model.name} at {config.data.image_size} px, N = {config.train.batch_size}, "
            f"{asked.views} views, {asked.steps} steps a round, median of {_ROUNDS} rounds; "
            f"{session.history.started.device if session.history.started else ''}",
            flush=True,
        )
        steps = _contenders(session, folder / "marks", asked)
        rounds = _interleaved(steps, asked.steps)
        _print_speeds(rounds, asked)
        _print_costs(session, statistics.median(rounds["tmssl"]), asked.steps)
        session.loader.close()
        session.writer.close()


def _arguments() -> argparse.Namespace:
    """What is measured, and how large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="efficientnet_b0")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--views", default="published", help="the rivals always use this set")
    parser.add_argument("--steps", type=int, default=3, help="steps of a contender in a round")
    parser.add_argument(
        "--workers", type=int, default=2, help="of the rivals' loaders; threads too"
    )
    parser.add_argument("--marks", type=int, default=256)
    parser.add_argument("--no-search", action="store_true", help="let cuDNN take its first kernels")
    parser.add_argument("--no-lightly", action="store_true", help="leave its example out")
    return parser.parse_args()


def open_bench_session(folder: Path, asked: argparse.Namespace) -> Session:
    """A run on toy marks, ready for its first step; it writes as many events as any other.

    The last step of an epoch is logged too, so an epoch should not be of a few steps.
    """
    marks = make_toy(folder / "marks", count=asked.marks, size=256)
    pack = build_pack(read_catalogue(marks), folder / "pack", pack_size(asked.image_size))
    run = create_run(folder / "runs", "bench")
    settings = {
        "data.pack": str(pack.folder),
        "model.name": asked.model,
        "image_size": asked.image_size,
        "batch_size": asked.batch_size,
        "views": asked.views,
        "epochs": 1000,
        "lr": 0.01,
    }
    write_config(changed(Config(), settings), run.config)
    return open_session(run, JournalWriter(run.journal))


def _contenders(
    session: Session, marks: Path, asked: argparse.Namespace
) -> dict[str, Callable[[], object]]:
    """Name to a function that takes one step."""
    config, device = session.config, session.learner.device
    ready, views = create_learner(config, device), session.loader.views(0)

    def ours() -> None:  # as the loop does: it waits for a GPU only where it logs
        train_step(session)
        if device.type == "cpu" or session.step % config.train.log_every == 0:
            roll_back_if_nonfinite(session)

    steps: dict[str, Callable[[], object]] = {
        "tmssl": ours,
        "the same model, ready-made views": lambda: update(ready, views, 0.99, 1),
        "a plain loop with PIL in workers": PlainLoop(marks, config, asked.workers, device).step,
    }
    if asked.no_lightly:
        return steps
    try:
        steps["lightly's MoCo example"] = LightlyExample(marks, config, asked.workers, device).step
    except ModuleNotFoundError as error:
        print(f"lightly is left out: {error}; `pip install lightly` brings it in")
    return steps


def _interleaved(steps: dict[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    """Seconds a step takes, by contender and round."""
    for step in steps.values():
        for _ in range(_WARM):
            step()
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(_ROUNDS):
        for name, step in steps.items():
            begun = time.perf_counter()
            for _ in range(count):
                step()
            _synchronise()
            found[name].append((time.perf_counter() - begun) / count)
    return found


def _synchronise() -> None:
    """Wait for a GPU to have done what it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _print_speeds(rounds: dict[str, list[float]], asked: argparse.Namespace) -> None:
    """Images a second, and tmssl's over each other's: the median over rounds of the ratio in one."""
    for name, seconds in rounds.items():
        speed = asked.batch_size / statistics.median(seconds)
        ratios = [other / own for own, other in zip(rounds["tmssl"], seconds, strict=True)]
        told = (
            "" if name == "tmssl" else f"  tmssl is {statistics.median(ratios):.2f} times as fast"
        )
        print(f"{name:34} {speed:8.1f} images/s{told}", flush=True)


def _print_costs(session: Session, step_s: float, count: int) -> None:
    """Shares of the wall time that go to waiting for data, to checkpoints and to signals."""
    waits = [step.data_s for step in session.history.steps if step.data_s is not None]
    print(f"waiting for data      {100 * statistics.median(waits) / step_s:6.2f} % of a step")
    plain, beside, stall = _checkpoint_costs(session, count)
    every = 60 * session.config.train.checkpoint_minutes
    print(
        f"a checkpoint          {100 * stall / every:6.2f} % of the time when one is made every "
        f"{every / 60:g} min: it stops training for {stall:.2f} s, and the steps beside its writing "
        f"take {beside - plain:.2f} s longer in all"
    )
    logged, epoch = _signal_costs(session)
    rate = Config().train.log_every
    print(
        f"signals               {100 * logged / rate / step_s:6.2f} % of a step when every {rate}th "
        f"is logged; RankMe, alignment and uniformity take {epoch:.2f} s an epoch"
    )


def _checkpoint_costs(session: Session, count: int) -> tuple[float, float, float]:
    """Medians of: seconds of some steps, of as many beside a checkpoint, and of its stall."""
    plain, beside, stalls = [], [], []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        for _ in range(count):
            train_step(session)
        plain.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        save(session, "time")
        for _ in range(count):
            train_step(session)
        beside.append(time.perf_counter() - begun)
        saved = session.writer.wait()
        assert saved is not None
        assert saved.request is not None
        stalls.append(saved.request.stall_s)
    return statistics.median(plain), statistics.median(beside), statistics.median(stalls)


def _signal_costs(session: Session) -> tuple[float, float]:
    """Seconds that a logged step's figures take, with those of the steps before; and an epoch's."""
    learner = session.learner
    done = update(learner, session.loader.views(session.step), 0.99, session.step + 1)
    logged, epochs = [], []
    for _ in range(_ROUNDS):
        meter = Meter(learner.device)
        begun = time.perf_counter()
        for _ in range(Config().train.log_every):
            meter.add(done.result, 0.0)
        meter.read_steps()
        float(feature_std(done.result.queries))
        logged.append(time.perf_counter() - begun)
        for _ in range(1024 // len(done.result.features)):
            meter.add(done.result, 0.0)
        begun = time.perf_counter()
        meter.read_epoch()
        epochs.append(time.perf_counter() - begun)
    return statistics.median(logged), statistics.median(epochs)


if __name__ == "__main__":
    main()
