"""Checkpoints that survive a crash at any instruction: writing, linking and loading them.

A file is valid when some sidecar of the folder knows its digest. A new `last` is written and synced
beside the old one; then the old one becomes `previous`, and the new one gets its name, the sidecar
always before the file. So at every moment at least one complete checkpoint is recognisable.
"""

import contextlib
import dataclasses
import pickle
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from torch import Tensor

from tmssl.config import Config, from_dict
from tmssl.errors import CheckpointError
from tmssl.files import make_plain_folder, sync
from tmssl.runs.checkpoints import Sidecar, digest, is_whole
from tmssl.text import safe
from tmssl.training.checkpoints.payload import FORMAT, EncoderPart, checked, is_ours

# What torch.load raises on files that torch.save did not write: it tries pickle, or goes by the suffix.
UNREADABLE = (
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    pickle.UnpicklingError,
    struct.error,
    SafetensorError,
)


@dataclasses.dataclass(frozen=True)
class Written:
    """A checkpoint that is safely on disk."""

    path: Path
    sha256: str
    step: int
    epoch: float
    refused: tuple[str, ...] = ()
    """further names for which the disk had no room"""
    problem: str = ""
    """the disk's error, where it refused any"""


@dataclasses.dataclass(frozen=True)
class Weights:
    """The part of a checkpoint that embeds images."""

    encoder: dict[str, Tensor]
    config: Config
    step: int
    epoch: float
    path: Path


def save_checkpoint(
    folder: Path, payload: dict[str, Any], *, best: bool, keep_as: Sequence[str] = ()
) -> Written:
    """Write `last.pt`, and link it as `best.pt` and under further names.

    Args:
        folder: the run's checkpoint folder.
        payload: tensors and plain values; the fields of `Sidecar` are repeated there.
        best: whether this is the best checkpoint so far.
        keep_as: names without suffix that no later checkpoint replaces, such as `epoch-0010`.

    Raises:
        OSError: the disk is full or the folder is gone; earlier checkpoints are untouched.
    """
    sha256 = _write_fresh(folder, "last", payload)
    refused, problem = [], ""
    # Before it becomes `last`: a crash must not leave `last` without its other names.
    for name in [*(["best"] if best else []), *keep_as]:
        try:
            _link(folder, ".last.{}.new", name)
        except OSError as error:
            refused.append(name)
            problem = safe(error.strerror or error)
    rotate(folder)
    _take_name(folder, "last")
    step, epoch = int(payload["step"]), float(payload["epoch"])
    return Written(folder / "last.pt", sha256, step, epoch, tuple(refused), problem)


def save_beside(folder: Path, payload: dict[str, Any], name: str) -> None:
    """Write a checkpoint under its own name, such as `epoch-0010`; `last` does not change.

    Raises:
        OSError: the disk is full or the folder is gone; earlier checkpoints are untouched.
    """
    _write_fresh(folder, name, payload)
    _take_name(folder, name)


def _write_fresh(folder: Path, name: str, payload: dict[str, Any]) -> str:
    """Write and sync a checkpoint and its sidecar under hidden names, and return the digest."""
    make_plain_folder(folder)
    fresh, fresh_json = folder / f".{name}.pt.new", folder / f".{name}.json.new"
    for leftover in (fresh, fresh_json):  # of a crash; it may be hard-linked to another checkpoint
        leftover.unlink(missing_ok=True)
    try:
        with fresh.open("wb") as file:
            torch.save(payload, file)
        sync(fresh)
        sha256 = digest(fresh)
        _write_sidecar(fresh_json, sha256, payload)
    except (OSError, RuntimeError) as error:
        for leftover in (fresh, fresh_json):
            with contextlib.suppress(FileNotFoundError):
                leftover.unlink()
        raise _refusal(error) from error
    return sha256


def _refusal(error: OSError | RuntimeError) -> OSError:
    """The disk's own error, which torch's writer hides behind one about positions in its file."""
    cause = error if isinstance(error, OSError) else error.__context__
    if isinstance(cause, OSError) and cause.errno is not None:
        return OSError(cause.errno, cause.strerror)
    return OSError(str(error))


def _take_name(folder: Path, name: str) -> None:
    """Rename a checkpoint that `_write_fresh` wrote, the sidecar before the file."""
    for suffix in ("json", "pt"):
        (folder / f".{name}.{suffix}.new").replace(folder / f"{name}.{suffix}")
    sync(folder)


def rotate(folder: Path) -> None:
    """Give `last` the name `previous` too; a damaged or missing one must not replace a good one.

    It keeps its own name until the next one takes that, so that whoever reads `last` meanwhile finds it.
    """
    if is_whole(folder / "last.pt"):
        link_checkpoint(folder, "last", "previous")


def _write_sidecar(path: Path, sha256: str, payload: dict[str, Any]) -> None:
    """Write and sync the sidecar of a checkpoint."""
    sidecar = msgspec.convert({**payload, "sha256": sha256}, Sidecar)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(sidecar), indent=1))
    sync(path)


def link_checkpoint(folder: Path, present: str, name: str) -> None:
    """Give a checkpoint another name, without a copy where the file system has hard links.

    Raises:
        OSError: the disk is full or the folder is gone.
    """
    _link(folder, present + ".{}", name)


def _link(folder: Path, present: str, name: str) -> None:
    """Link the two files of a pattern of file names, such as `last.{}`."""
    for suffix in ("json", "pt"):
        fresh = folder / f".{name}.{suffix}.new"
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        try:
            fresh.hardlink_to(folder / present.format(suffix))
        except OSError:  # some network and container file systems have no hard links
            shutil.copyfile(folder / present.format(suffix), fresh)
        fresh.replace(folder / f"{name}.{suffix}")
        fresh.unlink(missing_ok=True)  # renaming does nothing where both are the same file already
    sync(folder)


def why_unreadable(error: Exception) -> str:
    """A note that memory ran out, if it did; torch's other messages only confuse."""
    return f", or memory ran out ({safe(error, 100)})" if "memory" in str(error) else ""


def load_payload(path: Path) -> dict[str, Any]:
    """The whole content of a checkpoint, on the CPU.

    Raises:
        CheckpointError: it is not a checkpoint of ours.
    """
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(
            f"cannot read {safe(path)}: {safe(error.strerror or error)}"
        ) from error
    except UNREADABLE as error:
        raise CheckpointError(
            f"{safe(path)} is no checkpoint, or is damaged{why_unreadable(error)}; give another"
        ) from error
    if not isinstance(payload, dict) or not is_ours(payload):
        raise CheckpointError(f"{safe(path)} is not a tmssl checkpoint of format {FORMAT}")
    return payload


def load_with_digest(path: Path) -> tuple[str, Weights]:
    """The SHA-256 and the weights of the same file, even if a trainer replaces it meanwhile.

    Raises:
        CheckpointError: it is not a checkpoint of ours.
    """
    while True:
        sha256 = digest(path)
        weights = load_weights(path)
        if digest(path) == sha256:
            return sha256, weights


def load_weights(path: Path) -> Weights:
    """The encoder of a checkpoint and the settings it was trained under.

    Raises:
        CheckpointError: it is not a checkpoint of ours.
    """
    part = checked(load_payload(path), EncoderPart, path)
    return Weights(part.encoder, from_dict(part.config), part.step, part.epoch, path)
