"""Index manifests: which checkpoint, encoder and marks a kept index is of.

A manifest NAME.card.json lies beside the index and the traced encoder, named by checkpoint and pack. A
search that finds it loads neither the checkpoint nor timm.
"""

import time
from pathlib import Path
from typing import Annotated

import msgspec

from tmssl.data.pack.info import PackInfo
from tmssl.files import write_atomic
from tmssl.runs.checkpoints import digest, find_checkpoint, find_sidecar
from tmssl.runs.folder import Run
from tmssl.runs.ranges import Count, Digest, EpochsDone

_VERSION = 1  # raise it when a manifest, or the input of an encoder, changes its meaning
_SPARED_S = 3600.0  # for a traced encoder without manifest: another search may be about to write it


class IndexManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a kept index was made of."""

    index: str
    """file in the run's index folder"""
    index_sha256: Digest
    encoder: str
    """file of the traced encoder there; empty if it cannot be traced"""
    checkpoint: str
    """path of the checkpoint, relative to the run if inside it"""
    checkpoint_sha256: Digest
    model: str
    """timm's name of the encoder"""
    image_size: Annotated[int, msgspec.Meta(ge=32, le=1024)]
    epoch: EpochsDone
    step: Count
    marks: Count
    holders: dict[str, Count]
    """Vienna division or section to the number of marks that have it"""


def manifest_path(run: Run, pack: PackInfo, sha256: str) -> Path:
    """The file of the manifest of a checkpoint, by its SHA-256, and a pack."""
    return run.index / f"{sha256[:16]}-{pack.identity[:16]}-{_VERSION}.card.json"


def find_manifest(run: Run, checkpoint: str, pack: PackInfo) -> IndexManifest | None:
    """The manifest of a checkpoint's index, or None where the run must be indexed first.

    A checkpoint of the run is known by its sidecar, so its own file is not read.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    sidecar = find_sidecar(run.checkpoints, checkpoint)
    if sidecar is not None:
        manifest = read_manifest(manifest_path(run, pack, sidecar.sha256))
        if manifest and manifest.marks == pack.count:
            return manifest
    path = manifest_path(run, pack, digest(find_checkpoint(run, checkpoint)))
    manifest = read_manifest(path)
    return manifest if manifest and manifest.marks == pack.count else None


def read_manifest(path: Path) -> IndexManifest | None:
    """A manifest, or None where it is damaged, or names files that are not in its folder."""
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=IndexManifest)
    except (OSError, ValueError, RecursionError):
        return None
    names = [name for name in (manifest.index, manifest.encoder) if name]
    fits = all(1 <= held <= manifest.marks for held in manifest.holders.values())
    return manifest if fits and all(_is_file_inside(path.parent, name) for name in names) else None


def _is_file_inside(folder: Path, name: str) -> bool:
    """Whether a name is that of a file in a folder, links followed; a foreign manifest has any name."""
    try:
        path = (folder / name).resolve()
        return path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # no name that a file can have
        return False


def write_manifest(path: Path, manifest: IndexManifest) -> None:
    """Write a manifest, and remove those whose files are gone, and traced encoders without one.

    Raises:
        InputError: the disk is full.
    """
    write_atomic(path, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    used = set()
    for other in path.parent.glob("*.card.json"):
        complete = read_manifest(other)
        if complete:
            used.add(complete.encoder)
        else:
            other.unlink(missing_ok=True)
    for encoder in path.parent.glob("*.encoder"):
        if encoder.name not in used and _age_s(encoder) > _SPARED_S:
            encoder.unlink(missing_ok=True)


def _age_s(path: Path) -> float:
    """Seconds since a file was written; 0 where another process removed it just now."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
