"""The leading principal directions of an index: what is read first, so that little is read exactly.

What an encoder says of marks lies close to a few dozen of its many directions. With orthonormal directions
P (d, h), and |v'| the length of what they leave of a vector v, Cauchy and Schwarz bound an inner product:
q x <= (P q)(P x) + |q'| |x'|. That is the product of (P q, |q'|) and (P x, |x'|), of h + 1 numbers, and a mark
whose bound is less than the k-th best product cannot be among the k best (Li et al. 2017, "FEXIPRO").
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tmssl.errors import InputError
from tmssl.retrieval.blocked import half_vectors
from tmssl.retrieval.index import adding_index, open_index, write_index
from tmssl.retrieval.matches import write_whole
from tmssl.text import safe

Progress = Callable[[int, int], None]
Vectors = npt.NDArray[np.float32]

_VERSION = 1  # raise it when directions come out differently
_SHARE = 10  # one number is kept of so many, and
_MULTIPLE = 16  # as many as faiss decodes at once
_LEARNT_FROM = 1 << 15  # marks, evenly spread
_AT_ONCE = 1 << 13  # with 1280 features 40 MiB
_WORTH = 1 << 26  # bytes of an exact index; below that reading all of it takes milliseconds
_ROUNDING = 4e-6  # of sums in single precision, in a cosine


@dataclasses.dataclass(frozen=True)
class Principal:
    """A gallery along its leading directions."""

    index: faiss.Index
    """(P x, |x'|) of each mark in half precision, (n, h + 1)"""
    directions: Vectors
    """P, orthonormal columns (d, h)"""
    off: float
    """a bound may be so much less than the cosine that it bounds, by rounding"""

    def bounding(self, vectors: Vectors) -> Vectors:
        """(P q, |q'|) of unit vectors (q, d), whose products with `index` bound cosines: (q, h + 1)."""
        return _bounding(vectors, self.directions)


def principal_index(
    exact: faiss.Index, path: Path, phase: Callable[[str], Progress | None] | None = None
) -> Principal | None:
    """The leading directions of a run's index, kept beside it and used again; None where not worth it.

    Args:
        exact: the run's own index.
        path: its file.
        phase: called with what begins, where they must be made; returns what to tell its progress.

    Raises:
        InputError: a kept file is damaged, or the disk is full.
    """
    if 2 * exact.ntotal * exact.d < _WORTH:
        return None
    target = path.with_name(f"{path.stem}-principal{_VERSION}.ann")
    learnt = target.with_suffix(".directions")
    if not target.exists() or not learnt.exists():
        made = build_principal(exact, phase("indexing directions") if phase else None)
        write_whole(learnt, [_saved(made)])
        write_index(made.index, target)
    return _read(target, learnt, exact)


def build_principal(exact: faiss.Index, progress: Progress | None = None) -> Principal:
    """The leading directions of an index, one for every ten features, and its marks along them."""
    held = half_vectors(exact).numpy()
    kept = max(_MULTIPLE, exact.d // _SHARE // _MULTIPLE * _MULTIPLE)
    some = held[:: -(-len(held) // _LEARNT_FROM)].astype(np.float32)
    _, directions = np.linalg.eigh((some.T @ some).astype(np.float64))  # the largest come last
    leading = np.ascontiguousarray(directions[:, ::-1][:, : kept - 1], np.float32)
    index, off = adding_index(leading.shape[1] + 1), 0.0
    for begin in range(0, len(held), _AT_ONCE):
        numbers = _bounding(held[begin : begin + _AT_ONCE].astype(np.float32), leading)
        lost = numbers - numbers.astype(np.float16)
        off = max(off, float(np.linalg.norm(lost, axis=1).max()))
        index.add(numbers)
        if progress:
            progress(index.ntotal, len(held))
    return Principal(index, leading, off + _ROUNDING)


def _bounding(vectors: Vectors, directions: Vectors) -> Vectors:
    """(P v, |v'|) of each vector (n, d)."""
    along = vectors @ directions
    rest = np.linalg.norm(vectors - along @ directions.T, axis=1, keepdims=True)
    return np.hstack([along, rest])


def _saved(made: Principal) -> bytes:
    """All but the marks themselves, as a file."""
    return save({"directions": made.directions, "off": np.array([made.off], np.float64)})


def _read(target: Path, learnt: Path, exact: faiss.Index) -> Principal:
    """Kept directions and the marks along them.

    Raises:
        InputError: they are damaged, or of another index.
    """
    index = open_index(target)
    try:
        if learnt.is_symlink():
            raise InputError(f"{safe(learnt)} is a link, which is not followed; remove it")
        told = load(learnt.read_bytes())
        directions, (off,) = told["directions"], told["off"].tolist()
    except (OSError, ValueError, SafetensorError, KeyError) as error:
        raise InputError(
            f"{safe(learnt)} is damaged ({safe(error, 100)}); remove it and search again"
        ) from error
    fits = (index.ntotal, directions.shape) == (exact.ntotal, (exact.d, index.d - 1))
    if not fits or directions.dtype != np.float32 or not 0 <= off < np.inf:
        raise InputError(
            f"{safe(target)} is damaged or of another index; remove it and search again"
        )
    return Principal(index, directions, off)
