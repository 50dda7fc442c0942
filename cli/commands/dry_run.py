"""`tmssl train --dry-run`: a few seconds of the real trainer, and what the whole would take."""

import json
import signal
import statistics
import tempfile
import time
from pathlib import Path

from cli.follow import say
from cli.signals import end_in_order
from tmssl.config import Config, changed, write_config
from tmssl.errors import TrainingError
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import last_log_line, start_trainer, wait_until_begun
from tmssl.text import duration, safe

_SECONDS = 8.0  # of steps that are measured, after the first ones
_WARM = 2  # steps that are not: kernels are chosen and caches filled in them
_LEAST = 3
_PATIENCE_S = 600.0
_PLAN = (
    "slow-momentum",
    "noisy-positives",
    "few-partners",
    "out-of-memory",
)  # what a plan is told of
_KEPT = 4  # last, the one before, best, and the one being written


def dry_run(config: Config, epochs_done: float = 0.0, *, as_json: bool = False) -> None:
    """Train for a few seconds in a folder that is removed again, and print what the whole would take.

    Args:
        config: of the run, with its pack.
        epochs_done: what a resume would not do again.
        as_json: print an object instead of lines.

    Raises:
        InputError: settings or data that the trainer refuses.
        TrainingError: it broke.
    """
    end_in_order()
    say("measuring the trainer for a few seconds; nothing is kept")
    with tempfile.TemporaryDirectory(prefix="tmssl-dry-run-") as folder:
        run = create_run(Path(folder), "dry-run", latest=False)
        brief = {"log_every": 1, "checkpoint_minutes": 1e6, "keep_every": 0}
        write_config(changed(config, dict(brief)), run.config)
        history = _measured(run)
        files = run.checkpoints.glob("last.pt")
        facts = expected(history, config, epochs_done, sum(f.stat().st_size for f in files))
    if as_json:
        print(json.dumps(facts))  # noqa: T201 - stdout is data
        return
    for line in fact_lines(facts):
        print(line)  # noqa: T201 - stdout is data


def _measured(run: Run) -> History:
    """What a few seconds of the trainer wrote; it is stopped and has left its checkpoint."""
    trainer = start_trainer(run)
    try:
        wait_until_begun(run, trainer, 0)
        deadline = time.monotonic() + _PATIENCE_S
        while trainer.poll() is None and time.monotonic() < deadline:
            steps = read_history(read_journal(run.journal)).steps
            if len(steps) >= _WARM + _LEAST and steps[-1].t - steps[_WARM - 1].t > _SECONDS:
                break
            time.sleep(0.2)
    finally:
        if trainer.poll() is None:
            trainer.send_signal(signal.SIGTERM)
        trainer.wait()
    history = read_history(read_journal(run.journal))
    if len(history.steps) <= _WARM:
        raise TrainingError(f"too few steps to measure ({last_log_line(run.log)})")
    return history


def expected(
    history: History, config: Config, epochs_done: float, checkpoint_bytes: int
) -> dict[str, object]:
    """What the whole would take, from a history of its first steps."""
    segment = history.segments[-1]
    measured = list(history.steps)[_WARM:]
    step_s = statistics.median(step.step_s or 0.0 for step in measured)
    epoch_s = step_s * segment.steps_per_epoch
    left_s = epoch_s * max(0.0, config.train.epochs - epochs_done)
    every = config.train.keep_every
    kept = _KEPT + (config.train.epochs // every if every else 0)
    price = config.train.price_per_hour
    return {
        "device": history.started.device if history.started else "",
        "steps_measured": len(measured),
        "images_s": config.train.batch_size / step_s if step_s else None,
        "data_wait": statistics.median((s.data_s or 0.0) / (s.step_s or 1.0) for s in measured),
        "steps_per_epoch": segment.steps_per_epoch,
        "hours_per_epoch": epoch_s / 3600,
        "hours": left_s / 3600,
        "end": time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + left_s)),
        "mem_gib": max((step.mem_gib or 0.0 for step in measured), default=0.0),
        "checkpoint_mib": checkpoint_bytes / 2**20,
        "disk_gib": kept * checkpoint_bytes / 2**30,
        "cost": left_s / 3600 * price if price else None,
        "warnings": [
            f"{found.text}: {found.advice}" for found in history.findings if found.code in _PLAN
        ],
    }


def fact_lines(facts: dict[str, object]) -> list[str]:
    """The same for a person."""

    def figure(name: str) -> float:
        value = facts[name]
        return float(value) if isinstance(value, int | float) else 0.0

    lines = [
        f"device       {safe(facts['device'])}",
        f"speed        {figure('images_s'):.1f} images/s over {figure('steps_measured'):.0f} steps, "
        f"{100 * figure('data_wait'):.0f} % of a step waits for data",
        f"epoch        {duration(3600 * figure('hours_per_epoch'))} "
        f"({figure('steps_per_epoch'):,.0f} steps)",
        f"whole        {duration(3600 * figure('hours'))}, until {facts['end']}",
        f"memory       {figure('mem_gib'):.2f} GiB",
        f"disk         {figure('disk_gib'):.2f} GiB of checkpoints, {figure('checkpoint_mib'):.1f} MiB each",
    ]
    if facts["cost"] is not None:
        lines.append(f"cost         {figure('cost'):,.2f}")
    warnings = facts["warnings"]
    assert isinstance(warnings, list)
    return [*lines, *(f"warning      {safe(words)}" for words in warnings)]
