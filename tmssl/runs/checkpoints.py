"""A run's checkpoints and the sidecars beside them: names, facts, and which are whole; reads no tensors."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tmssl.errors import CheckpointError
from tmssl.files import open_plain
from tmssl.runs.events import Segment
from tmssl.runs.folder import Run
from tmssl.runs.journal import read_journal
from tmssl.runs.ranges import AboveZero, Count, Digest, EpochsDone, Finite
from tmssl.text import safe

FOR_EVALUATION = "eval-"  # prefix of the checkpoints that wait for their evaluation
STABLE = "stable"
"""the last checkpoint before a decay of the learning rate, from which a run with a later end goes on"""
DECAYED = "decayed-"
"""prefix of the checkpoints that a run had reached when it went back before its decay"""
_LARGEST_SIDECAR = 1 << 20  # bytes; ours have a few thousand


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a checkpoint, readable without torch."""

    format: int = 1
    sha256: Digest
    """digest of the checkpoint file, in hexadecimal"""
    step: Count
    """steps done"""
    epoch: EpochsDone = 0.0
    """epochs done, a fraction"""
    steps_per_epoch: AboveZero
    config: dict[str, Any] | None = None
    """settings that the weights were trained under"""
    segment: Count = 0
    best: Finite | None = None
    """lowest mean loss of an epoch so far"""


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_sidecar(folder: Path, name: str) -> Sidecar | None:
    """The sidecar that has a checkpoint's name, without a look at the checkpoint itself.

    None where it is missing, damaged, too large, or a link out of its folder.
    """
    return _decode_sidecar(folder / f"{name}.json")


def read_sidecar(path: Path) -> Sidecar:
    """The sidecar that knows a checkpoint's digest, whatever its name.

    Raises:
        CheckpointError: there is none; the checkpoint is damaged or foreign.
    """
    sidecar = _by_digest(path.parent).get(_digest_if_readable(path))
    if sidecar is None:
        raise CheckpointError(f"no sidecar beside {safe(path)} fits it; it is damaged or foreign")
    return sidecar


def list_checkpoints(run: Run) -> dict[str, Sidecar]:
    """Name to sidecar of each checkpoint, newest first, `last` before others of the same step.

    Checkpoints whose sidecar cannot be read are left out; the digests are not compared.
    """
    named = {path.stem: _decode_sidecar(path) for path in run.checkpoints.glob("*.json")}
    readable = [(name, sidecar) for name, sidecar in named.items() if sidecar is not None]
    return dict(sorted(readable, key=lambda pair: (-pair[1].step, pair[0] != "last", pair[0])))


def valid_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of every undamaged checkpoint, newest first, `last` before its other names."""
    return [(sidecar.step, path) for sidecar, path in _read_valid(folder)]


def _read_valid(folder: Path) -> list[tuple[Sidecar, Path]]:
    """`valid_checkpoints` with the whole sidecar of each."""
    known = _by_digest(folder)
    paths = [path for path in folder.glob("*.pt") if _is_inside(path)]
    sidecars = [(known.get(_digest_if_readable(path)), path) for path in paths]
    valid = [(sidecar, path) for sidecar, path in sidecars if sidecar is not None]
    return sorted(valid, key=lambda pair: (-pair[0].step, pair[1].name != "last.pt", pair[1].name))


def resumable_checkpoints(run: Run, segments: Sequence[Segment]) -> list[tuple[Sidecar, Path]]:
    """The undamaged checkpoints of the history that a run has now, newest first; see `is_current`.

    Where none of these is left, all undamaged ones; empty where there is no file.

    Raises:
        CheckpointError: every checkpoint is damaged.
    """
    valid = _read_valid(run.checkpoints)
    if not valid and any(run.checkpoints.glob("*.pt")):
        raise CheckpointError(
            f"every checkpoint of {safe(run.path)} is damaged; restore one from a copy of the folder"
        )
    return [pair for pair in valid if is_current(pair[0], segments)] or valid


def is_current(sidecar: Sidecar, segments: Sequence[Segment]) -> bool:
    """Whether a checkpoint belongs to the history that a run has now.

    A later segment that began before it has replaced its steps, as one that went back before a decay.
    """
    later = (segment for segment in segments if segment.number > sidecar.segment)
    return all(sidecar.step <= segment.step for segment in later)


def is_whole(path: Path) -> bool:
    """Whether a checkpoint exists and some sidecar knows its digest."""
    if not path.is_file() or not _is_inside(path):
        return False
    return _digest_if_readable(path) in _by_digest(path.parent)


def find_checkpoint(run: Run, which: str = "last") -> Path:
    """The checkpoint `last`, `best`, `epoch-0010` or a path; for a damaged one, the newest valid one.

    Raises:
        CheckpointError: the run has none, or none that is undamaged, or none of that name.
    """
    direct = Path(which)
    if direct.suffix == ".pt":
        if not direct.is_file():
            raise CheckpointError(f"there is no checkpoint {safe(which)}; name one that exists")
        return direct
    names = sorted(path.stem for path in run.checkpoints.glob("*.pt"))
    if not names:
        raise CheckpointError(
            f"{safe(run.path)} has no checkpoint yet; one is written at the end of each epoch, "
            "when it is stopped, and on SIGUSR1"
        )
    named = run.checkpoints / f"{which}.pt"
    if which not in ("last", "best") and not named.is_file():
        raise CheckpointError(
            f"no checkpoint '{safe(which)}' in {safe(run.path)}; it has {', '.join(names)}"
        )
    if named.is_file() and not _is_inside(named):
        raise CheckpointError(
            f"{safe(named)} is a link out of its run, which is not followed; copy the file there, "
            "or give its own path"
        )
    if which != "last" and is_whole(named):
        return named
    events = read_journal(run.journal) if run.journal.exists() else []
    return resumable_checkpoints(run, [e for e in events if isinstance(e, Segment)])[0][1]


def _digest_if_readable(path: Path) -> str:
    """The digest of a regular file, or an empty string: one bad sector must not block the others."""
    try:
        return digest(path) if path.is_file() else ""
    except OSError:
        return ""


def _by_digest(folder: Path) -> dict[str, Sidecar]:
    """Digest to sidecar, including one whose checkpoint is just being renamed."""
    paths = [*folder.glob("*.json"), *folder.glob(".*.json.new")]
    return {sidecar.sha256: sidecar for sidecar in map(_decode_sidecar, paths) if sidecar}


def _decode_sidecar(path: Path) -> Sidecar | None:
    """A sidecar, or None where it is damaged, too large, or a link."""
    try:
        with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
            content = file.read(_LARGEST_SIDECAR + 1)
        if len(content) > _LARGEST_SIDECAR:
            return None
        return msgspec.convert(json.loads(content.decode()), Sidecar)
    except (OSError, ValueError, OverflowError, RecursionError):
        return None


def _is_inside(path: Path) -> bool:
    """Whether a file lies in the folder where it was found; a link may lead anywhere."""
    return path.resolve().parent == path.parent.resolve()
