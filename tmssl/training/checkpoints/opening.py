"""The checkpoint from which a run goes on: found, checked against the run, and what to keep beside it."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tmssl.config import Config, differences, from_dict
from tmssl.data.pack.reader import Pack
from tmssl.errors import CheckpointError
from tmssl.runs.checkpoints import DECAYED, STABLE, Sidecar, find_sidecar, resumable_checkpoints
from tmssl.runs.events import Segment
from tmssl.runs.folder import Run
from tmssl.runs.resume_plan import FIXED, resume_checkpoint
from tmssl.text import safe
from tmssl.training.checkpoints.payload import TrainingPart, checked
from tmssl.training.checkpoints.store import link_checkpoint, load_payload

# Losses under different values of these cannot be compared. So it is with N, which no resume changes.
_LOSS_SETTINGS = {
    "optim.temperature",
    "data.positives",
    "data.vienna_share",
    "data.vienna_level",
    "data.views",
}


@dataclasses.dataclass(frozen=True)
class Opened:
    """The checkpoint from which a run goes on."""

    payload: dict[str, Any]
    path: Path
    newest: Sidecar
    newest_path: Path
    """where a run has gone back before its decay, the end of that decay; else the same checkpoint"""

    @property
    def went_back(self) -> bool:
        """Whether a run goes on from before a decay that has moved."""
        return self.path != self.newest_path


def open_checkpoint(run: Run, config: Config, segments: Sequence[Segment]) -> Opened | None:
    """Load the checkpoint from which a run goes on with these settings; None where it has none yet.

    It is the newest whole one of the present history (`segments`), or the last one before a decay that
    the settings have moved.

    Raises:
        CheckpointError: every checkpoint is damaged.
    """
    found = resumable_checkpoints(run, segments)
    if not found:
        return None
    while True:
        chosen = resume_checkpoint([sidecar for sidecar, _ in found], config)
        path = next(path for sidecar, path in found if sidecar is chosen)
        try:
            return Opened(_load_whole(path, chosen), path, *found[0])
        except CheckpointError:
            found = [pair for pair in found if pair[0].sha256 != chosen.sha256]
            if not found:
                raise


def _load_whole(path: Path, sidecar: Sidecar) -> dict[str, Any]:
    """The content of a checkpoint, every field of it checked.

    Raises:
        CheckpointError: one is of another type or range, or the sidecar says another step.
    """
    payload = load_payload(path)
    part = checked(payload, TrainingPart, path)
    from_dict(part.config)
    if part.step != sidecar.step:
        raise CheckpointError(
            f"{safe(path)} holds step {part.step} and its sidecar says {sidecar.step}; restore both"
        )
    return payload


def check_fits(payload: dict[str, Any], config: Config, pack: Pack) -> None:
    """Refuse to go on from a checkpoint of other images, or of settings that are fixed for a run.

    Raises:
        CheckpointError: they differ.
    """
    if payload["data_fingerprint"] != pack.fingerprint:
        raise CheckpointError(
            f"the pack at {pack.folder} holds other images than this run was trained on; "
            "start a new run, or bring the old images back"
        )
    changes = differences(from_dict(payload["config"]), config)
    for name in FIXED:
        if name in changes and name != "model.init":  # the file of initial weights may have moved
            theirs, ours = changes[name]
            raise CheckpointError(
                f"the checkpoint was trained with {name} = {safe(theirs, 60)} and config.toml says "
                f"{safe(ours, 60)}, which is fixed for a run; put the file of this run back in its place"
            )


def keep_decayed(opened: Opened) -> str:
    """Keep the end of a decay that is undone under a name of its own, which is returned.

    Raises:
        OSError: the disk is full, and has no hard links.
    """
    name = f"{DECAYED}{int(opened.newest.epoch):04d}"
    link_checkpoint(opened.path.parent, opened.newest_path.stem, name)
    return name


def keep_stable(path: Path) -> None:
    """Keep a checkpoint as the last one before the decay.

    Raises:
        OSError: the disk is full, and has no hard links.
    """
    if path.stem != STABLE:
        link_checkpoint(path.parent, path.stem, STABLE)


def lowest_loss(run: Run, payload: dict[str, Any] | None, config: Config) -> float | None:
    """The lowest mean loss of an epoch so far; None where it means another thing, or `best` is not kept.

    A run that went back before its decay keeps the loss of the decayed checkpoint that is `best` until one
    is lower.
    """
    kept = find_sidecar(run.checkpoints, "best")
    if payload is None or kept is None or not losses_comparable(payload["config"], config):
        return None
    losses = [payload["best"]]
    if kept.config is not None and losses_comparable(kept.config, config):
        losses.append(kept.best)
    return min((loss for loss in losses if loss is not None), default=None)


def losses_comparable(trained: Mapping[str, object], config: Config) -> bool:
    """Whether losses under a checkpoint's settings and under these mean the same."""
    return not _LOSS_SETTINGS & set(differences(from_dict(trained), config))
