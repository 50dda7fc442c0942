"""A run opened for training: everything the loop needs, from scratch or from the last checkpoint."""

import dataclasses
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tmssl.config import Config, changed, differences, from_dict, read_config, to_dict
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.sampler import CodeIndex, Sampler
from tmssl.errors import CheckpointError, ConfigError
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.events import Event, Finding, Segment, Started
from tmssl.runs.findings.diagnose import new_findings
from tmssl.runs.folder import Run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.schedule import chance_ce, chance_loss, planned_learning_rate, solved_loss
from tmssl.training.checkpoints.evaluations import Evaluations
from tmssl.training.checkpoints.store import load_payload
from tmssl.training.checkpoints.writer import CheckpointWriter
from tmssl.training.distributed import ALONE, Ranks
from tmssl.training.learner import (
    Learner,
    choose_device,
    create_learner,
    restore_learner,
    views_dtype,
)
from tmssl.training.loader import ViewLoader
from tmssl.training.machine import code_commit, device_name, versions
from tmssl.training.meter import Meter
from tmssl.training.numerics import keep_freed_memory, set_numerics
from tmssl.types import Indices

# Losses under different values of these cannot be compared. So it is with N, which no resume changes.
_LOSS_SETTINGS = {
    "optim.temperature",
    "data.positives",
    "data.vienna_share",
    "data.vienna_level",
    "data.views",
}


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
    loader: ViewLoader
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


def open_session(run: Run, journal: JournalWriter | None, ranks: Ranks = ALONE) -> Session:
    """Read the settings, the pack and the last whole checkpoint, and open a segment.

    Raises:
        InputError: settings, pack or checkpoints that cannot be used.
    """
    config = read_config(run.config)
    history = read_history(read_journal(run.journal))
    pack = open_pack(Path(config.data.pack))
    device = choose_device(config.train.device)
    set_numerics(device, deterministic=config.train.deterministic)
    if device.type == "cpu":
        keep_freed_memory()
    sampler = create_sampler(pack, config)
    payload = last_payload(run)
    if payload is not None:
        _check_same_data(payload, pack)
    learner = open_learner(config, payload, device, ranks)
    step = payload["step"] if payload else 0
    ranks.check_same({"checkpoint": payload and step, "pack": pack.fingerprint, "config": config})
    session = Session(
        run=run,
        config=config,
        journal=journal,
        history=history,
        ranks=ranks,
        pack=pack,
        loader=_create_loader(config, pack, sampler, learner),
        learner=learner,
        meter=open_meter(config, payload, device),
        writer=CheckpointWriter(run.checkpoints),
        evaluations=Evaluations(
            run,
            every=config.train.eval_every if ranks.is_first else 0,
            best_by=config.train.best_by,
        ),
        steps_per_epoch=sampler.steps_per_epoch,
        step=step,
        segment=len(history.segments),
        best=payload["best"] if payload and _losses_comparable(payload, config) else None,
    )
    if history.started is None:
        session.write(_started(run, pack, device, ranks))
    session.evaluations.resume(step)
    old = from_dict(payload["config"]) if payload else None
    session.write(new_segment(session, old, reason="resume" if history.segments else "start"))
    return session


def _create_loader(config: Config, pack: Pack, sampler: Sampler, learner: Learner) -> ViewLoader:
    """The loader of this rank's part of every batch."""
    return ViewLoader(
        pack,
        sampler,
        views=config.data.views,
        size=config.data.image_size,
        device=learner.device,
        end=config.train.epochs * sampler.steps_per_epoch,
        part=learner.ranks.batch_slice(config.train.batch_size),
        dtype=views_dtype(learner),
    )


def open_learner(
    config: Config, payload: dict[str, Any] | None, device: torch.device, ranks: Ranks
) -> Learner:
    """A learner under these settings, with fresh weights or those of a checkpoint."""
    if payload is None:
        return create_learner(config, device, ranks)
    # The checkpoint holds every weight, and the file that the run began from may be gone.
    learner = create_learner(changed(config, {"model.init": ""}), device, ranks)
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
    if payload is not None and _losses_comparable(payload, config):
        meter.restore(payload["meter"])
    return meter


def _losses_comparable(payload: dict[str, Any], config: Config) -> bool:
    """Whether losses under a checkpoint's settings and under these mean the same."""
    return not _LOSS_SETTINGS & set(differences(from_dict(payload["config"]), config))


def create_sampler(pack: Pack, config: Config) -> Sampler:
    """The sampler of a run's settings, over the marks that are not kept for validation.

    Raises:
        ConfigError: positives come from Vienna codes, and no mark has one.
    """
    splits = pack.marks.column("split", str, "")
    rows: Indices = np.array([i for i, s in enumerate(splits) if s != "validation"], np.int64)
    settings, partners = config.data, None
    if settings.positives != "instance":
        codes_by_row = pack.marks.codes()
        codes = [codes_by_row[row] for row in rows]
        if not any(codes):
            raise ConfigError(
                f"positives are '{settings.positives}' and no mark has a Vienna code; "
                "use --positives instance, or labels with codes"
            )
        partners = CodeIndex(codes, settings.vienna_level)
    share = 1.0 if settings.positives == "vienna" else settings.vienna_share
    return Sampler(
        rows, config.train.batch_size, config.train.seed, partners=partners, partner_share=share
    )


def last_payload(run: Run) -> dict[str, Any] | None:
    """The newest whole checkpoint, or None for a run that has none yet."""
    if not any(run.checkpoints.glob("*.pt")):
        return None
    return load_payload(find_checkpoint(run, "last"))


def _check_same_data(payload: dict[str, Any], pack: Pack) -> None:
    """Refuse to go on with other images than a checkpoint was trained on."""
    if payload["data_fingerprint"] != pack.fingerprint:
        raise CheckpointError(
            f"the pack at {pack.folder} holds other images than this run was trained on; "
            "start a new run, or bring the old images back"
        )


def _started(run: Run, pack: Pack, device: torch.device, ranks: Ranks) -> Started:
    """The first event of a journal."""
    validation = pack.marks.column("split", str, "").count("validation")
    return Started(
        name=run.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        host=platform.node(),
        device=device_name(device, ranks.size),
        versions=versions(),
        commit=code_commit(),
        data_fingerprint=pack.fingerprint,
        counts={
            "marks": pack.count,
            "train": pack.count - validation,
            "validation": validation,
            "with_codes": sum(map(bool, pack.marks.codes())),
            "quarantined": len(pack.quarantine),
        },
    )


def new_segment(session: Session, old: Config | None, *, reason: str) -> Segment:
    """The event that opens a segment; `old` are the settings that the weights were trained under."""
    config = session.config
    keys, tau = config.train.batch_size, config.optim.temperature
    return Segment(
        number=session.segment,
        step=session.step,
        epoch=session.epoch,
        reason=reason,
        config=dict(to_dict(config)),
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
