"""A run opened for training: everything the loop needs, from scratch or from the last checkpoint."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tmssl.config import (
    Config,
    changed,
    differences,
    from_dict,
    published,
    read_config,
    resolved,
    to_dict,
)
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.positives.partners import find_partners
from tmssl.data.sampler import Sampler
from tmssl.positives import parse_positives
from tmssl.runs.events import Event, Finding, Segment, Started
from tmssl.runs.findings.diagnose import new_findings
from tmssl.runs.folder import Run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.schedule import (
    chance_ce,
    chance_loss,
    planned_decay_begin,
    planned_learning_rate,
    planned_momentum,
    solved_loss,
)
from tmssl.stop_when import chosen_by
from tmssl.system import keep_freed_memory
from tmssl.training.checkpoints.evaluations import Evaluations
from tmssl.training.checkpoints.opening import (
    Opened,
    check_fits,
    losses_comparable,
    lowest_loss,
    open_checkpoint,
)
from tmssl.training.checkpoints.writer import CheckpointWriter
from tmssl.training.encoder.axes import MARKS_PER_FEATURE, affordable_features, axes_rows
from tmssl.training.encoder.foreign_weights import Tell
from tmssl.training.encoder.grid import GridEncoder
from tmssl.training.features.opening import OpenedStore, open_stores
from tmssl.training.features.pair_loader import PairLoader
from tmssl.training.learner import (
    Learner,
    choose_device,
    create_learner,
    restore_learner,
    views_dtype,
)
from tmssl.training.loader import ViewLoader
from tmssl.training.machine import device_name, started_event
from tmssl.training.meter import Meter
from tmssl.training.notices import SILENT, Notices
from tmssl.training.numerics import set_numerics
from tmssl.training.ranks.distributed import ALONE, Ranks
from tmssl.training.trainer_journal import fitting_progress
from tmssl.types import Indices, Progress


@dataclasses.dataclass(kw_only=True)
class Session:
    """The state of a trainer between two steps."""

    run: Run
    config: Config
    journal: JournalWriter | None
    """None on every rank but the first"""
    history: History
    ranks: Ranks
    pack: Pack
    loader: ViewLoader | PairLoader
    learner: Learner
    meter: Meter
    writer: CheckpointWriter
    evaluations: Evaluations
    steps_per_epoch: int
    step: int
    """steps done"""
    segment: int
    """number of the segment in force"""
    best: float | None
    """lowest mean loss of an epoch so far"""
    notices: Notices = SILENT
    cached: list[OpenedStore] = dataclasses.field(default_factory=list)
    """the stores of cached views, where the head alone is trained: the encoder's, then the teacher's"""
    opened: Opened | None = None
    """the checkpoint from which this trainer went on"""
    saved_at: float = dataclasses.field(default_factory=time.monotonic)
    """`time.monotonic()` of the last checkpoint"""
    refused_at: float | None = None
    """`time.monotonic()` at which the disk began to refuse checkpoints; None while it takes them"""

    @property
    def total_steps(self) -> int:
        """Steps at the planned end."""
        return self.config.train.epochs * self.steps_per_epoch

    @property
    def epoch(self) -> float:
        """Epochs done, a fraction."""
        return self.step / self.steps_per_epoch

    @property
    def learning_rate(self) -> float:
        """The planned learning rate of the next step."""
        return self.planned_lr(self.config)

    @property
    def momentum(self) -> float:
        """The planned momentum of the next step."""
        per_epoch, epochs = self.steps_per_epoch, self.config.train.epochs
        optim = self.config.optim
        return planned_momentum(self.step, optim, steps_per_epoch=per_epoch, epochs=epochs)

    @property
    def is_before_decay(self) -> bool:
        """Whether the decay of the learning rate begins with the next step."""
        per_epoch, epochs = self.steps_per_epoch, self.config.train.epochs
        begin = planned_decay_begin(self.config.optim, steps_per_epoch=per_epoch, epochs=epochs)
        return self.step == begin

    @property
    def checkpoint_interval_s(self) -> float:
        """Seconds after which a checkpoint is due, also within an epoch."""
        return 60 * self.config.train.checkpoint_minutes

    def planned_lr(self, config: Config) -> float:
        """The learning rate of the next step under some settings."""
        per_epoch, epochs = self.steps_per_epoch, config.train.epochs
        return planned_learning_rate(
            self.step, config.optim, steps_per_epoch=per_epoch, epochs=epochs
        )

    def write(self, event: Event) -> None:
        """Append an event, with the present time, to the journal and to the history."""
        if "t" in event.__struct_fields__:
            event = msgspec.structs.replace(event, t=time.time())
        if self.journal is not None:
            self.journal.write(event)
        self.history.add([event])
        if isinstance(event, Finding):
            self.notices.tell(event, self.history)

    def write_finding(
        self, code: str, level: str, text: str, advice: str, step: int | None = None
    ) -> None:
        """Journal a finding, at the present step if no other is given."""
        step = self.step if step is None else step
        epoch = step / self.steps_per_epoch
        finding = Finding(code=code, level=level, text=text, advice=advice, step=step, epoch=epoch)
        self.write(finding)

    def write_new_findings(self) -> None:
        """Journal what the history shows since the previous look."""
        for finding in new_findings(self.history):
            self.write(finding)
        failed = self.notices.failures()
        if failed:
            self.write_finding(
                "notice-failed",
                "info",
                f"{failed} notice{'s' * (failed > 1)} did not arrive after three tries",
                "check the service that notify names; training does not depend on it",
            )


def open_session(
    run: Run, journal: JournalWriter | None, ranks: Ranks = ALONE, notices: Notices = SILENT
) -> Session:
    """Read the settings, the pack and the last whole checkpoint, and open a segment.

    Raises:
        InputError: settings, pack or checkpoints that cannot be used.
    """
    config = resolved(read_config(run.config))
    history = read_history(read_journal(run.journal))
    pack = open_pack(Path(config.data.pack))
    device = choose_device(config.train.device)
    set_numerics(device, deterministic=config.train.deterministic)
    if device.type == "cpu":
        keep_freed_memory()
    sampler = create_sampler(pack, config)
    opened = open_checkpoint(run, config, history.segments)
    payload = opened.payload if opened else None
    if payload is not None:
        check_fits(payload, config, pack)
    told: list[str] = []  # of the initial weights
    started = started_event(run.name, pack, device_name(device, ranks.size))
    fitting = fitting_progress(journal, history, started)
    learner = open_learner(config, payload, pack, device, ranks, told.append, fitting)
    step = payload["step"] if payload else 0
    ranks.check_same({"checkpoint": payload and step, "pack": pack.fingerprint, "config": config})
    cached = _open_stores(run, config, pack, sampler, learner)
    every = config.train.eval_every if ranks.is_first else 0
    session = Session(
        run=run,
        config=config,
        journal=journal,
        history=history,
        ranks=ranks,
        notices=notices,
        pack=pack,
        loader=_create_loader(config, pack, sampler, learner, cached),
        cached=cached,
        opened=opened,
        learner=learner,
        meter=open_meter(config, payload, device),
        writer=CheckpointWriter(run.checkpoints),
        evaluations=Evaluations(run, every=every, best_by=chosen_by(config.train)),
        steps_per_epoch=sampler.steps_per_epoch,
        step=step,
        segment=len(history.segments),
        best=lowest_loss(run, payload, config),
    )
    _write_beginning(session, started, told)
    return session


def _write_beginning(session: Session, started: Started, told: list[str]) -> None:
    """Journal that the run has started, the segment, and what is to be said of the initial weights (`told`)."""
    if session.history.started is None:
        session.write(started)
    session.evaluations.resume(session.step)
    old = from_dict(session.opened.payload["config"]) if session.opened else None
    session.write(new_segment(session, old, reason=_reason(session.history)))
    if session.opened is None:
        _tell_whitening(session)
    for text in told:
        session.write_finding("init-weights", "info", text, "nothing to do if these are meant")


def _reason(history: History) -> str:
    """Why a segment is opened that is no rollback."""
    if history.branch is not None and history.branch.segment == len(history.segments):
        return "branch"
    return "resume" if history.segments else "start"


def _tell_whitening(session: Session) -> None:
    """A finding where a grid keeps fewer features than the settings want, for want of marks."""
    encoder, wanted = session.learner.encoder, session.config.model.whiten
    kept = [grid.features for grid in encoder.grids] if isinstance(encoder, GridEncoder) else []
    marks = len(axes_rows(session.pack, session.config.train.seed))
    if wanted and kept and affordable_features(wanted, marks) < wanted:
        session.write_finding(
            "whitening-narrow",
            "info",
            f"each stage keeps {max(kept)} whitened features, not {wanted}: one for every "
            f"{MARKS_PER_FEATURE} of the {marks} marks that they are fitted on",
            "more would be noise; more marks allow more",
        )


def _open_stores(
    run: Run, config: Config, pack: Pack, sampler: Sampler, learner: Learner
) -> list[OpenedStore]:
    """The stores of cached views, where the head alone is trained."""
    if config.model.train == "all":
        return []
    opened = open_stores(
        run.path,
        config,
        pack,
        sampler.rows,
        learner.encoder,
        learner.teacher,
        precision=learner.precision,
        creates=learner.ranks.is_first,
    )
    learner.ranks.barrier()  # the others read what the first has made
    return opened


def _create_loader(
    config: Config, pack: Pack, sampler: Sampler, learner: Learner, cached: list[OpenedStore]
) -> ViewLoader | PairLoader:
    """The loader of this rank's part of every batch."""
    views, device = config.data.views, learner.device
    end = config.train.epochs * sampler.steps_per_epoch
    part = learner.ranks.batch_slice(config.train.batch_size)
    if cached:
        stores = [opened.store for opened in cached]
        return PairLoader(stores, sampler, views=views, device=device, end=end, part=part)
    return ViewLoader(
        pack,
        sampler,
        views=views,
        size=config.data.image_size,
        device=device,
        end=end,
        part=part,
        dtype=views_dtype(learner),
        teacher_size=learner.teacher.size if learner.teacher else 0,
    )


