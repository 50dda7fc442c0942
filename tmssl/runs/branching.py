"""A run that branches off another: which checkpoint it goes on from, its settings, and its folder."""

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from tmssl.config import Config, changed, from_dict, write_config
from tmssl.errors import CheckpointError, RunError
from tmssl.files import open_plain, sync, write_atomic
from tmssl.runs.checkpoints import Sidecar, digest, find_sidecar, is_current
from tmssl.runs.events import Branch, End, Eval, Event, Segment, Started
from tmssl.runs.folder import Run, make_folders, taken_words
from tmssl.runs.journal import encode, read_journal
from tmssl.runs.resume_plan import ResumePlan, plan_resume
from tmssl.runs.schedule import planned_decay_begin
from tmssl.text import count, safe
from tmssl.unfinished import unfinished_path

# Where a run is trained now matters more than where its checkpoint was made.
_OF_THE_MACHINE = (
    "data.source",
    "data.pack",
    "data.images_under",
    "train.gpus",
    "train.device",
)


@dataclasses.dataclass(frozen=True)
class BranchPlan:
    """A branch that can be shown before anything is written."""

    name: str
    """of the checkpoint"""
    sidecar: Sidecar
    resume: ResumePlan
    """its settings and learning rates, as those of a resume from that checkpoint"""


def plan_branch(
    checkpoints: Mapping[str, Sidecar],
    segments: Sequence[Segment],
    config: Config,
    changes: Mapping[str, object],
    *,
    which: str = "",
    restart_schedule: bool = False,
) -> BranchPlan:
    """What a run would be that goes on from a checkpoint of another, under the settings of that checkpoint.

    Under `wsd` the decay begins where a run of that length from the start would begin it, or at the
    checkpoint if that is later; it is shortened to what is left, unless `changes` give its length.

    Args:
        checkpoints: name to sidecar of the other run, newest first.
        segments: of the other run.
        config: the other run's present settings, of which those of the machine are taken.
        changes: setting to new value, as `section.name`.
        which: name or step of the checkpoint; empty for the newest one from which the new end can be
            reached as if it had been planned: before the decay of either run.
        restart_schedule: begin the cosine or the stable rate anew at the checkpoint.

    Raises:
        RunError: no checkpoint fits.
        CheckpointError: there is none of that name or step.
        ConfigError: a setting that cannot change within a run, or a bad value.
    """
    if which:
        name = _named(checkpoints, which)
    else:
        name = _chosen(checkpoints, segments, config, dict(changes))
    sidecar = checkpoints[name]
    old, new = _settings(sidecar, config), changed(_settings(sidecar, config), dict(changes))
    step, per_epoch = sidecar.step, sidecar.steps_per_epoch
    plan = plan_resume(
        old,
        {**changes, **_in_decay(old, new, changes, step, per_epoch)},
        step=step,
        steps_per_epoch=per_epoch,
        restart_schedule=restart_schedule,
    )
    return BranchPlan(name, sidecar, plan)


def _settings(sidecar: Sidecar, config: Config) -> Config:
    """The settings of a checkpoint on the machine of a run's present settings."""
    trained = config if sidecar.config is None else from_dict(sidecar.config)
    machine = (setting.split(".") for setting in _OF_THE_MACHINE)
    return changed(
        trained,
        {f"{section}.{name}": getattr(getattr(config, section), name) for section, name in machine},
    )


def _chosen(
    checkpoints: Mapping[str, Sidecar],
    segments: Sequence[Segment],
    config: Config,
    changes: dict[str, object],
) -> str:
    """The newest checkpoint from which the new end can be reached as if it had been planned.

    Raises:
        RunError: there is none.
    """
    for name, sidecar in checkpoints.items():
        trained = _settings(sidecar, config)
        if is_current(sidecar, segments) and _fits(sidecar, trained, changed(trained, changes)):
            return name
    raise RunError(_none_fits(checkpoints, changed(config, changes)))


