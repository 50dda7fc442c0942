"""The exact faiss index of a gallery's unit vectors: built, written into the run, and opened again.

How it is searched is in exact.py.
"""

import contextlib
import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tmssl.errors import InputError
from tmssl.files import atomic_path, unicode_path
from tmssl.retrieval.index.digests import check_digest, forget_digest, record_digest
from tmssl.text import safe
from tmssl.training.checkpoints.store import Weights
from tmssl.types import Vectors

_MOST_KEPT = 2  # indexes in a run; one of 538,000 marks takes 1.4 GB
_HEADER = struct.Struct("<4siq")  # of faiss's files: kind, features, vectors
_KIND = b"IxSQ"  # IndexScalarQuantizer
_MOST_FEATURES = 1 << 16
# Only the newer flag maps the vectors themselves; before faiss 1.11 they are read into memory.
_MMAP = getattr(faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP)


def build_index(vectors: Vectors) -> faiss.Index:
    """An exact inner-product index in half precision (overlap@10 with float32 0.9995).

    `vectors` is float32 (n, d) with rows of norm 1.
    """
    index = empty_index(vectors.shape[1])
    index.add(vectors)
    return index


def empty_index(features: int) -> faiss.Index:
    """The same without vectors, which are added to it."""
    index = faiss.IndexScalarQuantizer(
        features, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.train(np.zeros((1, features), np.float32))  # half precision has nothing to learn
    return index


def index_path(folder: Path, weights: Weights, pack: str) -> Path:
    """The file of an encoder's index of a pack.

    It is named by a digest of the weights in memory: a trainer may have replaced their file since.

    Args:
        folder: the run's folder of indexes.
        weights: of the encoder.
        pack: its identity.
    """
    config = weights.config
    digest = hashlib.sha256(f"{config.model.name} {config.data.image_size}".encode())
    for name, tensor in weights.encoder.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return folder / f"{digest.hexdigest()[:16]}-{pack[:16]}.faiss"


def save_index(index: faiss.Index, path: Path) -> None:
    """Write an index into a run; see `new_index`.

    Raises:
        InputError: the disk is full.
    """
    with new_index(path) as fresh, unicode_path(fresh) as name:
        faiss.write_index(index, name)


@contextlib.contextmanager
def new_index(path: Path) -> Iterator[Path]:
    """A hidden path to write an index of a run to, which gets its name and digest at the end.

    All but the newest few indexes are removed then, with the files derived from them.

    Raises:
        InputError: the disk is full.
    """
    # What was derived from an index of this name before may differ in rounding.
    path.unlink(missing_ok=True)
    _remove_derived(path.parent)
    forget_digest(path)
    with _recorded(path) as fresh:
        yield fresh
    newest = sorted(path.parent.glob("*.faiss"), key=_modified_ns)
    for old in newest[:-_MOST_KEPT]:
        old.unlink(missing_ok=True)
    _remove_derived(path.parent)


def _modified_ns(path: Path) -> int:
    """When a file was written; 0 where another process removed it just now."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def write_index(index: faiss.Index, path: Path) -> None:
    """Write an index with its digest; it appears complete or not at all.

    Raises:
        InputError: the disk is full.
    """
    with _recorded(path) as fresh, unicode_path(fresh) as name:
        faiss.write_index(index, name)


@contextlib.contextmanager
def _recorded(path: Path) -> Iterator[Path]:
    """A hidden path that takes the name of an index at the end, with its digest."""
    try:
        with atomic_path(path) as fresh:
            yield fresh
            record_digest(path, fresh)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"cannot write {safe(path)} ({safe(error, 100)}); make room on the disk"
        ) from error


def _remove_derived(folder: Path) -> None:
    """Remove what was made from indexes that are gone: whitened indexes, whitenings and manifests.

    Files `*.directions` and `*-principal1.ann` are of versions before 0.2.
    """
    for pattern in ("*.ann", "*.whitening", "*.directions"):
        for derived in folder.glob(pattern):
            words = derived.stem.split("-")
            sources = ("-".join(words[:i]) for i in range(1, len(words)))
            if not any((folder / f"{source}.faiss").exists() for source in sources):
                derived.unlink(missing_ok=True)
    for manifest in folder.glob("*.card.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # gone, or no manifest
            if not (folder / json.loads(manifest.read_bytes())["index"]).exists():
                manifest.unlink()


def open_index(path: Path) -> faiss.Index:
    """A kept index, mapped into memory rather than read.

    Raises:
        InputError: it is missing, damaged, a link, or not of the one kind that we write.
    """
    foreign = InputError(
        f"{safe(path)} is damaged or no index of ours; remove it and evaluate again"
    )
    if not _has_our_header(path):
        raise foreign
    try:
        check_digest(path)
    except OSError as error:
        raise InputError(f"cannot read {safe(path)}: {error.strerror}; evaluate again") from error
    try:
        with unicode_path(path) as name:
            index: Any = faiss.read_index(name, _MMAP)
    except RuntimeError as error:
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); remove it and evaluate again"
        ) from error
    layout = (index.sq.qtype, index.code_size, index.codes.size())
    if layout != (faiss.ScalarQuantizer.QT_fp16, 2 * index.d, 2 * index.d * index.ntotal):
        raise foreign
    return index


def _has_our_header(path: Path) -> bool:
    """Whether a file's header is of our kind and fits its size; faiss trusts the lengths that it reads.

    Raises:
        InputError: the file cannot be read, or is a link.
    """
    try:
        if path.is_symlink():
            raise InputError(f"{safe(path)} is a link, which is not followed; remove it")
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {safe(path)}: {error.strerror}; evaluate again") from error
    if len(head) < _HEADER.size:
        return False
    kind, features, count = _HEADER.unpack(head)
    return kind == _KIND and 0 < features <= _MOST_FEATURES and 0 <= 2 * features * count <= size
