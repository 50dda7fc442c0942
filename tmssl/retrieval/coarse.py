"""A byte to a feature beside an index of two: what is read first, so that little is read exactly.

One query is bound by how fast memory gives the gallery. A mark x is kept as c with x = m + s c + e, where m
and s hold for all marks and each number of c is a byte. Multiplied by s and rounded to bytes too, a query
q is t b + f. So q x = q m + t (b c) + f c + q e, in which the last two terms are at most |f| |c| + |q| |e|:
whoever is behind by more cannot be among the nearest.
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
from tmssl.retrieval.index import open_bytes, write_index
from tmssl.retrieval.matches import write_whole
from tmssl.text import safe

Progress = Callable[[int, int], None]
Vectors = npt.NDArray[np.float32]

_VERSION = 1  # raise it when bytes come out differently
_AT_ONCE = 1 << 13  # with 1280 features 40 MiB
_WORTH = 1 << 26  # bytes of an exact index; below that reading all of it takes milliseconds
_LARGEST = 127  # of a byte with a sign
_ROUNDING = 4e-6  # of sums in single precision, in a cosine


@dataclasses.dataclass(frozen=True)
class Coarse:
    """The bytes of a gallery, and how far they may be off."""

    index: faiss.Index
    middle: Vectors
    """what a byte of 0 is in each feature, (d,)"""
    step: Vectors
    """what one step of a byte is in each feature, (d,)"""
    longest: float
    """the largest norm of a mark's bytes"""
    off: float
    """the largest distance of a mark from what its bytes say"""

    def asked(self, vector: Vectors) -> tuple[Vectors, Callable[[float], float]]:
        """A unit vector (1, d) as whole numbers (1, d), and the cosine that their product stands for at most."""
        weights = vector * self.step
        scale = max(float(np.abs(weights).max()) / _LARGEST, 1e-12)
        whole = np.rint(weights / scale)
        lost = float(np.linalg.norm(weights - whole * scale)) * self.longest
        rest = float(vector[0] @ self.middle) + lost + self.off + _ROUNDING
        return whole, lambda product: scale * product + rest


def coarse_index(
    exact: faiss.Index, path: Path, phase: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Coarse | None:  # fmt: skip
    """The bytes of a run's own index, kept beside it and used again; None where they are not worth it.

    Args:
        exact: the run's own index.
        path: its file.
        phase: called with what begins, where they must be made.
        progress: called with (marks done, marks).

    Raises:
        InputError: a kept file is damaged, or the disk is full.
    """
    if 2 * exact.ntotal * exact.d < _WORTH:
        return None
    target = path.with_name(f"{path.stem}-bytes{_VERSION}.ann")
    learnt = target.with_suffix(".steps")
    if not target.exists() or not learnt.exists():
        if phase:
            phase("indexing bytes")
        made = build_coarse(exact, progress)
        write_whole(learnt, [_saved(made)])
        write_index(made.index, target)
    return _read(target, learnt, exact)


def build_coarse(exact: faiss.Index, progress: Progress | None = None) -> Coarse:
    """The bytes of an index; features reach from their least to their largest value over all marks."""
    held = half_vectors(exact).numpy()
    blocks = [slice(begin, begin + _AT_ONCE) for begin in range(0, len(held), _AT_ONCE)]
    least = np.min([held[block].min(0) for block in blocks], 0).astype(np.float32)
    most = np.max([held[block].max(0) for block in blocks], 0).astype(np.float32)
    middle, step = (least + most) / 2, np.maximum((most - least) / (2 * _LARGEST), 1e-12)
    index = faiss.IndexScalarQuantizer(
        exact.d, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    longest = off = 0.0
    for block in blocks:
        vectors = held[block].astype(np.float32) - middle
        codes = np.rint(vectors / step)
        longest = max(longest, float(np.linalg.norm(codes, axis=1).max()))
        off = max(off, float(np.linalg.norm(vectors - codes * step, axis=1).max()))
        index.add(codes)
        if progress:
            progress(index.ntotal, len(held))
    return Coarse(index, middle, step, longest, off)


def _saved(made: Coarse) -> bytes:
    """All but the bytes themselves, as a file."""
    limits = np.array([made.longest, made.off], np.float64)
    return save({"middle": made.middle, "step": made.step, "limits": limits})


def _read(target: Path, learnt: Path, exact: faiss.Index) -> Coarse:
    """Kept bytes and their steps.

    Raises:
        InputError: they are damaged, or of another index.
    """
    index = open_bytes(target)
    try:
        if learnt.is_symlink():
            raise InputError(f"{safe(learnt)} is a link, which is not followed; remove it")
        told = load(learnt.read_bytes())
        middle, step = told["middle"], told["step"]
        longest, off = told["limits"].tolist()
    except (OSError, ValueError, SafetensorError, KeyError) as error:
        raise InputError(
            f"{safe(learnt)} is damaged ({safe(error, 100)}); remove it and search again"
        ) from error
    shapes = (index.d, index.ntotal, middle.shape, step.shape)
    fits = shapes == (exact.d, exact.ntotal, (exact.d,), (exact.d,))
    if (
        not fits
        or {middle.dtype, step.dtype} != {np.dtype(np.float32)}
        or not (0 <= off < np.inf and 0 <= longest < np.inf)
    ):
        raise InputError(
            f"{safe(target)} is damaged or of another index; remove it and search again"
        )
    return Coarse(index, middle, step, longest, off)
