"""Checkpoints that survive a crash at any instruction, and loading that passes over damaged ones.

A file is valid when some sidecar of the folder knows its digest. A new `last` is written beside the
old one, synced, and only then takes its name, sidecar before file, after the old one has become
`previous` in the same order; so at every moment at least one complete checkpoint is recognisable.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tmssl.config import Config, from_dict
from tmssl.errors import CheckpointError
from tmssl.runs.folder import Run
from tmssl.text import safe

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Written:
    """A checkpoint that is safely on disk."""

    path: Path
    sha256: str
    step: int
    epoch: float


@dataclasses.dataclass(frozen=True)
class Weights:
    """What an evaluation needs of a checkpoint."""

    encoder: dict[str, Tensor]
    config: Config
    step: int
    epoch: float
    path: Path


def save_checkpoint(
    folder: Path, payload: dict[str, Any], *, best: bool, keep_as: str = ""
) -> Written:
    """Write `last.pt`, and link it as `best.pt` and `keep_as`.pt where asked.

    Args:
        folder: the run's checkpoint folder.
        payload: tensors and plain values; `step`, `epoch` and `config` are repeated in the sidecar.
        best: whether this is the best checkpoint so far.
        keep_as: name without suffix under which it is kept for good, such as `epoch-0010`.

    Raises:
        OSError: the disk is full or the folder is gone; whatever was there before is untouched.
    """
    fresh, fresh_json = folder / ".last.pt.new", folder / ".last.json.new"
    try:
        with fresh.open("wb") as file:
            torch.save(payload, file)
            file.flush()
            os.fsync(file.fileno())
        sha256 = digest(fresh)
        _write_sidecar(fresh_json, sha256, payload)
    except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as RuntimeError
        for leftover in (fresh, fresh_json):
            with contextlib.suppress(FileNotFoundError):
                leftover.unlink()
        raise error if isinstance(error, OSError) else OSError(str(error)) from error
    for name in ("json", "pt"):
        with contextlib.suppress(FileNotFoundError):
            (folder / f"last.{name}").replace(folder / f"previous.{name}")
    fresh_json.replace(folder / "last.json")
    fresh.replace(folder / "last.pt")
    _sync_folder(folder)
    for name in [*(["best"] if best else []), *([keep_as] if keep_as else [])]:
        _link(folder, name)
    return Written(folder / "last.pt", sha256, int(payload["step"]), float(payload["epoch"]))


def _write_sidecar(path: Path, sha256: str, payload: dict[str, Any]) -> None:
    """The facts of a checkpoint, readable without torch."""
    facts = {name: payload[name] for name in ("step", "epoch", "config", "segment", "best")}
    with path.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "sha256": sha256, **facts}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _link(folder: Path, name: str) -> None:
    """Give `last` a second name without copying it, where the file system can."""
    for suffix in ("json", "pt"):
        fresh = folder / f".{name}.{suffix}.new"
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        try:
            fresh.hardlink_to(folder / f"last.{suffix}")
        except OSError:  # some network and container file systems have no hard links
            shutil.copyfile(folder / f"last.{suffix}", fresh)
        fresh.replace(folder / f"{name}.{suffix}")
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Make renames durable."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _known_digests(folder: Path) -> dict[str, int]:
    """Digest to step of every sidecar, including one whose checkpoint is just being renamed."""
    known: dict[str, int] = {}
    for path in [*folder.glob("*.json"), *folder.glob(".*.json.new")]:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            facts = json.loads(path.read_text("utf-8"))
            known[str(facts["sha256"])] = int(facts["step"])
    return known


def valid_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of every undamaged checkpoint, newest first, `last` before its other names."""
    known = _known_digests(folder)
    found = []
    for path in folder.glob("*.pt"):
        step = known.get(digest(path))
        if step is not None:
            found.append((step, path))
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
    if which != "last" and named.is_file() and digest(named) in _known_digests(run.checkpoints):
        return named
    valid = valid_checkpoints(run.checkpoints)
    if not valid:
        raise CheckpointError(
            f"every checkpoint of {safe(run.path)} is damaged; restore one from a copy of the folder"
        )
    return valid[0][1]


def load_payload(path: Path) -> dict[str, Any]:
    """Everything in a checkpoint, on the CPU.

    Raises:
        CheckpointError: it is not a checkpoint of ours.
    """
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"cannot load {safe(path)}: {safe(error, 200)}") from error
    if not isinstance(payload, dict) or payload.get("format") != FORMAT:
        raise CheckpointError(f"{safe(path)} is not a tmssl checkpoint of format {FORMAT}")
    return payload


def load_weights(path: Path) -> Weights:
    """The encoder of a checkpoint and the settings it was trained under."""
    payload = load_payload(path)
    return Weights(
        payload["encoder"], from_dict(payload["config"]), payload["step"], payload["epoch"], path
    )


def read_sidecar(path: Path) -> dict[str, Any]:
    """The facts beside a checkpoint: step, epoch, config, digest."""
    try:
        facts: dict[str, Any] = json.loads(path.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read the facts beside {safe(path)}: {safe(error)}") from error
    return facts
