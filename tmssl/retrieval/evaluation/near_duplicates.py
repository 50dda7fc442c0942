"""Near-duplicates of the queries: any encoder finds them, so they prove nothing.

Registers hold one picture many times: for other classes, for renewals, for other countries.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import faiss
import msgspec
import numpy as np
import torch
from torch.nn import functional

from tmssl.data.pack.reader import Pack
from tmssl.data.phash import HASH_BITS
from tmssl.files import write_atomic
from tmssl.runs.ranges import Count
from tmssl.types import Indices, Progress, Vectors

_BITS = 4  # of the perceptual hash that may differ
_SIDE = 32
# Root mean square of the difference of two 32 x 32 pictures, in grey levels. Among 1,500 real logos
# pairs from 7 on differ in a small sign or in colour; a JPEG of quality 40 differs by 2.4 (median).
_DIFFERENCE = 6.0
_VERSION = 1  # raise it when other pairs are found
_AT_ONCE = 256


def near_duplicates(
    pack: Pack, hashes: Vectors, queries: Indices, progress: Progress | None = None
) -> list[Indices]:
    """For each query the rows of its near-duplicates, ascending, without itself.

    Near-duplicates differ in at most 4 of the 64 bits of their perceptual hashes and hardly in
    colour; the same mark in another colour is another mark.

    Args:
        pack: the gallery.
        hashes: of every mark, as `hash_pack` returns them, (count, 64).
        queries: rows, (q,).
        progress: called with (queries done, queries).
    """
    bits = np.packbits(hashes > 0, axis=1)
    index = faiss.IndexBinaryFlat(HASH_BITS)
    index.add(bits)
    duplicates: list[Indices] = []
    for begin in range(0, len(queries), _AT_ONCE):
        some = queries[begin : begin + _AT_ONCE]
        limits, _, rows = index.range_search(bits[some], _BITS + 1)  # finds distances below it
        by_query = np.split(rows, limits[1:-1].astype(np.int64))
        for query, near in zip(some.tolist(), by_query, strict=True):
            duplicates.append(_alike(pack, query, np.sort(near[near != query])))
        if progress:
            progress(begin + len(some), len(queries))
    return duplicates


def _alike(pack: Pack, query: int, candidates: Indices) -> Indices:
    """The candidate rows whose pixels hardly differ from the query's."""
    if len(candidates) == 0:
        return candidates
    picture = _thumbnails(pack, [query])
    parts = []
    for begin in range(0, len(candidates), _AT_ONCE):
        rows = candidates[begin : begin + _AT_ONCE]
        difference = (_thumbnails(pack, rows) - picture).square().mean((1, 2, 3)).sqrt()
        parts.append(rows[(difference <= _DIFFERENCE).numpy()])
    return np.concatenate(parts)


def _thumbnails(pack: Pack, rows: Sequence[int] | Indices) -> torch.Tensor:
    """Marks at 32 x 32, float32 (n, 3, 32, 32) from 0 to 255."""
    pixels = torch.from_numpy(pack.read(rows)).permute(0, 3, 1, 2).float()
    return functional.interpolate(pixels, (_SIDE, _SIDE), mode="bilinear", antialias=True)


def duplicates_path(folder: Path, pack: Pack, queries: Indices) -> Path:
    """Where the near-duplicates of some queries are kept, in the run's folder of evaluations."""
    identity = f"{_VERSION} {pack.identity} ".encode() + queries.tobytes()
    return folder / f"duplicates-{hashlib.sha256(identity).hexdigest()[:16]}.json"


def read_duplicates(path: Path, queries: int, marks: int) -> list[Indices] | None:
    """The kept near-duplicates of so many queries among so many marks, or None where there are none."""
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=list[list[Count]])
    except (
        OSError,
        ValueError,
        RecursionError,
    ):  # they are searched for again, so no error is reported
        return None
    if len(stored) != queries or any(row >= marks for rows in stored for row in rows):
        return None
    return [np.array(rows, dtype=np.int64) for rows in stored]


def write_duplicates(path: Path, duplicates: Sequence[Indices]) -> None:
    """Keep near-duplicates; the file appears complete or not at all."""
    write_atomic(path, msgspec.json.encode([rows.tolist() for rows in duplicates]))
