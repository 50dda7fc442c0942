"""The training loop, and the life of a trainer around it."""

import contextlib
import math
import os
import sys
import time
from functools import partial

import msgspec

from tmssl.claims import CLAIMED_VARIABLE
from tmssl.config import read_config
from tmssl.errors import InputError, RunError, TmsslError
from tmssl.locks import BEAT_S, DEAD_S
from tmssl.runs.checkpoints import FOR_EVALUATION
from tmssl.runs.events import End, Epoch, Finding, Step
from tmssl.runs.folder import Run, hold_lock, point_latest
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.notices.address import address_of
from tmssl.system import has_folder_paths
from tmssl.text import safe
from tmssl.training.checkpoints.evaluations import evaluation_name
from tmssl.training.checkpoints.recovery import finish_names, settle
from tmssl.training.label_noise import measure_positives
from tmssl.training.learner import Update, choose_device, update
from tmssl.training.loss import feature_std
from tmssl.training.machine import gpu_use
from tmssl.training.meter import memory_gib
from tmssl.training.notices import Notices, waited_for
from tmssl.training.numerics import restored_numerics
from tmssl.training.optimizer import set_learning_rate
from tmssl.training.ranks.distributed import RankLostError, Ranks, join_ranks, rank_lost_errors
from tmssl.training.ranks.rank_watch import watched_ranks
from tmssl.training.rollback import roll_back_if_nonfinite
from tmssl.training.saving import (
    early_end,
    is_checkpoint_due,
    journal_evaluations,
    journal_save,
    keep_for_decay,
    save,
    wait_for_evaluations,
    wait_until_saved,
)
from tmssl.training.session import Session, open_session
from tmssl.training.signals import EXIT_CODES, SignalFlags
from tmssl.training.trainer_journal import TrainerJournal, write_stderr
from tmssl.training.view_caching import cache_views

_DIAGNOSE_EVERY = 50  # steps between diagnoses within an epoch
_STOP_PATIENCE_S = 2.0  # for a full disk, since someone waits for the trainer to stop


def train(run: Run, flags: SignalFlags) -> int:
    """Train a run to its end or until a signal, and return the process's exit code.

    Raises:
        InputError: the run cannot be opened for training; nothing was changed.
    """
    settings = read_config(run.config).train
    notices = Notices(address_of(settings.notify), run.name)
    with (
        waited_for(notices),
        join_ranks(choose_device(settings.device)) as ranks,
        restored_numerics(),
    ):
        if not ranks.is_first:
            with watched_ranks(run, ranks):
                _train_unrecorded(run, ranks, flags)
            return 0
        with (
            hold_lock(run, on_loss=partial(_stop_for_loss, run, flags)) as (held, lock),
            watched_ranks(held, ranks),
        ):
            _train_recorded(held, ranks, flags, notices, by_heartbeat=lock.by_heartbeat)
    # torchrun takes any other code than 0 for a crash, and says so at length.
    return EXIT_CODES[flags.stop] if flags.stop and ranks.size == 1 else 0


def _stop_for_loss(run: Run, flags: SignalFlags, loss: str) -> None:
    """Stop the trainer of a run whose folder was renamed, deleted or replaced.

    What remains is written into the open folder; where that has no path, nothing may be written any more.
    """
    write_stderr(f"tmssl: the run's folder {safe(run.path)} {safe(loss)}; training stops")
    if not has_folder_paths():
        os._exit(1)
    flags.stop_for_loss(loss)


def _train_recorded(
    run: Run, ranks: Ranks, flags: SignalFlags, notices: Notices, *, by_heartbeat: bool = False
) -> None:
    """Train and write the journal, as rank 0 or as the only process."""
    journal = TrainerJournal(run.journal)
    session, end = None, None
    try:
        settle(run.checkpoints)
        with rank_lost_errors():
            ranks.barrier()  # the others may read the journal and the checkpoints now
            session = open_session(run, journal, ranks, notices)
            _finish_save(session)
            if CLAIMED_VARIABLE in os.environ:  # the command that started us may have been killed
                with contextlib.suppress(RunError):  # the command says so
                    point_latest(run)
            if by_heartbeat:
                _tell_of_heartbeat(session)
            end = run_steps(session, flags)
    except RankLostError as error:
        journal.write(_rank_lost(run, error))
        raise
    finally:
        raised = sys.exc_info()[1]
        if session is not None or not isinstance(raised, InputError):  # else nothing was changed
            # The journal gets its last event before a traceback goes to train.log.
            end = end or _failed(raised, session)
            journal.write(end)
            notices.tell(end, session.history if session else History())
        journal.sync()
        journal.close()


