"""A whitened index of a gallery, kept beside the exact one of its run."""

from pathlib import Path

import faiss
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tmssl.data.whitening import Whitening, fit_whitening
from tmssl.errors import InputError
from tmssl.retrieval.index.digests import check_digest, forget_digest, write_recorded
from tmssl.retrieval.index.exact import half_vectors
from tmssl.retrieval.index.faiss_index import empty_index, open_index, write_index
from tmssl.text import safe
from tmssl.types import Progress

_VERSION = 2  # raise it when vectors come out differently
_BLOCK = 1 << 13  # vectors that are whitened together; with 1280 features 40 MiB


def whitened_index(
    exact: faiss.Index, path: Path, features: int, progress: Progress | None = None
) -> tuple[faiss.Index, Whitening, Path]:
    """The whitened index of a run's own index, the whitening of its queries, and its file.

    Both are kept beside the index, named after it, and are removed with it.

    Args:
        exact: the run's own index.
        path: its file.
        features: how many to keep.
        progress: called with (vectors whitened, vectors).

    Raises:
        InputError: a kept file is damaged, or the disk is full.
    """
    target = path.with_name(f"{path.stem}-whitened{_VERSION}x{features}.ann")
    statistics = target.with_suffix(".whitening")
    if not target.exists() or not statistics.exists():
        vectors = half_vectors(exact).numpy()
        whitening = fit_whitening(vectors, features)
        index = empty_index(whitening.axes.shape[1])
        for begin in range(0, len(vectors), _BLOCK):
            index.add(whitening(vectors[begin : begin + _BLOCK].astype(np.float32)))
            if progress:
                progress(index.ntotal, len(vectors))
        write_recorded(statistics, save({"centre": whitening.centre, "axes": whitening.axes}))
        forget_digest(target)
        write_index(index, target)
    whitening, index = _read_whitening(statistics, exact.d), open_index(target)
    if (index.d, index.ntotal) != (whitening.axes.shape[1], exact.ntotal):
        raise InputError(f"{safe(target)} is damaged or of another index; remove it and try again")
    return index, whitening, target


def kept_widths(path: Path) -> list[int]:
    """The features of each whitened index that is kept beside a run's own index."""
    names = (file.stem for file in path.parent.glob(f"{path.stem}-whitened{_VERSION}x*.ann"))
    widths = (name.rpartition("x")[2] for name in names)
    return sorted(int(width) for width in widths if width.isdecimal())


def _read_whitening(path: Path, width: int) -> Whitening:
    """A kept whitening of vectors of some width.

    Raises:
        InputError: it is damaged, a link, or for vectors of another width.
    """
    try:
        if path.is_symlink():
            raise InputError(f"{safe(path)} is a link, which is not followed; remove it")
        check_digest(path)
        arrays = load(path.read_bytes())
        centre, axes = arrays["centre"], arrays["axes"]
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); remove it and try again"
        ) from error
    fits = centre.shape == (width,) and axes.ndim == 2 and axes.shape[0] == width
    fits = fits and bool(np.isfinite(centre).all() and np.isfinite(axes).all())
    if not fits or centre.dtype != np.float32 or axes.dtype != np.float32:
        raise InputError(f"{safe(path)} is for other vectors; remove it and try again")
    return Whitening(centre, axes)
