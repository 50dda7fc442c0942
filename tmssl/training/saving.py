"""What a session keeps on the disk: checkpoints, and which of them evaluations find best."""

import time

import msgspec

from tmssl.errors import TrainingError
from tmssl.runs.checkpoints import valid_checkpoints
from tmssl.runs.events import Checkpoint, Eval, Finding
from tmssl.training.checkpoints.writer import Asked, Saved
from tmssl.training.learner import learner_state
from tmssl.training.session import Session
from tmssl.training.signals import SignalFlags

_SOONER_S = 60.0  # between tries while the disk refuses checkpoints, if that is sooner than usual
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0  # between tries at the end


def save(
    session: Session, reason: str, *, best: bool = False, keep_as: tuple[str, ...] = ()
) -> None:
    """Start writing a checkpoint; its journal line follows when it is on the disk."""
    if not session.ranks.first:
        return
    begun = time.perf_counter()
    payload = {
        "format": 1,
        "step": session.step,
        "epoch": session.epoch,
        "steps_per_epoch": session.steps_per_epoch,
        "segment": session.segment,
        "best": session.best,
        "config": session.history.segments[-1].config,
        "data_fingerprint": session.pack.fingerprint,
        "meter": session.meter.state(),
        **learner_state(session.learner),
    }
    journal_saved(session, session.saver.save(Asked(payload, reason, best, keep_as), begun))
    session.saved_at = time.monotonic()


def is_late(session: Session) -> bool:
    """Whether the last checkpoint is older than it may get; a refused one is tried again sooner.

    Only the rank that writes them knows.
    """
    if not session.ranks.first:
        return False
    usual = 60 * session.config.train.checkpoint_minutes
    most = usual if session.refused_at is None else min(usual, _SOONER_S)
    return time.monotonic() - session.saved_at > most


def journal_saved(session: Session, saved: Saved | None) -> None:
    """Journal how a save went; the first of several refusals is a finding, and training goes on."""
    if saved is None:
        return
    if saved.asked is not None and saved.written is not None:
        written = saved.written
        session.write(
            Checkpoint(
                path=str(written.path.relative_to(session.run.path)),
                sha256=written.sha256,
                epoch=written.epoch,
                step=written.step,
                reason=saved.asked.reason,
                best=saved.asked.best and "best" not in written.refused,
                seconds=saved.asked.stall_s,
                t=time.time(),
            )
        )
    _tell_of_refusals(session, saved)
    for name in saved.kept:
        session.evaluations.begin_if_kept(name)


def _tell_of_refusals(session: Session, saved: Saved) -> None:
    """Findings when the disk begins to refuse checkpoints, gives some up, and takes them again."""
    if saved.problem and session.refused_at is None:
        session.refused_at = time.monotonic()
        what = "a checkpoint could not be written"
        if saved.written is not None:
            what = f"a checkpoint could not be kept as {', '.join(saved.written.refused)}"
        session.write(_found(session, _not_written(what, saved.problem)))
    if saved.given_up:
        session.write(
            _found(
                session,
                Finding(
                    code="checkpoint-given-up",
                    level="warning",
                    text=f"{', '.join(saved.given_up)} was refused by the disk and waited in memory, which newer "
                    "refused checkpoints need now; it is lost",
                    advice="free disk space now; the newer ones are written once there is some",
                ),
            )
        )
    if not saved.problem and session.refused_at is not None:
        waited_s = time.monotonic() - session.refused_at
        session.refused_at = None
        late = f", {', '.join(saved.caught_up)} of before too" if saved.caught_up else ""
        session.write(
            _found(
                session,
                Finding(
                    code="checkpoint-caught-up",
                    level="good",
                    text=f"checkpoints are written again after {waited_s:.0f} s{late}",
                    advice="keep disk space free",
                ),
            )
        )


def settle(session: Session, flags: SignalFlags, patience_s: float) -> None:
    """Wait until the state of now is on the disk under all its names, trying again for a while.

    A signal that comes meanwhile ends the wait. Names that are refused to the end are a finding.

    Raises:
        TrainingError: the state itself could not be saved; the checkpoint before is as it was.
    """
    journal_saved(session, session.saver.wait())
    begun, pause_s, asked = time.monotonic(), _PAUSE_S, flags.stop
    while session.saver.unsaved or session.saver.owed:
        if time.monotonic() - begun >= patience_s or flags.stop != asked:
            _give_up(session, time.monotonic() - begun)
            return
        resume_at = min(time.monotonic() + pause_s, begun + patience_s)
        while time.monotonic() < resume_at and flags.stop == asked:
            time.sleep(0.05)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        journal_saved(session, session.saver.retry())


def _give_up(session: Session, waited_s: float) -> None:
    """Say what is not on the disk at the end; an unsaved state is an error."""
    if not session.saver.unsaved:
        names = ", ".join(session.saver.owed)
        session.write(
            _found(
                session,
                Finding(
                    code="checkpoint-given-up",
                    level="bad",
                    text=f"the disk refused {names} for {waited_s:.0f} s; they are lost, last.pt is whole",
                    advice="free disk space before the next run",
                ),
            )
        )
        return
    whole = valid_checkpoints(session.run.checkpoints)
    kept = f"the last whole one is of step {whole[0][0]}" if whole else "there is none before it"
    raise TrainingError(
        f"step {session.step} is done and its checkpoint could not be written in {waited_s:.0f} s of "
        f"trying; {kept}. Free disk space and go on from there with `tmssl train --resume`"
    )


def take_in_evaluations(session: Session) -> None:
    """Take in what an evaluation beside the training found."""
    for event in session.evaluations.poll():
        if isinstance(event, Eval):
            session.history.add([event])  # its child wrote it
        elif isinstance(event, Finding):
            if event.code == "best":
                session.saver.forgo("best")
            session.write(_found(session, event))


def finish_evaluations(session: Session, flags: SignalFlags) -> None:
    """Wait for the evaluations of the last checkpoints; a signal leaves them to end by themselves.

    The best one that the disk refuses to keep is tried for some time, and stays as what it was called.
    """
    patience_s = 60 * session.config.train.checkpoint_minutes
    until = time.monotonic() + patience_s
    while session.evaluations.busy or session.evaluations.unkept:
        if flags.stop is not None or time.monotonic() > until:
            return
        time.sleep(0.05)
        take_in_evaluations(session)
        if session.evaluations.busy:
            until = time.monotonic() + patience_s


def _found(session: Session, finding: Finding) -> Finding:
    """A finding of here and now."""
    return msgspec.structs.replace(finding, step=session.step, epoch=session.epoch, t=time.time())


def _not_written(what: str, problem: object) -> Finding:
    """The finding that the disk refused something."""
    return Finding(
        code="checkpoint-failed",
        level="bad",
        text=f"{what}: {problem}",
        advice="free disk space now; the checkpoint before is intact, training goes on, and it is "
        "tried again",
    )
