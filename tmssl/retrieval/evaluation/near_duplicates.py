"""Marks that are nearly the same picture as a query, which any encoder finds and which prove nothing.

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

from tmssl.data.pack.pack import Pack
from tmssl.data.phash import HASH_BITS
from tmssl.files import write_atomic
from tmssl.retrieval.evaluation.references import pack_identity
from tmssl.types import Indices, Progress, Vectors

_BITS = 4  # most bits of the perceptual hash that may differ
_SIDE = 32
# Root mean square of the difference of two 32 x 32 pictures, in grey levels. Among 1,500 real logos
# pairs from 7 on differ in a small sign or in colour; a JPEG of quality 40 differs by 2.4 (median).
_DIFFERENCE = 6.0
_VERSION = 1  # raise it when other pairs are found
_AT_ONCE = 256


def near_duplicates(
    pack: Pack, hashes: Vectors, queries: Indices, progress: Progress | None = None
) -> list[Indices]:
    """For each query the rows of its near-duplicates, ascending, itself left out.

    Two marks are nearly the same when their perceptual hashes differ in at most 4 of 64 bits and their
    colours hardly; a mark in another colour is another mark.

    Args:
        pack: the gallery.
        hashes: of every mark, as `hash_pack` gives them, (count, 64).
        queries: rows, (q,).
        progress: called with (queries done, queries).
    """
    bits = np.packbits(hashes > 0, axis=1)
    index = faiss.IndexBinaryFlat(HASH_BITS)
    index.add(bits)
    found: list[Indices] = []
    for begin in range(0, len(queries), _AT_ONCE):
        mine = queries[begin : begin + _AT_ONCE]
        limits, _, rows = index.range_search(bits[mine], _BITS + 1)  # it finds what is below
        parts = np.split(rows, limits[1:-1].astype(np.int64))
        found += [
            _confirmed(pack, own, np.sort(part[part != own]))
            for own, part in zip(mine.tolist(), parts, strict=True)
        ]
        if progress:
            progress(begin + len(mine), len(queries))
    return found


def _confirmed(pack: Pack, own: int, candidates: Indices) -> Indices:
    """Those of some rows whose colours hardly differ from a mark's."""
    if len(candidates) == 0:
        return candidates
    picture = _small(pack, [own])
    kept = []
    for begin in range(0, len(candidates), _AT_ONCE):
        rows = candidates[begin : begin + _AT_ONCE]
        difference = (_small(pack, rows) - picture).square().mean((1, 2, 3)).sqrt()
        kept.append(rows[(difference <= _DIFFERENCE).numpy()])
    return np.concatenate(kept)


def _small(pack: Pack, rows: Sequence[int] | Indices) -> torch.Tensor:
    """Marks at 32 x 32, float32 (n, 3, 32, 32) from 0 to 255."""
    pixels = torch.from_numpy(pack.read(rows)).permute(0, 3, 1, 2).float()
    return functional.interpolate(pixels, (_SIDE, _SIDE), mode="bilinear", antialias=True)


def duplicates_path(folder: Path, pack: Pack, queries: Indices) -> Path:
    """Where the near-duplicates of some queries are kept, in the run's folder of evaluations."""
    told = f"{_VERSION} {pack_identity(pack)} ".encode() + queries.tobytes()
    return folder / f"duplicates-{hashlib.sha256(told).hexdigest()[:16]}.json"


def read_duplicates(path: Path) -> list[Indices] | None:
    """The kept near-duplicates, or None where there are none that can be read."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=list[list[int]])
    except (OSError, ValueError):  # they are looked for again, so damage needs no words
        return None
    return [np.array(rows, dtype=np.int64) for rows in kept]


def write_duplicates(path: Path, found: Sequence[Indices]) -> None:
    """Keep near-duplicates; the file appears complete or not at all."""
    write_atomic(path, msgspec.json.encode([rows.tolist() for rows in found]))
