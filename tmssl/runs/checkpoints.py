"""A run's checkpoints and the sidecars beside them: names, facts, and which are whole; reads no tensors."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec

from tmssl.errors import CheckpointError
from tmssl.runs.folder import Run
from tmssl.text import safe

FOR_EVALUATION = "eval-"  # prefix of the checkpoints that wait for their evaluation
_LARGEST_SIDECAR = 1 << 20  # bytes; ours have a few thousand
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a checkpoint, readable without torch."""

    format: int = 1
    sha256: str
    """digest of the checkpoint file, in hexadecimal"""
    step: _Count
    """steps done"""
    epoch: float = 0.0
    """epochs done, a fraction"""
    steps_per_epoch: _Count
    config: dict[str, Any] | None = None
    """settings that the weights were trained under"""
    segment: int = 0
    best: float | None = None
    """lowest mean loss of an epoch so far"""


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
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
    sidecar = _by_digest(path.parent).get(digest(path))
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
    known = _by_digest(folder)
    sidecars = [(known.get(digest(path)), path) for path in folder.glob("*.pt") if _is_inside(path)]
    valid = [(sidecar.step, path) for sidecar, path in sidecars if sidecar is not None]
    return sorted(valid, key=lambda pair: (-pair[0], pair[1].name != "last.pt", pair[1].name))


def is_whole(path: Path) -> bool:
    """Whether a checkpoint exists and some sidecar knows its digest."""
    return path.is_file() and _is_inside(path) and digest(path) in _by_digest(path.parent)


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
    valid = valid_checkpoints(run.checkpoints)
    if not valid:
        raise CheckpointError(
            f"every checkpoint of {safe(run.path)} is damaged; restore one from a copy of the folder"
        )
    return valid[0][1]


def _by_digest(folder: Path) -> dict[str, Sidecar]:
    """Digest to sidecar, including one whose checkpoint is just being renamed."""
    paths = [*folder.glob("*.json"), *folder.glob(".*.json.new")]
    return {sidecar.sha256: sidecar for sidecar in map(_decode_sidecar, paths) if sidecar}


def _decode_sidecar(path: Path) -> Sidecar | None:
    """A sidecar, or None where it is damaged, too large, or a link out of its folder."""
    try:
        if not _is_inside(path) or path.stat().st_size > _LARGEST_SIDECAR:
            return None
        return msgspec.convert(json.loads(path.read_text("utf-8")), Sidecar)
    except (OSError, ValueError, RecursionError):
        return None


def _is_inside(path: Path) -> bool:
    """Whether a file lies in the folder where it was found; a link may lead anywhere."""
    return path.resolve().parent == path.parent.resolve()
