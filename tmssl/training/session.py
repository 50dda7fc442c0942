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
from tmssl.data.pack.pack import Pack, open_pack
from tmssl.data.sampler import CodeIndex, Sampler
from tmssl.errors import CheckpointError, ConfigError
from tmssl.runs.events import Event, Segment, Started
from tmssl.runs.findings.diagnose import new_findings
from tmssl.runs.folder import Run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.schedule import chance_ce, chance_loss, planned_learning_rate, solved_loss
from tmssl.training.checkpoints.evaluations import Evaluations
from tmssl.training.checkpoints.store import find_checkpoint, load_payload
from tmssl.training.checkpoints.writer import Saver
from tmssl.training.distributed import ALONE, Ranks
from tmssl.training.learner import (
    Learner,
    choose_device,
    create_learner,
    restore_learner,
    views_dtype,
)
from tmssl.training.loader import Feed
from tmssl.training.machine import (
    code_commit,
    device_name,
    keep_freed_memory,
    set_numerics,
    versions,
)
from tmssl.training.meter import Meter

# Settings that decide what a loss means; a change of N, too, which is fixed within a run.
_JUDGED = {
    "optim.temperature",
    "data.positives",
    "data.vienna_share",
    "data.vienna_level",
    "data.views",
}


@dataclasses.dataclass
class Session:
    """The state of a trainer between two steps."""

    run: Run
    config: Config
    journal: JournalWriter | None
    """None on every rank but the first"""
    history: History
    learner: Learner
    feed: Feed
    meter: Meter
    saver: Saver
    steps_per_epoch: int
    step: int
    """steps done"""
    best: float | None
    """lowest mean loss of an epoch so far"""
    segment: int
    """number of the segment in force"""
    pack: Pack
    saved_at: float
    """`time.monotonic()` of the last checkpoint"""
    ranks: Ranks
    evaluations: Evaluations
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

    def write(self, event: Event) -> None:
        """Append an event to the journal and to our own reading of it."""
        if self.journal is not None:
            self.journal.write(event)
        self.history.add([event])

    def write_findings(self) -> None:
        """Journal what the history newly shows."""
        for finding in new_findings(self.history):
            self.write(msgspec.structs.replace(finding, t=time.time()))


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
    learner = opened_learner(config, payload, device, ranks)
    ranks.check_same(
        {
            "checkpoint": payload and payload["step"],
            "pack": pack.fingerprint,
            "config": config,
        }
    )
    session = Session(
        run,
        config,
        journal,
        history,
        learner,
        Feed(
            pack,
            sampler,
            views=config.data.views,
            size=config.data.image_size,
            device=device,
            end=config.train.epochs * sampler.steps_per_epoch,
            share=ranks.share(config.train.batch_size),
            dtype=views_dtype(learner),
        ),
        Meter(device),
        Saver(run.checkpoints),
        sampler.steps_per_epoch,
        step=payload["step"] if payload else 0,
        best=_best(payload, config),
        segment=len(history.segments),
        pack=pack,
        saved_at=time.monotonic(),
        ranks=ranks,
        evaluations=_evaluations(run, config, ranks),
    )
    restore_meter(session, payload)
    if history.started is None:
        session.write(_started(run, pack, device, ranks))
    session.evaluations.resume(session.step)
    before = from_dict(payload["config"]) if payload else None
    reason = "resume" if history.segments else "start"
    session.write(new_segment(session, before, reason=reason))
    return session


def opened_learner(
    config: Config, payload: dict[str, Any] | None, device: torch.device, ranks: Ranks
) -> Learner:
    """A learner under these settings, fresh or where a checkpoint was taken."""
    if payload is None:
        return create_learner(config, device, ranks)
    # What a run began from may be gone by now; its checkpoint holds everything.
    learner = create_learner(changed(config, {"model.init": ""}), device, ranks)
    old = from_dict(payload["config"])
    same_optimizer = old.optim.optimizer == config.optim.optimizer
    restore_learner(learner, payload, same_optimizer=same_optimizer)
    if old.train.chunk_size == config.train.chunk_size and old.train.gpus == config.train.gpus:
        learner.chunk_size = payload["chunk_size"]  # which memory may have halved
    return learner


def restore_meter(session: Session, payload: dict[str, Any] | None) -> None:
    """Go on with the epoch of a checkpoint, whose mean is then of all its steps.

    Where the loss means something else by now, the mean is of the steps since.
    """
    if payload is not None and _comparable(payload, session.config):
        session.meter.restore(payload["meter"])


def _best(payload: dict[str, Any] | None, config: Config) -> float | None:
    """The lowest loss so far, if this configuration's losses can be compared with it."""
    return payload["best"] if payload is not None and _comparable(payload, config) else None


def _comparable(payload: dict[str, Any], config: Config) -> bool:
    """Whether losses of a checkpoint's settings and of these can be compared."""
    return not _JUDGED & set(differences(from_dict(payload["config"]), config))


def _evaluations(run: Run, config: Config, ranks: Ranks) -> Evaluations:
    """The evaluations beside the training, which rank 0 alone starts."""
    every = config.train.eval_every if ranks.first else 0
    return Evaluations(run, every=every, best_by=config.train.best_by)


def training_rows(pack: Pack) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows that are learnt from: every mark that is not kept for validation."""
    splits = pack.marks.column("split", str, "")
    return np.array([i for i, split in enumerate(splits) if split != "validation"], np.int64)


def create_sampler(pack: Pack, config: Config) -> Sampler:
    """The sampler of a run's settings, with an index of codes where positives come from them."""
    rows = training_rows(pack)
    settings = config.data
    partners = None
    if settings.positives != "instance":
        every = pack.marks.codes()
        codes = [every[row] for row in rows]
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
    """A checkpoint goes on only with the images it was trained on."""
    if payload["data_fingerprint"] != pack.fingerprint:
        raise CheckpointError(
            f"the pack at {pack.folder} holds other images than this run was trained on; "
            "start a new run, or bring the old images back"
        )


def _started(run: Run, pack: Pack, device: torch.device, ranks: Ranks) -> Started:
    """The first line of a journal."""
    splits = [split == "validation" for split in pack.marks.column("split", str, "")]
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
            "train": pack.count - sum(splits),
            "validation": sum(splits),
            "with_codes": sum(map(bool, pack.marks.codes())),
            "quarantined": len(pack.quarantine),
        },
    )


def new_segment(session: Session, old: Config | None, *, reason: str) -> Segment:
    """The line that opens a segment; `old` is what the weights were trained under until now."""
    config, step = session.config, session.step
    keys, tau = config.train.batch_size, config.optim.temperature
    per_epoch = session.steps_per_epoch

    def planned(settings: Config) -> float:
        return planned_learning_rate(
            step, settings.optim, steps_per_epoch=per_epoch, epochs=settings.train.epochs
        )

    return Segment(
        number=session.segment,
        step=step,
        epoch=session.epoch,
        reason=reason,
        config=dict(to_dict(config)),
        changed=differences(old, config) if old else {},
        chance=chance_loss(keys, tau),
        solved=solved_loss(keys, tau),
        chance_ce=chance_ce(keys),
        batch_size=keys,
        chunk_size=session.learner.chunk_size,
        steps_per_epoch=per_epoch,
        epochs=config.train.epochs,
        lr_before=planned(old) if old else None,
        lr_after=planned(config),
        t=time.time(),
    )
