"""Which checkpoints a run has kept, and which of them are whole; reads no tensors, so needs no torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tmssl.errors import CheckpointError
from tmssl.runs.folder import Run
from tmssl.text import safe

FOR_EVALUATION = "eval-"  # begins the names of checkpoints that are kept for an evaluation alone
_LARGEST_SIDECAR = 1 << 20  # bytes; ours have a few thousand


def _is_inside(path: Path) -> bool:
    """Whether a file lies in the folder that it is found in; a link may lead anywhere."""
    return path.resolve().parent == path.parent.resolve()


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sidecars(folder: Path) -> dict[str, dict[str, Any]]:
    """Digest to facts of every sidecar, including one whose checkpoint is just being renamed."""
    known: dict[str, dict[str, Any]] = {}
    for path in [*folder.glob("*.json"), *folder.glob(".*.json.new")]:
        facts = _read_facts(path)
        if facts is not None:
            known[facts["sha256"]] = facts
    return known


def _read_facts(path: Path) -> dict[str, Any] | None:
    """What a sidecar says, or None where it is damaged, too large, or a link out of its folder."""
    try:
        if not _is_inside(path) or path.stat().st_size > _LARGEST_SIDECAR:
            return None
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str):
        return None
    numbers = [facts.get(name) for name in ("step", "steps_per_epoch")]
    whole = all(type(number) is int and number >= 0 for number in numbers)
    return facts if whole else None


def is_whole(path: Path) -> bool:
    """Whether a checkpoint exists and some sidecar knows its digest."""
    return path.is_file() and _is_inside(path) and digest(path) in _sidecars(path.parent)


def valid_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of every undamaged checkpoint, newest first, `last` before its other names."""
    known = _sidecars(folder)
    found = []
    for path in filter(_is_inside, folder.glob("*.pt")):
        facts = known.get(digest(path))
        if facts is not None:
            found.append((int(facts["step"]), path))
    return sorted(found, key=lambda pair: (-pair[0], pair[1].name != "last.pt", pair[1].name))


def find_checkpoint(run: Run, which: str = "last") -> Path:
    """The checkpoint `last`, `best`, `epoch-0010` or a path; a damaged one gives way to the newest valid.

    Raises:
        CheckpointError: the run has none, or none that is undamaged, or none of that name.
    """
    direct = Path(which)
    if direct.suffix == ".pt":
        if not direct.is_file():
            raise CheckpointError(f"there is no checkpoint {safe(which)}; name one that exists")
        return direct
    if not run.checkpoints.is_dir() or not any(run.checkpoints.glob("*.pt")):
        raise CheckpointError(
            f"{safe(run.path)} has no checkpoint yet; one is written at the end of each epoch, "
            "when it is stopped, and on SIGUSR1"
        )
    named = run.checkpoints / f"{which}.pt"
    if which not in ("last", "best") and not named.is_file():
        kept = ", ".join(sorted(path.stem for path in run.checkpoints.glob("*.pt")))
        raise CheckpointError(f"no checkpoint '{safe(which)}' in {safe(run.path)}; it has {kept}")
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


def read_sidecar(path: Path) -> dict[str, Any]:
    """The facts of a checkpoint (step, epoch, config), from whichever sidecar knows its digest.

    Raises:
        CheckpointError: none does; the file is damaged or foreign.
    """
    facts = _sidecars(path.parent).get(digest(path))
    if facts is None:
        raise CheckpointError(f"no facts beside {safe(path)} fit it; it is damaged or foreign")
    return facts
