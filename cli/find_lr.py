"""`tmssl train --find-lr`: a range test of the learning rate by the real trainer, and its advice."""

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.brief_trainer import UNKEPT, brief_trainer
from cli.output.console import say, say_data, say_json
from cli.output.progress import phase_bars
from cli.signals import end_in_order
from cli.streams import draws_unicode
from tmssl.config import Config, changed, write_config
from tmssl.errors import TrainingError
from tmssl.runs.events import Event, Segment, Step, Views
from tmssl.runs.findings.range_test import RangeTest, has_diverged, read_range_test
from tmssl.runs.folder import Run, create_run
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import last_log_line
from tmssl.runs.schedule import RANGE_TEST_STEPS
from tmssl.text import count, learning_rate, number

if TYPE_CHECKING:
    from tmssl.types import Progress

_LOWEST, _HIGHEST = 1e-7, 1.0
_POLL_S = 0.3
_CHART = (78, 16)  # columns and rows


def find_lr(config: Config, *, as_json: bool) -> None:
    """Train for 100 steps at rising rates in a temporary folder, and print the curve and the advice.

    Args:
        config: settings of a run, with its pack.
        as_json: print an object instead of a chart and lines.

    Raises:
        InputError: settings or data that the trainer refuses.
        TrainingError: the trainer failed, or the loss never fell.
    """
    end_in_order()
    say(f"{RANGE_TEST_STEPS} steps from LR {_LOWEST:.0e} to {_HIGHEST:.0e}; no run is kept")
    with tempfile.TemporaryDirectory(prefix="tmssl-find-lr-") as folder:
        run = create_run(Path(folder), "find-lr", latest=False)
        write_config(_range_test(config), run.config)
        test = _tested(run)
    if as_json:
        say_json(test)
        return
    for line in [*_chart_lines(test), *_advice_lines(test)]:
        say_data(line)


def _range_test(config: Config) -> Config:
    """The settings of the test: those of the run but for its schedule, its length, and what it keeps."""
    settings: dict[str, object] = {
        **UNKEPT,
        "schedule": "range-test",
        "lr": _HIGHEST,
        "min_lr": _LOWEST,
        "decay_epochs": 0.0,
        "anchor": 0.0,
        "rewarm_steps": 0,
        "epochs": RANGE_TEST_STEPS,  # an epoch has at least one step
        "eval_every": 0,
        "stop_when": "",
    }
    return changed(config, settings)


def _tested(run: Run) -> RangeTest:
    """Let the trainer run the test, and end it after the last step or where the loss diverges.

    Raises:
        TrainingError: the trainer failed before the first step.
    """
    with brief_trainer(run) as trainer, phase_bars() as (begin, progress):
        _watch(run, trainer, begin, progress)
    events = read_journal(run.journal)
    rates, losses = _curve(events)
    if not losses:
        raise TrainingError(f"no step was trained ({last_log_line(run.log)})")
    chance = next(event.chance for event in events if isinstance(event, Segment))
    return read_range_test(rates, losses, chance)


def _watch(
    run: Run,
    trainer: "subprocess.Popen[bytes]",
    begin: Callable[[str], None],
    progress: "Progress",
) -> None:
    """Show how far the test is until it can end."""
    phase = ""
    while trainer.poll() is None:
        events = read_journal(run.journal)
        losses = _curve(events)[1]
        views = [event for event in events if isinstance(event, Views)]
        done, total, label = len(losses), RANGE_TEST_STEPS, "raising the learning rate"
        if views and not losses:
            done, total, label = views[-1].done, views[-1].total, "computing views"
        if label != phase:
            phase = label
            begin(label)
        progress(done, total)
        chance = next((event.chance for event in events if isinstance(event, Segment)), None)
        if len(losses) >= RANGE_TEST_STEPS or has_diverged(losses, chance):
            return
        time.sleep(_POLL_S)


def _curve(events: Sequence[Event]) -> tuple[list[float], list[float | None]]:
    """Rate and loss of each step; None at the end where the trainer went back from steps that were not finite."""
    rates: list[float] = []
    losses: list[float | None] = []
    for event in events:
        if isinstance(event, Step) and event.lr is not None and len(losses) < RANGE_TEST_STEPS:
            rates.append(event.lr)
            losses.append(event.loss)
        elif isinstance(event, Segment) and event.reason == "rollback":
            return [*rates, math.nan], [*losses, None]
    return rates, losses


def _chart_lines(test: RangeTest) -> list[str]:
    """The loss by the logarithm of the rate."""
    from tui.charts.chart import Chart, Series
    from tui.charts.render import render_string
    from tui.options import DisplayOptions

    x = [math.log10(rate) for rate in test.rates]
    series = [Series("raw", x, test.losses, "gray"), Series("smoothed", x, test.smoothed, "cyan")]
    if test.chance is not None and x:
        ends = (x[0], x[-1])
        chance = f"chance {number(test.chance, 3)}"
        series.append(Series(chance, ends, (test.chance, test.chance), "reference", dotted=True))
    chart = Chart("loss by log10 of the learning rate", tuple(series))
    options = DisplayOptions(ascii=not draws_unicode(sys.stdout), colour=False)
    return render_string(chart, *_CHART, options).splitlines()


def _advice_lines(test: RangeTest) -> list[str]:
    """What the curve says, and the rate to begin with."""
    steps = f"after {count(len(test.losses), 'step')}, at LR {learning_rate(test.rates[-1])}"
    lines = [f"the loss {'diverged' if test.diverged else 'did not diverge'} {steps}"]
    if test.advice is None:
        return [
            *lines,
            "it never fell by more than its noise, so no rate can be advised; larger batches have less of it",
        ]
    return [
        *lines,
        f"a tenth of the fall is done at {learning_rate(test.onset)}; steepest fall at "
        f"{learning_rate(test.steepest)}, valley (two thirds into the fall) at {learning_rate(test.valley)}, "
        f"lowest at {learning_rate(test.lowest)}",
        f"advice: --lr {test.advice:.1g}",
    ]
