"""Gradients that are not finite: skipped, told, and after three in a row undone at half the LR."""

import time

from tmssl.config import changed, write_config
from tmssl.errors import ConfigError, TrainingError
from tmssl.runs.events import Finding
from tmssl.training.guard import Damage
from tmssl.training.saving import journal_saved
from tmssl.training.session import (
    Session,
    last_payload,
    new_segment,
    opened_learner,
    restore_meter,
)

_IN_A_ROW = 3
_IN_A_ROW_SCALED = 20  # a scaler begins at 2^16 and halves at each overflow, by design
_MOST_ROLLBACKS = 5


def healthy(session: Session) -> bool:
    """Whether training may simply go on; False when it went back to a checkpoint.

    Waits for the device, so it is asked when a step is logged or saved, and on a CPU always.

    Raises:
        TrainingError: it has gone back so often that going on is pointless.
    """
    damage = session.learner.guard.look()
    scaled = session.learner.scaler.is_enabled()
    if damage.longest >= (_IN_A_ROW_SCALED if scaled else _IN_A_ROW):
        roll_back(session, damage)
        return False
    if damage.count and not scaled:
        others = f" and {damage.count - 1} before it" if damage.count > 1 else ""
        text = f"the gradient of step {damage.last}{others} is not finite and was skipped"
        session.write(_bad_steps(session, "non-finite", damage, text))
    return True


def _bad_steps(session: Session, code: str, damage: Damage, text: str) -> Finding:
    """The finding that the gradient of some steps is not finite."""
    return Finding(
        code=code,
        level="bad",
        step=damage.last,
        epoch=damage.last / session.steps_per_epoch,
        text=text,
        t=time.time(),
        advice="if it comes again: lower --lr, lengthen --warmup-epochs, or --precision float32",
    )


def roll_back(session: Session, damage: Damage) -> None:
    """Go on from the last checkpoint, or from the start, at half the LR, as a segment of its own."""
    rolled = sum(segment.reason == "rollback" for segment in session.history.segments)
    if rolled >= _MOST_ROLLBACKS:
        raise TrainingError(
            f"gradients are not finite even at LR {session.config.optim.lr:.2e}, after "
            f"{rolled} rollbacks; look at the data and the settings"
        )
    journal_saved(session, session.saver.wait())
    old = session.config
    lr = old.optim.lr / 2
    session.config = changed(
        old, {"lr": lr, "min_lr": min(old.optim.min_lr, lr), "rewarm_lr": old.optim.rewarm_lr / 2}
    )
    if session.ranks.first:
        _write_settings(session)
    session.ranks.wait()  # for the checkpoint that rank 0 may have been writing
    payload = last_payload(session.run)
    chunk_size, device = session.learner.chunk_size, session.learner.device
    session.learner = opened_learner(session.config, payload, device, session.ranks)
    session.learner.chunk_size = chunk_size
    session.step = payload["step"] if payload else 0
    session.meter.restart()
    restore_meter(session, payload)
    text = (
        f"gradients were not finite, {damage.longest} steps in a row up to step {damage.last}; "
        f"training goes on from step {session.step} at half the LR"
    )
    session.write(_bad_steps(session, "rollback", damage, text))
    session.segment = len(session.history.segments)
    session.write(new_segment(session, old, reason="rollback"))


def _write_settings(session: Session) -> None:
    """Write down the LR of now; without room for it training goes on, and a resume would take the old."""
    try:
        write_config(session.config, session.run.config)
    except ConfigError as error:
        session.write(
            Finding(
                code="settings-not-written",
                level="warning",
                step=session.step,
                epoch=session.epoch,
                text=f"the halved LR {session.config.optim.lr:.2e} is not written down: {error}",
                advice=f"a resume from here needs --lr {session.config.optim.lr:g}",
                t=time.time(),
            )
        )
