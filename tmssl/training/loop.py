"""The training loop."""

import contextlib
import math
import sys
import time

import msgspec

from tmssl.config import read_config
from tmssl.errors import InputError, RunError, TmsslError
from tmssl.runs.events import End, Epoch, Finding, Step
from tmssl.runs.folder import Run, hold_lock
from tmssl.runs.history import read_history
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.schedule import momentum, planned_learning_rate
from tmssl.training.checkpoints.evaluations import kept_for_evaluation
from tmssl.training.distributed import RankLostError, Ranks, joined_ranks, named_losses
from tmssl.training.label_noise import measure_positives
from tmssl.training.learner import Update, choose_device, update
from tmssl.training.loss import feature_std
from tmssl.training.machine import gpu_use, numerics_of_its_own
from tmssl.training.meter import memory_gib
from tmssl.training.nonfinite import healthy
from tmssl.training.optimizer import set_learning_rate
from tmssl.training.saving import (
    finish_evaluations,
    is_late,
    journal_saved,
    save,
    settle,
    take_in_evaluations,
)
from tmssl.training.session import Session, open_session
from tmssl.training.signals import EXIT_CODES, SignalFlags
from tmssl.training.trainer_journal import PatientJournal

_DIAGNOSE_EVERY = 50  # steps between looks at the history within an epoch
_HASTE_S = 2.0  # whoever stops a trainer waits for it, so a full disk gets no longer than this


def train(run: Run, flags: SignalFlags) -> int:
    """Train a run to its end or until a signal, and return the process's exit code.

    Raises:
        InputError: the run cannot be opened for training; nothing was changed.
    """
    device = choose_device(read_config(run.config).train.device)
    with joined_ranks(device) as ranks, numerics_of_its_own():
        if not ranks.first:
            _follow_first(run, ranks, flags)
            return 0
        with hold_lock(run):
            _lead(run, ranks, flags)
    # torchrun takes any other code than 0 for a crash, and says so at length.
    return EXIT_CODES[flags.stop] if flags.stop and ranks.size == 1 else 0


def _lead(run: Run, ranks: Ranks, flags: SignalFlags) -> None:
    """Train and write the journal: the whole of it for a process alone, rank 0's part else."""
    journal = PatientJournal(run.journal)
    session, end = None, None
    try:
        with named_losses():
            ranks.wait()  # the others may read the journal now
            session = open_session(run, journal, ranks)
            end = learn(session, flags)
    except RankLostError as error:
        journal.write(_rank_lost(run, error))
        raise
    finally:
        raised = sys.exc_info()[1]
        if session is not None or not isinstance(raised, InputError):  # else nothing was changed
            # Whatever broke, the journal says so before a traceback goes to train.log.
            journal.write(end or _failed(raised))
        journal.sync()
        journal.close()


def _follow_first(run: Run, ranks: Ranks, flags: SignalFlags) -> None:
    """Train without writing anything, unless rank 0 is lost and nobody has said so."""
    try:
        with named_losses():
            ranks.wait()
            learn(open_session(run, None, ranks), flags)
    except RankLostError as error:
        with contextlib.suppress(RunError), hold_lock(run):
            _tell_for_first(run, error)
        raise


def _tell_for_first(run: Run, error: RankLostError) -> None:
    """End the journal of a run whose rank 0 is gone, once."""
    events = read_journal(run.journal) if run.journal.exists() else []
    if events and isinstance(events[-1], End):
        return
    journal = JournalWriter(run.journal)
    journal.write(_rank_lost(run, error))
    journal.write(_failed(error))
    journal.close()


def _rank_lost(run: Run, error: RankLostError) -> Finding:
    """The finding that a process of several is gone, at the last step that was journaled."""
    history = read_history(read_journal(run.journal))
    return Finding(
        code="rank-lost",
        level="bad",
        step=history.step,
        epoch=history.epoch,
        text=str(error),
        advice="go on from the last checkpoint with `tmssl train --resume`, with fewer --gpus if "
        "one is broken",
        t=time.time(),
    )


def _failed(error: BaseException | None) -> End:
    """The last line of a life that broke."""
    name = "" if isinstance(error, TmsslError) else f"{type(error).__name__}: "
    return End(status="failed", reason=f"{name}{error}", t=time.time())


def learn(session: Session, flags: SignalFlags) -> End:
    """The loop: one screen, in reading order."""
    asked = False
    try:
        write_positives(session, flags)
        session.write_findings()  # what the plan itself shows
        while session.step < session.total_steps:
            stop, checkpoint, late = session.ranks.agreed(flags, late=is_late(session))
            asked = asked or checkpoint
            if stop is not None:
                healthy(session)
                save(session, "stop")
                settle(session, flags, _HASTE_S)
                return _end(session, "stopped", f"asked to by {stop.name}")
            lr = one_step(session)
            logged = _due(session, session.config.train.log_every)
            cheap = session.learner.device.type == "cpu"  # there is nothing to wait for
            if (logged or asked or late or cheap) and not healthy(session):
                continue
            if _due(session, _DIAGNOSE_EVERY):
                session.write_findings()
            if session.step % session.steps_per_epoch == 0:
                finish_epoch(session, lr)
            elif asked or late:
                save(session, "signal" if asked else "time")
            asked = False
            journal_saved(session, session.saver.poll())
            take_in_evaluations(session)
        settle(session, flags, 60 * session.config.train.checkpoint_minutes)
        finish_evaluations(session, flags)
        return _end(session, "finished", f"{session.config.train.epochs} epochs done")
    finally:
        session.feed.close()
        journal_saved(session, session.saver.wait())
        session.saver.close()