def _finish_save(session: Session) -> None:
    """Do what a save left undone when its trainer was killed in it."""
    if session.step and session.step % session.steps_per_epoch == 0:
        names = _kept_names(session)
        for name in finish_names(session.run.checkpoints, session.step, names):
            if name.startswith(FOR_EVALUATION):
                session.evaluations.begin(name)


def _kept_names(session: Session) -> list[str]:
    """The names, beside `last` and `best`, of the checkpoint of an epoch that has just ended."""
    epoch = session.step // session.steps_per_epoch
    every, is_last = session.config.train.keep_every, session.step >= session.total_steps
    keep_as = [f"epoch-{epoch:04d}"] if every and epoch % every == 0 else []
    if session.evaluations.due(epoch, last=is_last):
        keep_as.append(evaluation_name(epoch))
    return keep_as


def _tell_of_heartbeat(session: Session) -> None:
    """Journal, once in a run, that its lock is a file with a heartbeat."""
    if any(finding.code == "no-flock" for finding in session.history.findings):
        return
    session.write_finding(
        "no-flock",
        "info",
        f"the disk has no file locks (flock); the run is held by {session.run.lock.name}.heartbeat, "
        f"written every {BEAT_S:.0f} s",
        "train it from one machine at a time; after the loss of a machine, another one takes it over "
        f"once the heartbeat is {DEAD_S:.0f} s old",
    )


def _train_unrecorded(run: Run, ranks: Ranks, flags: SignalFlags) -> None:
    """Train without writing anything, unless rank 0 is lost and the journal has no end."""
    try:
        with rank_lost_errors():
            ranks.barrier()
            run_steps(open_session(run, None, ranks), flags)
    except RankLostError as error:
        with contextlib.suppress(RunError), hold_lock(run) as (held, _):
            _end_journal(held, error)
        raise


def _end_journal(run: Run, error: RankLostError) -> None:
    """End the journal in place of rank 0, which is gone, unless another rank has done so."""
    events = read_journal(run.journal) if run.journal.exists() else []
    if events and isinstance(events[-1], End):
        return
    journal = JournalWriter(run.journal)
    journal.write(_rank_lost(run, error))
    history = read_history(events)
    end = _failed(error, None)
    journal.write(msgspec.structs.replace(end, step=history.step, epoch=history.epoch))
    journal.close()


def _rank_lost(run: Run, error: RankLostError) -> Finding:
    """The finding that one of several processes is gone, at the last step that was journaled."""
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


def _failed(error: BaseException | None, session: Session | None) -> End:
    """The last event of a trainer that failed, at its last step if it had begun."""
    name = "" if isinstance(error, TmsslError) else f"{type(error).__name__}: "
    step, epoch = (session.step, session.epoch) if session is not None else (0, 0.0)
    return End(status="failed", reason=f"{name}{error}", step=step, epoch=epoch, t=time.time())


def run_steps(session: Session, flags: SignalFlags) -> End:
    """The training loop, in reading order."""
    requested, ended = False, ""  # a checkpoint, by a signal; a rollback leaves it pending
    try:
        keep_for_decay(session)
        journal_positives(session, flags)
        session.write_new_findings()  # on the settings alone
        cache_views(session, flags)
        while session.step < session.total_steps and not (ended := early_end(session, flags)):
            asked = session.ranks.agree(flags, due=is_checkpoint_due(session))
            requested = requested or asked.checkpoint
            if asked.stop is not None:
                roll_back_if_nonfinite(session)
                save(session, "stop")
                wait_until_saved(session, flags, _STOP_PATIENCE_S)
                reason = f"asked to by {asked.stop.name}"
                if flags.loss:
                    reason = f"its folder {session.run.path} {flags.loss}"
                return _end(session, "stopped", reason)
            lr = train_step(session)
            may_wait = session.learner.device.type == "cpu" or requested or asked.due
            if (may_wait or _is_logged(session)) and roll_back_if_nonfinite(session):
                continue
            if _is_every(session, _DIAGNOSE_EVERY):
                session.write_new_findings()
            if session.step % session.steps_per_epoch == 0:
                finish_epoch(session, lr)
            elif requested or asked.due or session.is_before_decay:
                save(session, "signal" if requested else "time" if asked.due else "decay")
            requested = False
            journal_save(session, session.writer.poll())
            journal_evaluations(session)
        wait_until_saved(session, flags, session.checkpoint_interval_s)
        wait_for_evaluations(session, flags)
        return _end(session, "finished", ended or f"{session.config.train.epochs} epochs done")
    finally:
        session.loader.close()
        journal_save(session, session.writer.wait())
        session.writer.close()


