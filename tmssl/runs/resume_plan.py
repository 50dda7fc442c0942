"""The settings and learning rates of a resume, computed before anything runs."""

import dataclasses
import math

from tmssl.config import Config, changed, differences
from tmssl.errors import ConfigError, RunError
from tmssl.runs.schedule import planned_learning_rate
from tmssl.text import number

# The steps of an epoch or the shapes of the weights depend on these settings. The source may change, as
# when a run moves to another machine: the fingerprint of the pack tells whether the images are the same.
FIXED = (
    "data.image_size",
    "model.name",
    "model.hidden",
    "model.dimensions",
    "model.init",
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

    @property
    def jump(self) -> float:
        """lr_after / lr_before; infinite when the old LR was 0."""
        return self.lr_after / self.lr_before if self.lr_before else math.inf

    @property
    def jump_words(self) -> str:
        """`jump x1.47`, or `up from 0`."""
        return f"jump x{number(self.jump, 3)}" if self.lr_before else "up from 0"


def plan_resume(
    old: Config,
    changes: dict[str, object],
    *,
    step: int,
    steps_per_epoch: int,
    restart_schedule: bool = False,
    trained: Config | None = None,
    unended: bool = False,
) -> ResumePlan:
    """The settings and learning rates with which a run would continue.

    More epochs move the end of the cosine and keep its anchor. The anchor moves to `step` if the
    schedule changes from constant to cosine, or if `restart_schedule` is set.

    Args:
        old: the current settings.
        changes: setting to new value.
        step: steps done at the checkpoint that it continues.
        steps_per_epoch: as in the journal.
        restart_schedule: start the cosine anew at `step`.
        trained: settings of the checkpoint, if a later segment changed them and left no checkpoint.
        unended: allow a run that has done all its epochs, because its trainer vanished after the last.

    Raises:
        RunError: the run has already done so many epochs.
        ConfigError: a setting that cannot change within a run, or a bad value.
    """
    epoch = step / steps_per_epoch
    new = changed(old, changes)
    frozen = [name for name in differences(old, new) if name in FIXED]
    if frozen:
        raise ConfigError(
            f"{frozen[0]} cannot change within a run ({len(frozen)} such); start a new run for it"
        )
    end = new.train.epochs * steps_per_epoch
    vanished = unended and step == old.train.epochs * steps_per_epoch
    if step > end or (step == end and not vanished):
        raise RunError(
            f"the run has done {epoch:.4g} epochs already and would end at {new.train.epochs}; "
            f"give --epochs above {math.floor(epoch)}"
        )
    turned = old.optim.schedule == "constant" and new.optim.schedule == "cosine"
    if restart_schedule or (turned and "anchor" not in {n.rpartition(".")[2] for n in changes}):
        new = changed(new, {"optim.anchor": epoch})
    trained = trained or old
    before = planned_learning_rate(
        step, trained.optim, steps_per_epoch=steps_per_epoch, epochs=trained.train.epochs
    )
    if "optim.rewarm_steps" in changes or "rewarm_steps" in changes:
        new = changed(new, {"optim.rewarm_step": step, "optim.rewarm_lr": before})
    after = planned_learning_rate(
        step, new.optim, steps_per_epoch=steps_per_epoch, epochs=new.train.epochs
    )
    return ResumePlan(new, differences(trained, new), step, epoch, before, after)