def write_positives(session: Session, flags: SignalFlags) -> None:
    """Journal how alike positives are where they come from Vienna codes."""
    data = session.config.data
    if data.positives == "instance" or not session.ranks.first:
        return
    event = measure_positives(
        session.learner,
        session.pack,
        session.feed.sampler,
        epoch=int(session.epoch),
        image_size=data.image_size,
        stop=lambda: flags.stop is not None,
    )
    if event is not None:
        place = {"segment": session.segment, "step": session.step, "epoch": session.epoch}
        session.write(
            msgspec.structs.replace(event, level=data.vienna_level, t=time.time(), **place)
        )


def one_step(session: Session) -> float:
    """Train one step, journal it when it is due, and return its learning rate."""
    lr = _learning_rate(session)
    set_learning_rate(session.learner.optimizer, lr)
    m = momentum(session.step, total_steps=session.total_steps, start=session.config.optim.momentum)
    views = session.feed.views(session.step)
    chunk_size = session.learner.chunk_size
    session.step += 1
    done = update(session.learner, views, m, session.step)
    session.meter.add(done.result, views.idle or views.data_s)
    if session.learner.chunk_size < chunk_size:
        session.write(_halved(session, chunk_size))
    if _due(session, session.config.train.log_every):
        log_step(session, done, lr=lr, m=m)
    return lr


def _halved(session: Session, before: int) -> Finding:
    """The finding that memory ran out."""
    return Finding(
        code="out-of-memory",
        level="warning",
        step=session.step,
        epoch=session.epoch,
        text=f"memory ran out with {before} images at once; going on with "
        f"{session.learner.chunk_size}, still against all {session.config.train.batch_size} keys",
        advice="nothing to do; --chunk-size auto would have found a size that fits before the start",
        t=time.time(),
    )


def log_step(session: Session, done: Update, *, lr: float, m: float) -> None:
    """Journal the means since the last logged step."""
    use = gpu_use(session.learner.device)  # while it is still at work on this step
    figures, step_s, data_s = session.meter.recent()
    loss, ce, top1, positive, negative = figures
    session.write(
        Step(
            step=session.step,
            epoch=session.epoch,
            loss=loss,
            ce=ce,
            top1=top1,
            lr=lr,
            momentum=m,
            grad_norm=float(done.grad_norm),
            feature_std=float(feature_std(done.result.queries)),
            positive_cosine=positive,
            negative_cosine=negative,
            img_s=session.config.train.batch_size / step_s if step_s else None,
            data_s=data_s,
            step_s=step_s,
            mem_gib=memory_gib(session.learner.device),
            gpu_util=use,
            t=time.time(),
        )
    )


def finish_epoch(session: Session, lr: float) -> None:
    """Journal the epoch, look for findings, and save a checkpoint."""
    figures, seconds, shape = session.meter.epoch()
    loss, ce, top1 = figures[:3]
    epoch = session.step // session.steps_per_epoch
    session.write(
        Epoch(
            epoch=epoch,
            step=session.step,
            loss=loss,
            ce=ce,
            top1=top1,
            lr=lr,
            seconds=seconds,
            t=time.time(),
            **shape,
        )
    )
    session.write_findings()
    lowest = math.isfinite(loss) and (session.best is None or loss < session.best)
    if lowest:
        session.best = loss
    every, last = session.config.train.keep_every, session.step >= session.total_steps
    keep_as = [f"epoch-{epoch:04d}"] if every and epoch % every == 0 else []
    if session.evaluations.due(epoch, last=last):
        keep_as.append(kept_for_evaluation(epoch))
    best = lowest and session.evaluations.best is None
    save(session, "end" if last else "epoch", best=best, keep_as=tuple(keep_as))


def _learning_rate(session: Session) -> float:
    """The learning rate of the next step."""
    return planned_learning_rate(
        session.step,
        session.config.optim,
        steps_per_epoch=session.steps_per_epoch,
        epochs=session.config.train.epochs,
    )


def _due(session: Session, every: int) -> bool:
    """Whether this step is logged: every so many, and at the end of an epoch."""
    return session.step % every == 0 or session.step % session.steps_per_epoch == 0


def _end(session: Session, status: str, reason: str) -> End:
    """The last line of this life of the run."""
    return End(status=status, reason=reason, step=session.step, epoch=session.epoch, t=time.time())