def open_learner(
    config: Config,
    payload: dict[str, Any] | None,
    pack: Pack,
    device: torch.device,
    ranks: Ranks,
    tell: Tell = lambda _: None,
    fitting: Progress | None = None,
) -> Learner:
    """A learner under these settings, with fresh weights or those of a checkpoint.

    `tell` and `fitting` are as for `create_learner`.
    """
    if payload is None:
        return create_learner(config, device, ranks, pack=pack, tell=tell, fitting=fitting)
    # The checkpoint holds every weight, and the file that the run began from may be gone.
    fresh = changed(config, {"model.init": "none"})
    learner = create_learner(fresh, device, ranks, state=payload["encoder"])
    old = from_dict(payload["config"])
    same_optimizer = old.optim.optimizer == config.optim.optimizer
    restore_learner(learner, payload, same_optimizer=same_optimizer)
    if old.train.chunk_size == config.train.chunk_size and old.train.gpus == config.train.gpus:
        learner.chunk_size = payload["chunk_size"]  # it may have been halved for lack of memory
    return learner


def open_meter(config: Config, payload: dict[str, Any] | None, device: torch.device) -> Meter:
    """A meter that goes on with the epoch of a checkpoint, so that its mean is of all its steps.

    It starts anew where losses cannot be compared any more.
    """
    meter = Meter(device)
    if payload is not None and losses_comparable(payload["config"], config):
        meter.restore(payload["meter"])
    return meter


