"""The vectors of a pack's marks that the index of its parent holds already."""

import dataclasses
from pathlib import Path

import faiss
import numpy as np

from tmssl.data.pack.reader import Pack
from tmssl.retrieval.index.faiss_index import index_path, open_index
from tmssl.training.checkpoints.store import Weights
from tmssl.types import Indices, Vectors


@dataclasses.dataclass(frozen=True)
class KnownVectors:
    """Vectors of the first marks of a pack, in the index of the pack that it was made from."""

    index: faiss.Index | None
    """of the parent; None where nothing is known"""
    rows: Indices
    """the parent's row of each of the first marks, ascending, (k,)"""
    path: Path | None = None
    """file of that index"""

    @staticmethod
    def find(folder: Path, weights: Weights, pack: Pack) -> "KnownVectors":
        """What a run's folder of indexes holds of the marks of a pack, by the same weights.

        Raises:
            InputError: the index of the parent is damaged.
        """
        nothing = KnownVectors(None, np.empty(0, np.int64))
        if not pack.info.changes:
            return nothing
        path = index_path(folder, weights, pack.info.changes[-1].parent)
        if not path.exists():
            return nothing
        index = open_index(path)
        ranges = [np.arange(begin, end) for begin, end in pack.info.kept]
        rows = np.concatenate([nothing.rows, *ranges])
        fits = not len(rows) or rows[-1] < index.ntotal
        return KnownVectors(index, rows, path) if fits else nothing

    def rest(self, rows: range) -> range:
        """Those of some rows of the pack whose vectors are not known."""
        return range(min(max(rows.start, len(self.rows)), rows.stop), rows.stop)

    def joined(self, rows: range, vectors: Vectors) -> Vectors:
        """The vectors of some rows of the pack, float32 (n, d), those of the rest being given.

        Half precision comes back from float32 unchanged, so an index of them holds the parent's bits.
        """
        known = self.rows[rows.start : rows.stop]
        if self.index is None or not len(known):
            return vectors
        old = self.index.reconstruct_batch(known)
        return np.concatenate([old, vectors]) if len(vectors) else old
