"""What happens after steps that were not finite: a finding, or back to a checkpoint at half the LR."""

from tmssl.config import changed, write_config
from tmssl.errors import ConfigError, TrainingError
from tmssl.training.checkpoints.opening import open_checkpoint
from tmssl.training.nonfinite import NonfiniteSteps
from tmssl.training.saving import journal_save
from tmssl.training.session import Session, new_segment, open_learner, open_meter

_IN_A_ROW = 3
_IN_A_ROW_SCALED = 20  # a scaler begins at 2^16 and halves at each overflow, by design
_MOST_ROLLBACKS = 5


def roll_back_if_nonfinite(session: Session) -> bool:
    """Go back to the last checkpoint after too many skipped steps in a row; whether it did.

    Fewer skipped steps are a finding. Waits for the device, so the loop calls it when a step is
    logged or saved, and after every step on a CPU.

    Raises:
        TrainingError: it has gone back so often that another try is pointless.
    """
    steps = session.learner.nonfinite.read()
    scaled = session.learner.scaler.is_enabled()
    if steps.longest >= (_IN_A_ROW_SCALED if scaled else _IN_A_ROW):
        _roll_back(session, steps)
        return True
    if steps.count and not scaled:
        others = f" and {steps.count - 1} before it" if steps.count > 1 else ""
        text = f"the gradient of step {steps.last}{others} is not finite and was skipped"
        _write_nonfinite(session, "non-finite", steps, text)
    return False


def _write_nonfinite(session: Session, code: str, steps: NonfiniteSteps, text: str) -> None:
    """Journal a finding at the last step that was not finite."""
    advice = "if it comes again: lower --lr, lengthen --warmup-epochs, or --precision float32"
    session.write_finding(code, "bad", text, advice, step=steps.last)


def _roll_back(session: Session, steps: NonfiniteSteps) -> None:
    """Go on from the last checkpoint, or from the start, at half the LR, in a new segment."""
    rollbacks = sum(segment.reason == "rollback" for segment in session.history.segments)
    if rollbacks >= _MOST_ROLLBACKS:
        raise TrainingError(
            f"gradients are not finite even at LR {session.config.optim.lr:.2e}, after "
            f"{rollbacks} rollbacks; look at the data and the settings"
        )
    journal_save(session, session.writer.wait())
    old = session.config
    optim, lr = old.optim, old.optim.lr / 2
    session.config = changed(
        old, {"lr": lr, "min_lr": min(optim.min_lr, lr), "rewarm_lr": optim.rewarm_lr / 2}
    )
    if session.ranks.is_first:
        _write_settings(session)
    session.ranks.barrier()  # rank 0 may have been writing the checkpoint
    opened = open_checkpoint(session.run, session.config, session.history.segments)
    payload = opened.payload if opened else None
    chunk_size, device = session.learner.chunk_size, session.learner.device
    session.learner = open_learner(session.config, payload, session.pack, device, session.ranks)
    session.learner.chunk_size = chunk_size
    session.step = payload["step"] if payload else 0
    session.meter = open_meter(session.config, payload, device)
    text = (
        f"gradients were not finite, {steps.longest} steps in a row up to step {steps.last}; "
        f"training goes on from step {session.step} at half the LR"
    )
    _write_nonfinite(session, "rollback", steps, text)
    session.segment = len(session.history.segments)
    session.write(new_segment(session, old, reason="rollback"))


def _write_settings(session: Session) -> None:
    """Write the halved LR to the run's settings; on a full disk training goes on without."""
    try:
        write_config(session.config, session.run.config)
    except ConfigError as error:
        lr = session.config.optim.lr
        session.write_finding(
            "settings-not-written",
            "warning",
            f"the halved LR {lr:.2e} is not written to the settings: {error}",
            f"a resume from here needs --lr {lr:g}",
        )
