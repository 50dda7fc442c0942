"""The faiss index: exact inner product on unit vectors, kept in the run and reused."""

import contextlib
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from tmssl.errors import InputError
from tmssl.files import atomic_path
from tmssl.text import safe
from tmssl.training.checkpoints.store import Weights
from tmssl.types import Vectors

_QUERIES_AT_ONCE = 256
_GALLERY_AT_ONCE = 1 << 15  # with 1280 features 160 MiB
_KEPT = 2  # indexes kept in a run; one of 538,000 marks takes 1.4 GB
_TIE = 1e-6  # cosines closer than this are rounding apart
_HEADER = struct.Struct("<4siq")  # of faiss's files: kind, features, vectors
_KIND = b"IxSQ"  # IndexScalarQuantizer
_FOREIGN = "is damaged or no index of ours; remove it and evaluate again"
_MOST_FEATURES = 1 << 16
# Only the newer flag maps the vectors themselves; before faiss 1.11 they are read into memory.
_MAPPED = getattr(faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP)


def build_index(vectors: Vectors) -> faiss.Index:
    """An exact inner-product index of unit vectors in half precision (overlap@10 with fp32 0.9995).

    `vectors` is float32 (n, d) with rows of norm 1.
    """
    index = empty_index(vectors.shape[1])
    index.add(vectors)
    return index


def empty_index(features: int) -> faiss.Index:
    """An empty index of that kind, to be added to."""
    index = faiss.IndexScalarQuantizer(
        features, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.train(np.zeros((1, features), np.float32))  # half precision has nothing to learn
    return index


def index_path(folder: Path, weights: Weights, pack: str) -> Path:
    """Where the index of one encoder over the pack of this identity is kept.

    Its name is a digest of the weights in memory, since the file they came from may have been
    replaced by a trainer meanwhile.
    """
    told = hashlib.sha256(f"{weights.config.model.name} {weights.config.data.image_size}".encode())
    for name, tensor in weights.encoder.items():
        told.update(name.encode())
        told.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return folder / f"{told.hexdigest()[:16]}-{pack[:16]}.faiss"


def save_index(index: faiss.Index, path: Path) -> None:
    """Write an index; it appears complete or not at all, and only the newest few are kept."""
    _forget(path)
    write_index(index, path)
    newest = sorted(path.parent.glob("*.faiss"), key=_written_ns)
    for old in newest[:-_KEPT]:
        with contextlib.suppress(FileNotFoundError):  # another evaluation was faster
            old.unlink()
    remove_derived(path.parent)


def _forget(path: Path) -> None:
    """Remove what was made of an index of this name before, whose vectors may differ in rounding."""
    path.unlink(missing_ok=True)
    remove_derived(path.parent)
    for card in path.parent.glob("*.card.json"):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # gone, or no card
            if json.loads(card.read_bytes()).get("index") == path.name:
                card.unlink()


def _written_ns(path: Path) -> int:
    """When a file was written; 0 where another process removed it just now."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def write_index(index: faiss.Index, path: Path) -> None:
    """Write an index; it appears complete or not at all.

    Raises:
        InputError: the disk is full.
    """
    try:
        with atomic_path(path) as fresh:
            faiss.write_index(index, str(fresh))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"cannot write {safe(path)} ({safe(error, 100)}); make room on the disk"
        ) from error


def remove_derived(folder: Path) -> None:
    """Remove what was made of indexes that are gone: `NAME-*.ann` and the like without `NAME.faiss`."""
    for kind in ("*.ann", "*.whitening", "*.directions"):
        for made in folder.glob(kind):
            names = made.stem.split("-")
            of = ("-".join(names[:i]) for i in range(1, len(names)))
            if not any((folder / f"{name}.faiss").exists() for name in of):
                made.unlink(missing_ok=True)


def open_index(path: Path) -> faiss.Index:
    """A kept index, mapped into memory rather than read.

    Raises:
        InputError: it is missing, damaged, a link, or not of the one kind that we write.
    """
    _check_header(path)
    try:
        index: Any = faiss.read_index(str(path), _MAPPED)
    except RuntimeError as error:
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); remove it and evaluate again"
        ) from error
    found = (index.sq.qtype, index.code_size, index.codes.size())
    if found != (faiss.ScalarQuantizer.QT_fp16, 2 * index.d, 2 * index.d * index.ntotal):
        raise InputError(f"{safe(path)} {_FOREIGN}")
    return index


def _check_header(path: Path) -> None:
    """Refuse a foreign file before faiss parses it, which trusts the lengths that it reads.

    Raises:
        InputError: another kind of index, or one whose vectors cannot be in a file of its length.
    """
    try:
        if path.is_symlink():
            raise InputError(f"{safe(path)} is a link, which is not followed; remove it")
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {safe(path)}: {error.strerror}; evaluate again") from error
    kind, features, count = _HEADER.unpack(head) if len(head) == _HEADER.size else (b"", 0, 0)
    vectors = 2 * features * count
    if kind != _KIND or not 0 < features <= _MOST_FEATURES or not 0 <= vectors <= size:
        raise InputError(f"{safe(path)} {_FOREIGN}")
