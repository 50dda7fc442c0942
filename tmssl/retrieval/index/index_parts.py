"""Parts of the index of the whole marks, joined into the file that faiss would write."""

import struct
from pathlib import Path

import faiss

from tmssl.retrieval.index.exact import half_vectors
from tmssl.retrieval.index.faiss_index import build_index, empty_index, new_index
from tmssl.retrieval.index.parts import Parts
from tmssl.types import Vectors

_SIZE = struct.Struct("<Q")


class IndexParts(Parts):
    """The parts of one index, in half precision as faiss keeps it.

    Args:
        index: file of the index.
        marks: in the gallery.
    """

    def __init__(self, index: Path, marks: int) -> None:
        super().__init__(index.with_suffix(".parts"), marks, feature_bytes=2)
        self.index = index

    @property
    def joined(self) -> bool:
        """Whether the index is there."""
        return self.index.exists()

    def write(self, rows: range, vectors: Vectors) -> None:
        """Write the part of some rows; it appears complete or not at all.

        Args:
            rows: of `ranges`.
            vectors: float32 (marks, features), rows of norm 1.

        Raises:
            InputError: the disk is full.
        """
        index = build_index(vectors)  # its vectors are gone when it is
        self.keep(rows, half_vectors(index).numpy().tobytes(), vectors.shape[1])

    def join(self) -> None:
        """Write the index of all parts, byte for byte what faiss writes of one made at once.

        Raises:
            InputError: a part is missing, damaged or of another encoder or pack, or the disk is full.
        """
        with new_index(self.index) as fresh, fresh.open("wb") as file:
            for features, chunk, codes in self.read():
                if not chunk.start:
                    file.write(_head(features, self.marks))
                file.write(codes)


def _head(features: int, marks: int) -> bytes:
    """What faiss writes of an index in half precision before its vectors.

    The number of vectors is behind kind and width, and the number of their bytes comes last.
    """
    writer = faiss.VectorIOWriter()
    faiss.write_index(empty_index(features), writer)
    empty = faiss.vector_to_array(writer.data).tobytes()
    at, size = struct.calcsize("<4si"), _SIZE.size
    head = empty[:at] + _SIZE.pack(marks) + empty[at + size : -size]
    return head + _SIZE.pack(2 * features * marks)