def unbegun_branch(run: Run) -> Branch | None:
    """Where a run branched off, if its command was killed before it trained; else None."""
    events = read_journal(run.journal) if run.journal.is_file() else []
    return events[-1] if events and isinstance(events[-1], Branch) else None


def _named(checkpoints: Mapping[str, Sidecar], which: str) -> str:
    """The checkpoint of a name, or of a number of steps.

    Raises:
        CheckpointError: there is none.
    """
    if which in checkpoints:
        return which
    for name, sidecar in checkpoints.items():
        if which == str(sidecar.step):
            return name
    raise CheckpointError(
        f"--from is '{safe(which, 60)}', and no kept checkpoint has that name or step; there are "
        f"{_listed(checkpoints)}"
    )


def _listed(checkpoints: Mapping[str, Sidecar]) -> str:
    """`last (step 50, epoch 10), stable (step 40, epoch 8)`."""
    names = [
        f"{safe(name, 60)} (step {sidecar.step}, epoch {sidecar.epoch:.4g})"
        for name, sidecar in checkpoints.items()
    ]
    return ", ".join(names) or "none"


def _fits(sidecar: Sidecar, trained: Config, new: Config) -> bool:
    """Whether a checkpoint is before the new end, and before the decay of either run."""
    per_epoch = sidecar.steps_per_epoch
    begins = [
        planned_decay_begin(one.optim, steps_per_epoch=per_epoch, epochs=one.train.epochs)
        for one in (trained, new)
    ]
    before_decay = all(begin is None or sidecar.step <= begin for begin in begins)
    return before_decay and sidecar.step < new.train.epochs * per_epoch


def _none_fits(checkpoints: Mapping[str, Sidecar], new: Config) -> str:
    """Why no checkpoint can be taken, and what to do."""
    if not checkpoints:
        return "the run has no checkpoint to branch from; one is written at the end of each epoch"
    per_epoch = next(iter(checkpoints.values())).steps_per_epoch
    epochs = new.train.epochs
    begin = planned_decay_begin(new.optim, steps_per_epoch=per_epoch, epochs=epochs)
    place = f"the end at epoch {epochs}"
    if begin is not None:
        place = f"epoch {begin / per_epoch:.4g}, where a run of {count(epochs, 'epoch')} decays"
    return (
        f"no kept checkpoint is from before {place}, and before the run's own decay; there are "
        f"{_listed(checkpoints)}: give more --epochs, or --from with one of these"
    )


def _in_decay(
    old: Config, new: Config, changes: Mapping[str, object], step: int, per_epoch: int
) -> dict[str, object]:
    """Settings that let the decay begin at the checkpoint, where it is from after the planned beginning."""
    begins = [
        planned_decay_begin(one.optim, steps_per_epoch=per_epoch, epochs=one.train.epochs)
        for one in (old, new)
    ]
    left = new.train.epochs - step / per_epoch
    if begins[1] is None or left <= 0 or step <= min(b for b in begins if b is not None):
        return {}
    settings: dict[str, object] = {"optim.anchor": step / per_epoch}
    if "optim.decay_epochs" not in changes and new.optim.decay_epochs > left:
        settings["optim.decay_epochs"] = left
    return settings


