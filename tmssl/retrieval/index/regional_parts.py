"""Parts of the vectors of the marks' regions, joined into their two files."""

from collections.abc import Iterator

import faiss
import numpy as np

from tmssl.retrieval.index.parts import Parts
from tmssl.retrieval.index.regional import Bytes, RegionalFiles, write_regional
from tmssl.types import Indices


class RegionalParts(Parts):
    """The parts of the vectors of regions, a byte a feature; their signs are made when they are joined.

    Args:
        files: the files.
        marks: in the gallery.
    """

    def __init__(self, files: RegionalFiles, marks: int) -> None:
        super().__init__(files.parts, marks, feature_bytes=files.regions - 1)
        self.files = files

    @property
    def joined(self) -> bool:
        """Whether both files are there."""
        return self.files.exist()

    def write(self, rows: range, codes: Bytes) -> None:
        """Write the part of some rows, codes (marks, regions - 1, features); it appears complete or not at all.

        Raises:
            InputError: the disk is full.
        """
        self.keep(rows, codes.tobytes(), codes.shape[2])

    def join(self, whole: faiss.Index) -> None:
        """Write the files of all parts, byte for byte what one process writes at once.

        Args:
            whole: index of the whole marks.

        Raises:
            InputError: a part is missing, damaged or of another encoder or pack, or the disk is full.
        """
        write_regional(self.files, whole, self._codes())

    def _codes(self) -> Iterator[tuple[Indices, Bytes]]:
        for features, chunk, codes in self.read():
            shape = len(chunk), self.files.regions - 1, features
            yield np.arange(chunk.start, chunk.stop), np.frombuffer(codes, np.int8).reshape(shape)
