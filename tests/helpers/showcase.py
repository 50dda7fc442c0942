"""A folder of runs as a person has after some weeks: every state, settings that differ, and many findings."""

import math
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.scores import division_hit, group_recall
from tmssl.config import Config, changed, resolved, to_dict, write_config
from tmssl.runs.events import End, Eval, Event, Finding, Segment, Started, Step
from tmssl.runs.folder import create_run
from tmssl.runs.journal import JournalWriter

_EPOCHS = 20
_RUNS = (  # name, end, epochs done, learning rate, temperature, floor of the loss
    ("metu-base", "finished", 20, 0.1, 0.05, 2.1),
    ("metu-batch-256", "finished", 20, 0.1, 0.05, 2.6),
    ("metu-lr-high", "failed", 4, 1.0, 0.05, 5.5),
    ("metu-lr-low", "finished", 20, 0.01, 0.05, 3.9),
    ("metu-mild-views", "stopped", 11, 0.1, 0.05, 3.0),
    ("metu-warm", "finished", 20, 0.1, 0.2, 3.4),
    ("toy-long", "", 13, 0.05, 0.05, 1.9),
    ("toy-short", "finished", 5, 0.05, 0.05, 4.4),
)
_FINDINGS = (
    ("starving", "warning", "the GPU waits for images in {0} % of a step", "raise data.workers"),
    ("plateau", "warning", "the loss has not fallen for {0} epochs", "lower min_lr or stop here"),
    ("broke-out", "good", "broken out of the plateau at {0}", ""),
    ("hit-below", "bad", "hit@10 is at chance in {0} divisions", "look at the labels of these"),
    ("disk", "info", "a checkpoint takes {0} MiB", ""),
    ("near", "warning", "{0} queries have a near-duplicate", "evaluate with --exclude-duplicates"),
)


def many_findings(count: int, last_step: int) -> Iterator[Finding]:
    """So many findings, evenly over the steps of a run of ten steps an epoch."""
    for number in range(count):
        code, level, text, advice = _FINDINGS[number % len(_FINDINGS)]
        step = 1 + number * (last_step - 1) // count
        words = text.format(10 + number)
        yield Finding(code=code, level=level, text=words, advice=advice, step=step, epoch=step / 10)


def add_runs(folder: Path) -> None:
    """Eight runs of several states and settings, each with a curve and evaluations."""
    for name, end, done, lr, temperature, floor in _RUNS:
        run = create_run(folder, name, latest=False)
        settings = {"epochs": _EPOCHS, "lr": lr, "temperature": temperature}
        config = changed(resolved(Config()), dict(settings))
        write_config(config, run.config)
        journal = JournalWriter(run.journal)
        for event in _events(dict(to_dict(config)), name, end, 10 * done, floor):
            journal.write(event)
        journal.close()


def _events(
    config: dict[str, object], name: str, end: str, steps: int, floor: float
) -> Iterator[Event]:
    """A run of ten steps an epoch whose loss falls to a floor, evaluated every five epochs."""
    yield Started(name=name, host="box", device="a GPU")
    yield Segment(
        config=config, chance=5.55, chance_ce=6.93, steps_per_epoch=10, epochs=_EPOCHS, t=1000.0
    )
    for step in range(1, steps + 1):
        share = 1 - math.exp(-step / 60)
        loss = 5.55 - (5.55 - floor) * share + 0.15 * math.sin(2.4 * step)
        yield Step(
            step=step,
            epoch=step / 10,
            loss=loss,
            ce=1.2 * loss,
            top1=share * (1 - floor / 6),
            lr=0.1,
            feature_std=0.9,
            img_s=900.0 + step,
            data_s=0.01,
            step_s=0.5,
            mem_gib=7.0,
            t=1000.0 + step,
        )
        if step % 50 == 0:
            value = 0.25 + share * (0.7 - floor / 10)
            hit = division_hit(value, 0.25, {"untrained": 0.35}, queries=400)
            group = group_recall(value / 2, 0.02, {"untrained": 0.1}, queries=400)
            yield Eval(epoch=step / 10, step=step, scores=[hit, group], queries=400, gallery=5000)
    if end:
        yield End(status=end, reason="asked", step=steps, epoch=steps / 10, t=1000.0 + steps)
