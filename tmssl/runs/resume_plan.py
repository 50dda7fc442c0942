"""The settings and learning rates of a resume, computed before anything runs."""

import dataclasses
import math
from collections.abc import Sequence

from tmssl.config import Config, changed, differences, from_dict
from tmssl.errors import ConfigError, RunError
from tmssl.runs.checkpoints import Sidecar
from tmssl.runs.schedule import planned_decay_begin, planned_learning_rate
from tmssl.text import number

# The steps of an epoch or the shapes of the weights depend on these settings. The source may change, as
# when a run moves to another machine: the fingerprint of the pack tells whether the images are the same.
FIXED = (
    "data.image_size",
    "model.name",
    "model.hidden",
    "model.dimensions",
    "model.init",
    "model.normalization",
    "model.features",
    "model.stages",
    "model.grid",
    "model.whiten",
    "model.train",
    "model.heads",
    "train.batch_size",
    "train.seed",
)


@dataclasses.dataclass(frozen=True)
class ResumePlan:
    """A resume that can be shown before it is written."""

    config: Config
    changed: dict[str, list[object]]
    """setting to [old, new]"""
    step: int
    """steps done at the checkpoint that it continues"""
    epoch: float
    lr_before: float
    """LR of the next step under the old settings"""
    lr_after: float
    """LR of the next step under the new ones"""
    undone: float = 0.0
    """epochs of a decay that it goes back before, since that decay has moved"""
    without_stable: bool = False
    """whether it would go back, had a checkpoint from before the decay been kept"""

    @property
    def jump(self) -> float:
        """lr_after / lr_before; infinite when the old LR was 0."""
        return self.lr_after / self.lr_before if self.lr_before else math.inf

    @property
    def jump_words(self) -> str:
        """`jump x1.47`, or `up from 0`."""
        return f"jump x{number(self.jump, 3)}" if self.lr_before else "up from 0"

    @property
    def back_words(self) -> str:
        """Why it goes back, or cannot, in a sentence; empty for a resume that goes on where it is."""
        if self.undone:
            return (
                f"the decay has moved: {self.undone:.4g} epochs of it are undone, from the last "
                f"checkpoint before it (epoch {self.epoch:.4g}); what was decayed is kept"
            )
        if self.without_stable:
            return "the decay has moved, and no checkpoint from before it is left to go back to"
        return ""


def decay_to_undo(trained: Config, new: Config, *, step: int, steps_per_epoch: int) -> int | None:
    """Steps done when the decay began that a resume must undo, as the new settings begin it later.

    None where it goes on from `step`: before the decay, to the end that was planned, under another
    schedule, or with a schedule that was restarted after the decay had begun.

    Args:
        trained: settings of the checkpoint.
        new: settings to go on with.
        step: steps done at the checkpoint.
        steps_per_epoch: as in the journal.
    """
    old_begin, new_begin = (
        planned_decay_begin(
            config.optim, steps_per_epoch=steps_per_epoch, epochs=config.train.epochs
        )
        for config in (trained, new)
    )
    if old_begin is None or new_begin is None or not old_begin < min(step, new_begin):
        return None
    return old_begin if round(new.optim.anchor * steps_per_epoch) <= old_begin else None


def resume_checkpoint(checkpoints: Sequence[Sidecar], new: Config) -> Sidecar:
    """The checkpoint from which a run goes on: the newest, or the last one before a decay that moved.

    Args:
        checkpoints: those that `resumable_checkpoints` found, newest first; at least one.
        new: settings to go on with.
    """
    newest = checkpoints[0]
    if newest.config is None:
        return newest
    per_epoch, trained = newest.steps_per_epoch, from_dict(newest.config)
    begin = decay_to_undo(trained, new, step=newest.step, steps_per_epoch=per_epoch)
    if begin is None:
        return newest
    return next((sidecar for sidecar in checkpoints if sidecar.step <= begin), newest)


def plan_resume(
    old: Config,
    changes: dict[str, object],
    *,
    step: int,
    steps_per_epoch: int,
    restart_schedule: bool = False,
    trained: Config | None = None,
    unended: bool = False,
    checkpoints: Sequence[Sidecar] = (),
) -> ResumePlan:
    """The settings and learning rates with which a run would continue.

    More epochs move the end of the cosine and keep its anchor. The anchor moves to `step` if the
    schedule changes from constant to cosine, or if `restart_schedule` is set. Under `wsd` more epochs
    move the decay; if that has begun, the run goes back to the last checkpoint before it, unless
    `restart_schedule` is set.

    Args:
        old: the current settings.
        changes: setting to new value.
        step: steps done at the checkpoint that it continues.
        steps_per_epoch: as in the journal.
        restart_schedule: start the cosine, or the stable rate, anew at `step`.
        trained: settings of the checkpoint, if a later segment changed them and left no checkpoint.
        unended: allow a run that has done all its epochs, because its trainer vanished after the last.
        checkpoints: those to which it may go back, newest first.

    Raises:
        RunError: the run has already done so many epochs.
        ConfigError: a setting that cannot change within a run, or a bad value.
    """
    new = changed(old, changes)
    frozen = [name for name in differences(old, new) if name in FIXED]
    if frozen:
        raise ConfigError(
            f"{frozen[0]} cannot change within a run ({len(frozen)} such); start a new run for it"
        )
    _check_not_done(old, new, step, steps_per_epoch, unended=unended)
    turned = old.optim.schedule == "constant" and new.optim.schedule == "cosine"
    if restart_schedule or (turned and "anchor" not in {n.rpartition(".")[2] for n in changes}):
        new = changed(new, {"optim.anchor": step / steps_per_epoch})
    trained = trained or old
    begin = decay_to_undo(trained, new, step=step, steps_per_epoch=steps_per_epoch)
    back = next((s for s in checkpoints if begin is not None and s.step <= begin), None)
    undone = 0.0
    if back is not None:
        undone, step = (step - back.step) / steps_per_epoch, back.step
        trained = trained if back.config is None else from_dict(back.config)
    before = planned_learning_rate(
        step, trained.optim, steps_per_epoch=steps_per_epoch, epochs=trained.train.epochs
    )
    if "optim.rewarm_steps" in changes or "rewarm_steps" in changes:
        new = changed(new, {"optim.rewarm_step": step, "optim.rewarm_lr": before})
    after = planned_learning_rate(
        step, new.optim, steps_per_epoch=steps_per_epoch, epochs=new.train.epochs
    )
    return ResumePlan(
        new,
        differences(trained, new),
        step,
        step / steps_per_epoch,
        before,
        after,
        undone,
        without_stable=begin is not None and back is None,
    )


def _check_not_done(
    old: Config, new: Config, step: int, steps_per_epoch: int, *, unended: bool
) -> None:
    """Refuse a resume of a run that has already done so many epochs.

    Raises:
        RunError: it has, and its trainer did not vanish after the last of them.
    """
    end = new.train.epochs * steps_per_epoch
    vanished = unended and step == old.train.epochs * steps_per_epoch
    if step > end or (step == end and not vanished):
        epoch = step / steps_per_epoch
        raise RunError(
            f"the run has done {epoch:.4g} epochs already and would end at {new.train.epochs}; "
            f"give --epochs above {math.floor(epoch)}"
        )
