"""Checkpoints and evaluations of a session: saving them, journaling them, waiting for them, and ending by them."""

import time

from tmssl.errors import TrainingError
from tmssl.runs.checkpoints import FOR_EVALUATION, STABLE, valid_checkpoints
from tmssl.runs.events import Checkpoint, Eval, Finding
from tmssl.runs.findings.early_end import evidence
from tmssl.runs.main_figure import judge
from tmssl.stop_when import FIGURES, StopWhen, chosen_by, parse_stop_when
from tmssl.text import count, safe
from tmssl.training.checkpoints.opening import keep_decayed, keep_stable
from tmssl.training.checkpoints.writer import SaveRequest, SaveResult
from tmssl.training.learner import learner_state
from tmssl.training.session import Session
from tmssl.training.signals import SignalFlags

_RETRY_S = 60.0  # between checkpoints while the disk refuses them, if the usual interval is longer
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0  # between tries at the end
_POLL_S = 0.05


def save(
    session: Session, reason: str, *, best: bool = False, keep_as: tuple[str, ...] = ()
) -> None:
    """Start writing a checkpoint; its journal line follows when it is on the disk.

    The last one before a decay of the learning rate is kept as `stable` too.
    """
    if not session.ranks.is_first:
        return
    if session.is_before_decay:
        keep_as = (*keep_as, STABLE)
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
    request = SaveRequest(payload, reason, best, keep_as)
    journal_save(session, session.writer.save(request, begun))
    session.saved_at = time.monotonic()


def keep_for_decay(session: Session) -> None:
    """Keep the checkpoints that a decay of the learning rate needs, and tell of one that is undone."""
    opened = session.opened
    if opened is None or not session.ranks.is_first:
        return
    kept, problem = "", ""
    try:
        if opened.went_back:
            kept = keep_decayed(opened)
        if session.is_before_decay:
            keep_stable(opened.path)
    except OSError as error:
        problem = (
            f"; the disk refused to keep it under another name: {safe(error.strerror or error)}"
        )
    if not opened.went_back:
        return
    undone = f"{opened.newest.epoch:.4g}"
    session.write_finding(
        "decay-undone",
        "info",
        f"the decay has moved, so training goes on from the last checkpoint before it, of epoch "
        f"{session.epoch:.4g}; what was decayed up to epoch {undone} is "
        f"{f'kept as {kept}' if kept else 'replaced'}{problem}",
        "nothing to do; a resume to a later end that is to keep its decay needs --restart-schedule too",
    )


def is_checkpoint_due(session: Session) -> bool:
    """Whether the last checkpoint is as old as it may get; rank 0, which writes them, decides."""
    if not session.ranks.is_first:
        return False
    interval_s = session.checkpoint_interval_s
    if session.refused_at is not None:
        interval_s = min(interval_s, _RETRY_S)
    return time.monotonic() - session.saved_at > interval_s


def journal_save(session: Session, result: SaveResult | None) -> None:
    """Journal the result of a save, and evaluate the checkpoints that were kept for that."""
    if result is None:
        return
    request, written = result.request, result.written
    if request is not None and written is not None:
        session.write(
            Checkpoint(
                path=session.run.relative(written.path),
                sha256=written.sha256,
                epoch=written.epoch,
                step=written.step,
                reason=request.reason,
                best=request.best and "best" not in written.refused,
                seconds=request.stall_s,
            )
        )
    _write_disk_findings(session, result)
    for name in result.new_names:
        if name.startswith(FOR_EVALUATION):
            session.evaluations.begin(name)


def _write_disk_findings(session: Session, result: SaveResult) -> None:
    """Findings when the disk begins to refuse checkpoints, when some are lost, and when it is over."""
    if result.problem and session.refused_at is None:
        session.refused_at = time.monotonic()
        refusal = "a checkpoint could not be written"
        if result.written is not None:
            refusal = f"a checkpoint could not be kept as {', '.join(result.written.refused)}"
        session.write_finding(
            "checkpoint-failed",
            "bad",
            f"{refusal}: {result.problem}",
            "free disk space now; the previous checkpoint is intact, training goes on, and it is "
            "tried again",
        )
    if result.given_up:
        session.write_finding(
            "checkpoint-given-up",
            "warning",
            f"the disk refused {', '.join(result.given_up)}, which waited in memory until newer "
            "refused checkpoints needed the place; it is lost",
            "free disk space now; the newer ones are written once there is some",
        )
    if not result.problem and session.refused_at is not None:
        refused_s = time.monotonic() - session.refused_at
        session.refused_at = None
        names = f", earlier ones too: {', '.join(result.caught_up)}" if result.caught_up else ""
        session.write_finding(
            "checkpoint-caught-up",
            "good",
            f"checkpoints are written again after {refused_s:.0f} s{names}",
            "keep disk space free",
        )


