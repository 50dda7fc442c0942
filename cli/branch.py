"""`tmssl train --branch RUN`: a run of its own that goes on from a checkpoint of another."""

import shutil
import time
from pathlib import Path
from typing import Any

from cli.output.console import say
from cli.start import (
    absolute_paths,
    events_of,
    launch,
    locate_images,
    name_latest,
    run_settings,
)
from tmssl.config import write_config
from tmssl.data.sources.specification import source_name
from tmssl.errors import CheckpointError, RunError
from tmssl.locks import is_at
from tmssl.runs.branching import BranchPlan, make_branch, plan_branch, unbegun_branch
from tmssl.runs.checkpoints import list_checkpoints
from tmssl.runs.events import Segment
from tmssl.runs.folder import Run, claimed_run, new_run, run_name, taken_words
from tmssl.text import learning_rate, safe
from tmssl.unfinished import sweep

_TRIES = 3  # to take a checkpoint that its trainer replaces meanwhile
_PAUSE_S = 0.5


def planned_branch(
    source: Run, settings: dict[str, Any], which: str, restart_schedule: bool = False
) -> BranchPlan:
    """What a branch of a run would be.

    Raises:
        RunError: no checkpoint fits, or the images are not here.
        CheckpointError: there is none of that name or step.
        ConfigError: a setting that cannot change within a run.
    """
    old = run_settings(source)
    settings = {**settings, **absolute_paths(settings)}
    settings |= locate_images(source, old, settings)
    return plan_branch(
        list_checkpoints(source),
        [event for event in events_of(source) if isinstance(event, Segment)],
        old,
        settings,
        which=which,
        restart_schedule=restart_schedule,
    )


def branch_run(
    source: Run,
    settings: dict[str, Any],
    runs_folder: Path,
    *,
    name: str = "",
    which: str = "",
    restart_schedule: bool = False,
) -> Run:
    """Make a run that goes on from a checkpoint of another, and start its trainer; the other is only read.

    A branch of that name whose command was killed before its trainer began is begun.

    Raises:
        InputError: a name, checkpoint or settings that cannot be used.
    """
    sweep(runs_folder)
    for _ in range(_TRIES):
        plan = planned_branch(source, settings, which, restart_schedule)
        label = name or run_name(source_name(plan.resume.config.data.source))
        run = Run(runs_folder.resolve() / label)
        if _is_unbegun(run, plan):
            write_config(plan.resume.config, run.config)
            break
        new_run(run.path.parent, label)
        if make_branch(run, source, events_of(source), plan):
            break
        time.sleep(_PAUSE_S)
    else:
        raise CheckpointError(
            f"the checkpoint {safe(plan.name)} of {safe(source.path)} is damaged; give --from with another"
        )
    for line in branch_lines(source, plan):
        say(line)
    _begin(run)
    name_latest(run)
    return run


def _is_unbegun(run: Run, plan: BranchPlan) -> bool:
    """Whether a folder is a branch off this checkpoint that was never trained."""
    branch = unbegun_branch(run)
    return branch is not None and branch.sha256 == plan.sidecar.sha256


def _begin(run: Run) -> None:
    """Start the trainer of a new branch; a run that never begins leaves no folder behind."""
    with claimed_run(run) as folder:
        if unbegun_branch(run) is None:  # somebody has resumed it meanwhile
            raise RunError(taken_words(run))
        begun = False
        try:
            segments = sum(isinstance(event, Segment) for event in events_of(run))
            launch(run, segments, folder)
            begun = True
        finally:
            if not begun and is_at(run.path, folder):
                shutil.rmtree(run.path)


def branch_lines(source: Run, plan: BranchPlan) -> list[str]:
    """Where a branch begins, what it changes and what becomes of the learning rate."""
    resume = plan.resume
    lines = [
        f"branching off {safe(source.path)} at epoch {resume.epoch:.4g} (checkpoint {safe(plan.name)}), "
        f"to epoch {resume.config.train.epochs}"
    ]
    lines += [
        f"  {setting}: {safe(before)} -> {safe(after)}"
        for setting, (before, after) in resume.changed.items()
    ]
    rates = f"old {learning_rate(resume.lr_before)}, new {learning_rate(resume.lr_after)}"
    return [*lines, f"  learning rate: {rates}, {resume.jump_words}"]
