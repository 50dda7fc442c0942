"""`tmssl train --dry-run`: run the real trainer for a few seconds and extrapolate to the whole run."""

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TypedDict

import msgspec

from cli.brief_trainer import UNKEPT, brief_trainer
from cli.output.console import say, say_data, say_json
from cli.signals import end_in_order
from tmssl.config import Config, changed, write_config
from tmssl.errors import InputError, TrainingError
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import BRIEF_VARIABLE, last_log_line
from tmssl.text import count, duration, safe

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
    views: int = 0
    """views that are computed once, before the first step; 0 where each step makes its own"""
    views_s: float | None = None
    """of them per second; None if they are cached already"""
    views_hours: float = 0.0
    """until all are computed; part of `hours`"""
    views_gib: float = 0.0
    """size of their features on the disk"""


def dry_run(config: Config, epochs_done: float = 0.0, *, as_json: bool = False) -> None:
    """Print what a run would take, on one line of JSON or as lines; see `measured`."""
    end_in_order()
    say("measuring the trainer for a few seconds; nothing is kept")
    estimate = measured(config, epochs_done)
    if as_json:
        say_json(estimate)
        return
    for line in estimate_lines(estimate):
        say_data(line)


def measured(config: Config, epochs_done: float = 0.0) -> Estimate:
    """Train for a few seconds in a temporary folder and estimate what the whole run would take.

    Args:
        config: settings of the run, with its pack.
        epochs_done: epochs that a resume would not repeat.

    Raises:
        InputError: settings or data that the trainer refuses.
        TrainingError: the trainer failed.
    """
    with tempfile.TemporaryDirectory(prefix="tmssl-dry-run-") as folder:
        run = create_run(Path(folder), "dry-run", latest=False)
        write_config(changed(config, UNKEPT), run.config)
        history = _train_briefly(run)
        size = sum(file.stat().st_size for file in run.checkpoints.glob("last.pt"))
        return extrapolate(history, config, epochs_done, size)


def _train_briefly(run: Run) -> History:
    """Train for a few seconds and stop with a checkpoint."""
    with brief_trainer(run, {BRIEF_VARIABLE: str(_MEASURED_S)}) as trainer:
        deadline = time.monotonic() + _TIMEOUT_S
        while trainer.poll() is None and time.monotonic() < deadline:
            done = read_history(read_journal(run.journal)).steps
            enough = len(done) >= _WARM_UP_STEPS + _LEAST_STEPS
            if enough and done[-1].t - done[_WARM_UP_STEPS - 1].t > _MEASURED_S:
                break
            time.sleep(0.2)
    history = read_history(read_journal(run.journal))
    steps = len(history.steps)
    if steps <= _WARM_UP_STEPS and trainer.returncode == 0:
        raise InputError(
            f"the whole run has {count(steps, 'step')}, and the first {_WARM_UP_STEPS} tell nothing of the "
            "others; give more --epochs, or train: it takes seconds"
        )
    if steps <= _WARM_UP_STEPS:
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
    views = _views_estimate(history)
    seconds = epoch_s * max(0.0, config.train.epochs - epochs_done) + 3600 * views["views_hours"]
    every, price = config.train.keep_every, config.train.price_per_hour
    checkpoints = _OTHER_CHECKPOINTS + (config.train.epochs // every if every else 0)
    warnings = [f"{f.text}: {f.advice}" for f in history.findings if f.code in _WARNINGS]
    warnings += _too_little_space(views["views_gib"], Path(config.data.pack).parent)
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
        **views,
    )


class _ViewsEstimate(TypedDict):
    """The fields of `Estimate` about cached views."""

    views: int
    views_s: float | None
    views_hours: float
    views_gib: float


def _views_estimate(history: History) -> _ViewsEstimate:
    """What the cached views would take, by those that were computed."""
    event = history.views
    if event is None:
        return {"views": 0, "views_s": None, "views_hours": 0.0, "views_gib": 0.0}
    new = event.done - event.found
    pace = new / event.seconds if new and event.seconds else None
    left = event.total - event.found
    return {
        "views": event.total,
        "views_s": pace,
        "views_hours": left / pace / 3600 if pace else 0.0,
        "views_gib": event.gib or 0.0 if left else 0.0,
    }


def _too_little_space(views_gib: float, folder: Path) -> list[str]:
    """A warning where the cached views would not fit on the disk of the pack."""
    try:
        free = shutil.disk_usage(folder).free / 2**30
    except OSError:
        return []
    if views_gib < free:
        return []
    return [
        f"the cached views take {views_gib:.2f} GiB and {free:.2f} GiB are free in {folder}: free disk "
        "space, put the pack on a larger disk (TMSSL_CACHE), or lower cached_views or whiten"
    ]


def _views_lines(e: Estimate) -> list[str]:
    """The lines about cached views, if there are any."""
    if not e.views:
        return []
    if e.views_s is None:
        return [f"views        {e.views:,} are cached already"]
    return [
        f"views        {duration(3600 * e.views_hours)} for {e.views:,} at {e.views_s:.1f}/s, once before "
        f"the first step; {e.views_gib:.2f} GiB beside the pack"
    ]


def estimate_lines(estimate: Estimate) -> list[str]:
    """The estimate as lines of text."""
    e = estimate
    lines = [
        f"device       {safe(e.device)}",
        f"speed        {e.images_s or 0:.1f} images/s over {e.steps_measured} steps, "
        f"{100 * e.data_wait:.0f} % of a step waits for data",
        *_views_lines(e),
        f"epoch        {duration(3600 * e.hours_per_epoch)} ({e.steps_per_epoch:,} steps)",
        f"whole run    {duration(3600 * e.hours)}, until {e.end}",
        f"memory       {e.mem_gib:.2f} GiB",
        f"disk         {e.disk_gib:.2f} GiB of checkpoints, {e.checkpoint_mib:.1f} MiB each",
    ]
    if e.cost is not None:
        lines.append(f"cost         {e.cost:,.2f}")
    return [*lines, *(f"warning      {safe(warning)}" for warning in e.warnings)]