def wait_until_saved(session: Session, flags: SignalFlags, patience_s: float) -> None:
    """Wait until the current state is on the disk under all its names, trying again on a full disk.

    A signal ends the wait. Names that were refused to the end are a finding.

    Raises:
        TrainingError: the state itself could not be saved; the previous checkpoint is intact.
    """
    stop, pause_s = flags.stop, _PAUSE_S
    journal_save(session, session.writer.wait())
    begun = time.monotonic()
    while session.writer.unsaved or session.writer.owed:
        if time.monotonic() - begun >= patience_s or flags.stop != stop:
            _give_up(session, time.monotonic() - begun)
            return
        resume_at = min(time.monotonic() + pause_s, begun + patience_s)
        while time.monotonic() < resume_at and flags.stop == stop:
            time.sleep(_POLL_S)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        journal_save(session, session.writer.retry())


def _give_up(session: Session, waited_s: float) -> None:
    """Report what is not on the disk at the end; an unsaved state is an error."""
    if not session.writer.unsaved:
        names = ", ".join(session.writer.owed)
        session.write_finding(
            "checkpoint-given-up",
            "bad",
            f"the disk refused {names} for {waited_s:.0f} s; they are lost, last.pt is whole",
            "free disk space before the next run",
        )
        return
    whole = valid_checkpoints(session.run.checkpoints)
    previous = (
        f"the last whole one is of step {whole[0][0]}" if whole else "there is none before it"
    )
    raise TrainingError(
        f"step {session.step} is done and its checkpoint could not be written in {waited_s:.0f} s of "
        f"trying; {previous}. Free disk space and go on from there with `tmssl train --resume`"
    )


def journal_evaluations(session: Session) -> None:
    """Take in the results of the evaluations beside the training, and journal their findings."""
    for event in session.evaluations.poll():
        if isinstance(event, Eval):
            session.history.add([event])  # its own process has journaled it
        elif isinstance(event, Finding):
            if event.code == "best":
                session.writer.forgo("best")
            session.write_finding(event.code, event.level, event.text, event.advice)


def wait_for_evaluations(session: Session, flags: SignalFlags) -> None:
    """Wait for the evaluations of the last checkpoints; after a signal they end by themselves.

    Where the disk refuses to keep the best one as `best`, that is tried for a checkpoint interval.
    """
    deadline = time.monotonic() + session.checkpoint_interval_s
    while session.evaluations.busy or session.evaluations.unkept:
        if flags.stop is not None or time.monotonic() > deadline:
            return
        time.sleep(_POLL_S)
        journal_evaluations(session)
        if session.evaluations.busy:
            deadline = time.monotonic() + session.checkpoint_interval_s


def early_end(session: Session, flags: SignalFlags) -> str:
    """Why training ends before its last epoch, the same on every rank; empty where it goes on.

    At the end of an epoch the trainer first waits for the evaluation of its checkpoint, so that the step of an
    early end depends on no clock.
    """
    stop = parse_stop_when(session.config.train.stop_when)
    if stop is None or session.step % session.steps_per_epoch or not _is_evaluated(session, flags):
        return ""
    found = evidence(session.history, stop) if session.ranks.is_first else None
    ends = found is not None and found.without_gain >= stop.evaluations
    if session.ranks.min(int(not ends)):
        _warn_if_missing(session, stop)
        return ""
    if found is None:  # the first rank says why
        return "early"
    reason = f"{stop.figure} has not improved for {count(found.without_gain, 'evaluation')}"
    kept = "best.pt is that checkpoint"
    if chosen_by(session.config.train) != stop.figure:
        kept = f"best.pt is chosen by {session.config.train.best_by}"
    if not any(
        f.code == "ended-early" and f.step == session.step for f in session.history.findings
    ):
        session.write_finding(
            "ended-early",
            "info",
            f"training ends here: {reason} since {found.best}; it was {found.curve_words}",
            f"{kept}; --resume waits for as many evaluations again, with --stop-when none to the end",
        )
    return f"{reason}; the best is {found.best}"


def _is_evaluated(session: Session, flags: SignalFlags) -> bool:
    """Wait, on all ranks together, until no evaluation runs; False where a signal asks to stop."""
    journal_save(session, session.writer.wait())
    while True:
        journal_evaluations(session)
        asked = session.ranks.agree(flags, due=session.evaluations.busy)
        flags.checkpoint = flags.checkpoint or asked.checkpoint  # for the loop
        if asked.stop is not None or not asked.due:
            return asked.stop is None
        time.sleep(_POLL_S)


def _warn_if_missing(session: Session, stop: StopWhen) -> None:
    """A finding, once in a segment, where evaluations lack the figure, so that it never ends training."""
    history = session.history
    known = {finding.code for finding in history.findings[history.first_finding :]}
    if not history.evals or evidence(history, stop) is not None or "stop-when-missing" in known:
        return
    there = [name for name in FIGURES if judge(history.evals[-1], name) is not None]
    session.write_finding(
        "stop-when-missing",
        "warning",
        f"evaluations have no figure '{stop.figure}' here, so nothing ends training early",
        f"resume with one that they have, such as --stop-when {there[0]}:{stop.evaluations}"
        if there
        else "give marks the labels it needs, or --stop-when none",
    )
