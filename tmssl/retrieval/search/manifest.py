"""What a search finds ready in a run's index folder: whose vectors, whose encoder, which codes.

Beside each index lie the recorded encoder that made it and a card, named by checkpoint and pack, that
ties the two together. A search that finds the card loads neither checkpoint nor timm.
"""

import time
from pathlib import Path

import msgspec

from tmssl.data.pack.info import PackInfo
from tmssl.files import write_atomic
from tmssl.runs.checkpoints import digest, find_checkpoint, find_sidecar
from tmssl.runs.folder import Run

_VERSION = 1  # raise it when a card, or the input of an encoder, changes its meaning
_SPARED_S = 3600.0  # of a recording without a card: another search may be about to write it


class IndexManifest(msgspec.Struct, frozen=True, kw_only=True):
    """An index that is ready to be searched."""

    index: str
    """file in the run's index folder"""
    index_sha256: str
    encoder: str
    """file of the recorded encoder there; empty where it cannot be recorded"""
    checkpoint: str
    """path of the checkpoint, inside the run where it lies in it"""
    checkpoint_sha256: str
    model: str
    """timm's name of the encoder"""
    image_size: int
    epoch: float
    step: int
    marks: int
    holders: dict[str, int]
    """Vienna division or section to the number of marks that have it"""


def manifest_path(run: Run, facts: PackInfo, sha256: str) -> Path:
    """Where the card of a checkpoint over a pack is kept."""
    pack = facts.identity
    return run.index / f"{sha256[:16]}-{pack[:16]}-{_VERSION}.card.json"


def find_manifest(run: Run, checkpoint: str, facts: PackInfo) -> IndexManifest | None:
    """The manifest of a checkpoint's index, or None where the run must be indexed first.

    A checkpoint of the run is known by its sidecar, so its own file is not read.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    sidecar = find_sidecar(run.checkpoints, checkpoint)
    if sidecar is not None:
        manifest = _read_complete(run, manifest_path(run, facts, sidecar.sha256))
        if manifest:
            return manifest
    sha256 = digest(find_checkpoint(run, checkpoint))
    return _read_complete(run, manifest_path(run, facts, sha256))


def _read_complete(run: Run, path: Path) -> IndexManifest | None:
    """A card whose files are there; whatever else is found is made again."""
    try:
        card = msgspec.json.decode(path.read_bytes(), type=IndexManifest)
    except (OSError, ValueError):
        return None
    names = [name for name in (card.index, card.encoder) if name]
    inside = all(_is_inside(run.index, run.index / name) for name in names)
    return card if inside and all((run.index / name).is_file() for name in names) else None


def _is_inside(folder: Path, path: Path) -> bool:
    """Whether a path that a card names stays in a folder, links followed; a foreign card names any."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # no name that a file can have
        return False


def _is_old(path: Path) -> bool:
    """Whether a file was written so long ago that its card, which is written next, would be there."""
    try:
        return time.time() - path.stat().st_mtime > _SPARED_S
    except OSError:  # it is gone already
        return False


def write_manifest(path: Path, card: IndexManifest) -> None:
    """Keep a card, and remove those whose index is gone, with their encoders.

    Raises:
        InputError: the disk is full.
    """
    write_atomic(path, msgspec.json.format(msgspec.json.encode(card), indent=1))
    used = set()
    for other in path.parent.glob("*.card.json"):
        kept = _read_complete(Run(path.parent.parent), other)
        if kept:
            used.add(kept.encoder)
        else:
            other.unlink(missing_ok=True)
    for recording in path.parent.glob("*.encoder"):
        if recording.name not in used and _is_old(recording):
            recording.unlink(missing_ok=True)