def create_sampler(pack: Pack, config: Config) -> Sampler:
    """The sampler of a run's settings, over the marks that are not kept for validation.

    Raises:
        ConfigError: no two marks can be positives of a kind that the settings name.
    """
    splits, data = pack.marks.column("split", str, ""), config.data
    rows: Indices = np.array([i for i, s in enumerate(splits) if s != "validation"], np.int64)
    shares = parse_positives(data.positives, data.vienna_share)
    mixture = find_partners(pack.marks, rows, shares, vienna_level=data.vienna_level)
    return Sampler(rows, config.train.batch_size, config.train.seed, mixture=mixture)


def new_segment(session: Session, old: Config | None, *, reason: str) -> Segment:
    """The event that opens a segment; `old` are the settings that the weights were trained under."""
    config = session.config
    keys, tau = config.train.batch_size, config.optim.temperature
    return Segment(
        number=session.segment,
        step=session.step,
        epoch=session.epoch,
        reason=reason,
        config=dict(to_dict(published(config))),
        changed=differences(old, config) if old else {},
        chance=chance_loss(keys, tau),
        solved=solved_loss(keys, tau),
        chance_ce=chance_ce(keys),
        batch_size=keys,
        chunk_size=session.learner.chunk_size,
        steps_per_epoch=session.steps_per_epoch,
        epochs=config.train.epochs,
        lr_before=session.planned_lr(old) if old else None,
        lr_after=session.learning_rate,
    )