def journal_positives(session: Session, flags: SignalFlags) -> None:
    """Journal how alike positives are, for each kind that brings two marks together."""
    for partners in session.loader.sampler.mixture if session.ranks.is_first else ():
        event = measure_positives(
            session.learner,
            session.pack,
            session.loader.sampler,
            partners,
            epoch=int(session.epoch),
            image_size=session.config.data.image_size,
            stop=lambda: flags.stop is not None,
        )
        if event is not None:
            level = session.config.data.vienna_level if partners.kind == "vienna" else ""
            place = {"segment": session.segment, "step": session.step, "epoch": session.epoch}
            session.write(msgspec.structs.replace(event, level=level, **place))


def train_step(session: Session) -> float:
    """Train one step, journal it when it is due, and return its learning rate."""
    learner, lr = session.learner, session.learning_rate
    set_learning_rate(learner.optimizer, lr)
    m = session.momentum
    views = session.loader.views(session.step)
    chunk_size = learner.chunk_size
    session.step += 1
    done = update(learner, views, m, session.step)
    session.meter.add(done.result, views.idle or views.data_s)
    if learner.chunk_size < chunk_size:
        session.write_finding(
            "out-of-memory",
            "warning",
            f"memory ran out with {chunk_size} images at once; going on with "
            f"{learner.chunk_size}, still against all {session.config.train.batch_size} keys",
            "nothing to do; --chunk-size auto would have found a size that fits before the start",
        )
    if _is_logged(session):
        log_step(session, done, lr=lr, m=m)
    return lr


def log_step(session: Session, done: Update, *, lr: float, m: float) -> None:
    """Journal the means over the steps since the last logged one."""
    device = session.learner.device
    use = gpu_use(device)  # before the reading below waits for the device
    means, step_s, data_s = session.meter.read_steps()
    session.write(
        Step(
            step=session.step,
            epoch=session.epoch,
            lr=lr,
            momentum=m,
            grad_norm=float(done.grad_norm),
            feature_std=float(feature_std(done.result.queries)),
            img_s=session.config.train.batch_size / step_s if step_s else None,
            data_s=data_s,
            step_s=step_s,
            mem_gib=memory_gib(device),
            gpu_util=use,
            **_known(session, means),
        )
    )


def _known(session: Session, means: dict[str, float]) -> dict[str, float]:
    """The figures that a session has: without a teacher there is no loss of one."""
    if session.learner.teacher is not None:
        return means
    return {name: value for name, value in means.items() if name != "teacher_loss"}


def finish_epoch(session: Session, lr: float) -> None:
    """Journal the epoch, look for findings, and save a checkpoint."""
    means = session.meter.read_epoch()
    epoch = session.step // session.steps_per_epoch
    session.write(Epoch(epoch=epoch, step=session.step, lr=lr, **_known(session, means)))
    session.write_new_findings()
    loss = means["loss"]
    is_lowest = math.isfinite(loss) and (session.best is None or loss < session.best)
    if is_lowest:
        session.best = loss
    best = is_lowest and session.evaluations.best is None
    reason = "end" if session.step >= session.total_steps else "epoch"
    save(session, reason, best=best, keep_as=tuple(_kept_names(session)))


def _is_logged(session: Session) -> bool:
    """Whether the step just done is journaled."""
    return _is_every(session, session.config.train.log_every)


def _is_every(session: Session, steps: int) -> bool:
    """Whether so many steps are done again, or an epoch."""
    return session.step % steps == 0 or session.step % session.steps_per_epoch == 0


def _end(session: Session, status: str, reason: str) -> End:
    """The last event of a trainer that did not fail."""
    return End(status=status, reason=reason, step=session.step, epoch=session.epoch, t=time.time())
