"""`tmssl train --dry-run`: run the real trainer for a few seconds and extrapolate to the whole run."""

import signal
import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from cli.output.console import say, say_data, say_json
from cli.signals import end_in_order
from tmssl.config import Config, changed, write_config
from tmssl.doctor.machine import usable_cores
from tmssl.errors import TrainingError
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import last_log_line, start_trainer, wait_until_begun
from tmssl.text import duration, safe

_MEASURED_S = 8.0
_WARM_UP_STEPS = 2  # not measured: kernels are chosen and caches filled in them
_LEAST_STEPS = 3
_TIMEOUT_S = 600.0
_WARNINGS = ("slow-momentum", "noisy-positives", "few-partners", "out-of-memory")
_OTHER_CHECKPOINTS = 4  # last, the one before, best, and the one being written


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would take."""

    device: str
    steps_measured: int
    images_s: float | None
    data_wait: float
    """share of a step that waits for data"""
    steps_per_epoch: int
    hours_per_epoch: float
    hours: float
    end: str
    mem_gib: float
    checkpoint_mib: float
    disk_gib: float
    cost: float | None
    warnings: list[str]


def dry_run(config: Config, epochs_done: float = 0.0, *, as_json: bool = False) -> None:
    """Train for a few seconds in a temporary folder and print what the whole run would take.

    Args:
        config: settings of the run, with its pack.
        epochs_done: epochs that a resume would not repeat.
        as_json: print an object instead of lines.

    Raises:
        InputError: settings or data that the trainer refuses.
        TrainingError: the trainer failed.
    """
    end_in_order()
    say("measuring the trainer for a few seconds; nothing is kept")
    with tempfile.TemporaryDirectory(prefix="tmssl-dry-run-") as folder:
        run = create_run(Path(folder), "dry-run", latest=False)
        brief = {"log_every": 1, "checkpoint_minutes": 1e6, "keep_every": 0}
        write_config(changed(config, dict(brief)), run.config)
        history = _train_briefly(run)
        size = sum(file.stat().st_size for file in run.checkpoints.glob("last.pt"))
        estimate = extrapolate(history, config, epochs_done, size)
    if as_json:
        say_json(estimate)
        return
    for line in estimate_lines(estimate):
        say_data(line)


def _train_briefly(run: Run) -> History:
    """Train for a few seconds and stop with a checkpoint."""
    trainer = start_trainer(run, cores=usable_cores())
    try:
        wait_until_begun(run, trainer, 0)
        deadline = time.monotonic() + _TIMEOUT_S
        while trainer.poll() is None and time.monotonic() < deadline:
            steps = read_history(read_journal(run.journal)).steps
            enough = len(steps) >= _WARM_UP_STEPS + _LEAST_STEPS
            if enough and steps[-1].t - steps[_WARM_UP_STEPS - 1].t > _MEASURED_S:
                break
            time.sleep(0.2)
    finally:
        if trainer.poll() is None:
            trainer.send_signal(signal.SIGTERM)
        trainer.wait()
    history = read_history(read_journal(run.journal))
    if len(history.steps) <= _WARM_UP_STEPS:
        raise TrainingError(f"too few steps to measure ({last_log_line(run.log)})")
    return history


def extrapolate(
    history: History, config: Config, epochs_done: float, checkpoint_bytes: int
) -> Estimate:
    """Estimate the whole run from a history of its first steps."""
    segment = history.segments[-1]
    steps = list(history.steps)[_WARM_UP_STEPS:]
    step_s = statistics.median(step.step_s or 0.0 for step in steps)
    epoch_s = step_s * segment.steps_per_epoch
    seconds = epoch_s * max(0.0, config.train.epochs - epochs_done)
    every, price = config.train.keep_every, config.train.price_per_hour
    checkpoints = _OTHER_CHECKPOINTS + (config.train.epochs // every if every else 0)
    warnings = [f"{f.text}: {f.advice}" for f in history.findings if f.code in _WARNINGS]
    return Estimate(
        device=history.started.device if history.started else "",
        steps_measured=len(steps),
        images_s=config.train.batch_size / step_s if step_s else None,
        data_wait=statistics.median(step.data_share or 0.0 for step in steps),
        steps_per_epoch=segment.steps_per_epoch,
        hours_per_epoch=epoch_s / 3600,
        hours=seconds / 3600,
        end=time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + seconds)),
        mem_gib=max((step.mem_gib or 0.0 for step in steps), default=0.0),
        checkpoint_mib=checkpoint_bytes / 2**20,
        disk_gib=checkpoints * checkpoint_bytes / 2**30,
        cost=seconds / 3600 * price if price else None,
        warnings=warnings,
    )


def estimate_lines(estimate: Estimate) -> list[str]:
    """The estimate as lines of text."""
    e = estimate
    lines = [
        f"device       {safe(e.device)}",
        f"speed        {e.images_s or 0:.1f} images/s over {e.steps_measured} steps, "
        f"{100 * e.data_wait:.0f} % of a step waits for data",
        f"epoch        {duration(3600 * e.hours_per_epoch)} ({e.steps_per_epoch:,} steps)",
        f"whole run    {duration(3600 * e.hours)}, until {e.end}",
        f"memory       {e.mem_gib:.2f} GiB",
        f"disk         {e.disk_gib:.2f} GiB of checkpoints, {e.checkpoint_mib:.1f} MiB each",
    ]
    if e.cost is not None:
        lines.append(f"cost         {e.cost:,.2f}")
    return [*lines, *(f"warning      {safe(warning)}" for warning in e.warnings)]
