"""What a session keeps on the disk: checkpoints, and which of them evaluations find best."""

import time

import msgspec

from tmssl.runs.events import Checkpoint, Eval, Finding
from tmssl.training.learner import learner_state
from tmssl.training.saver import Saved
from tmssl.training.session import Session
from tmssl.training.signals import SignalFlags


def save(
    session: Session, reason: str, *, best: bool = False, keep_as: tuple[str, ...] = ()
) -> None:
    """Start writing a checkpoint; its journal line follows when it is on the disk."""
    if not session.ranks.first:
        return
    begun = time.perf_counter()
    payload = {
        "format": 1, "step": session.step, "epoch": session.epoch,
        "steps_per_epoch": session.steps_per_epoch, "segment": session.segment,
        "best": session.best, "config": session.history.segments[-1].config,
        "data_fingerprint": session.pack.fingerprint, "meter": session.meter.state(),
        **learner_state(session.learner),
    }  # fmt: skip
    before = session.saver.save(payload, reason=reason, best=best, keep_as=keep_as, begun=begun)
    journal_saved(session, before)
    session.saved_at = time.monotonic()


def journal_saved(session: Session, saved: Saved | None) -> None:
    """Journal how a save went; a failed one is a finding, and training goes on."""
    if saved is None:
        return
    if saved.written is None:
        told = _not_written("a checkpoint could not be written", saved.problem)
        session.write(
            msgspec.structs.replace(told, step=session.step, epoch=session.epoch, t=time.time())
        )
        return
    written = saved.written
    session.write(
        Checkpoint(
            path=str(written.path.relative_to(session.run.path)), sha256=written.sha256,
            epoch=written.epoch, step=written.step, reason=saved.reason, best=saved.best,
            seconds=saved.stall_s, t=time.time(),
        )
    )  # fmt: skip
    for name in saved.keep_as:
        session.evaluations.begin_if_kept(name)


def take_in_evaluations(session: Session) -> None:
    """Take in what an evaluation beside the training found."""
    try:
        told = session.evaluations.poll()
    except OSError as error:
        told = [_not_written("the best checkpoint could not be kept", error)]
    session.history.add([event for event in told if isinstance(event, Eval)])  # its child wrote it
    for finding in told:
        if isinstance(finding, Finding):
            session.write(
                msgspec.structs.replace(
                    finding, step=session.step, epoch=session.epoch, t=time.time()
                )
            )


def finish_evaluations(session: Session, flags: SignalFlags) -> None:
    """Wait for the evaluations of the last checkpoints; a signal leaves them to end by themselves."""
    journal_saved(session, session.saver.wait())
    while session.evaluations.busy and flags.stop is None:
        time.sleep(0.05)
        take_in_evaluations(session)


def _not_written(what: str, problem: object) -> Finding:
    """The finding that the disk refused something."""
    return Finding(
        code="checkpoint-failed", level="bad", text=f"{what}: {problem}",
        advice="free disk space now; the checkpoint before is intact and training goes on",
    )  # fmt: skip