def past(events: Sequence[Event], sidecar: Sidecar) -> list[Event]:
    """The events of a run up to a checkpoint, in their order, without those of segments after it."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, Segment):
            if event.number > sidecar.segment:
                break
            kept.append(event)
        elif not isinstance(event, End) and getattr(event, "step", 0) <= sidecar.step:
            kept.append(event)
    return kept


def make_branch(run: Run, source: Run, events: Sequence[Event], plan: BranchPlan) -> bool:
    """Make the folder of a run that branches off another; False where the checkpoint is not the planned one.

    That is so where it is damaged, or its trainer has just replaced it. The folder is filled under a hidden name and gets its own at once, so a kill leaves a whole run or none.

    Args:
        run: the new run; nothing has its name.
        source: the other run, which is only read.
        events: its journal.
        plan: of the branch.

    Raises:
        RunError: the disk refuses it, or the name was taken meanwhile.
    """
    try:
        with _filled(run) as fresh:
            make_folders(fresh)
            if not _take(source, plan.name, plan.sidecar, fresh.checkpoints / "last"):
                return False
            kept = past(events, plan.sidecar)
            segments = [event for event in kept if isinstance(event, Segment)]
            _take_best(source, plan.sidecar, segments, fresh)
            _take_matches(source, [e for e in kept if isinstance(e, Eval)], fresh)
            lines = [
                msgspec.structs.replace(event, name=run.name)
                if isinstance(event, Started)
                else event
                for event in kept
            ]
            branch = Branch(
                run=str(source.path),
                checkpoint=plan.name,
                sha256=plan.sidecar.sha256,
                segment=len(segments),
                step=plan.sidecar.step,
                epoch=plan.sidecar.epoch,
                t=time.time(),
            )
            write_atomic(fresh.journal, map(encode, [*lines, branch]))
            write_config(plan.resume.config, fresh.config)
    except OSError as error:
        raise RunError(
            f"cannot make {safe(run.path)}: {error.strerror or error}; free disk space, or choose "
            "another --runs"
        ) from error
    return True


@contextlib.contextmanager
def _filled(run: Run) -> Iterator[Run]:
    """The folder of a run under a hidden name, renamed to its own when the block ends without an error.

    Raises:
        RunError: the name was taken meanwhile.
        OSError: the disk refuses it.
    """
    run.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = unfinished_path(run.path)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        yield Run(fresh)
        if (fresh / "config.toml").is_file():
            sync(fresh)
            if os.path.lexists(run.path):
                raise RunError(taken_words(run))
            fresh.rename(run.path)
            sync(run.path.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _take(source: Run, name: str, sidecar: Sidecar, target: Path) -> bool:
    """Link or copy a checkpoint with its sidecar; False where it is not the one that the sidecar describes.

    Raises:
        OSError: it cannot be read, or the disk is full.
    """
    path, taken = source.checkpoints / f"{name}.pt", target.with_suffix(".pt")
    os.close(open_plain(path, os.O_RDONLY))  # no link is followed
    try:
        taken.hardlink_to(path)
    except OSError:  # another disk, another user's file, or a disk without hard links
        _copy(path, taken)
    if digest(taken) != sidecar.sha256:
        taken.unlink()
        return False
    write_atomic(target.with_suffix(".json"), msgspec.json.encode(sidecar))
    return True


def _take_best(source: Run, sidecar: Sidecar, segments: Sequence[Segment], fresh: Run) -> None:
    """Take the best checkpoint of the other run too, if it is of the past that the two share.

    Raises:
        OSError: the disk is full.
    """
    best = find_sidecar(source.checkpoints, "best")
    if best is None or best.segment > sidecar.segment or best.step > sidecar.step:
        return
    if is_current(best, segments) and (source.checkpoints / "best.pt").is_file():
        _take(source, "best", best, fresh.checkpoints / "best")


def _take_matches(source: Run, evals: Sequence[Eval], fresh: Run) -> None:
    """Copy the matches of the evaluations that the two runs share.

    Raises:
        OSError: the disk is full.
    """
    for event in evals:
        name = Path(event.matches).name
        if name and event.matches == f"{fresh.eval.name}/{name}":
            with contextlib.suppress(FileNotFoundError, PermissionError):  # deleted, or private
                _copy(source.eval / name, fresh.eval / name)


def _copy(path: Path, target: Path) -> None:
    """Copy a regular file, without following a link.

    Raises:
        OSError: it cannot be read, or the disk is full.
    """
    with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy)
    sync(target)
