"""What the encoders beside the evaluated one score, each measured once and kept in the run."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.pack.facts import identity
from tmssl.data.pack.pack import Pack
from tmssl.retrieval.matches import write_whole
from tmssl.retrieval.score import Key

Rows = npt.NDArray[np.int64]
Means = Mapping[Key, float]
References = Mapping[str, Means]

_VERSION = 3  # raise it when a figure, the hash or the input of an encoder changes


class Figure(msgspec.Struct, frozen=True):
    """One mean, as kept."""

    metric: str
    level: str
    codes: str
    k: int
    value: float


def pack_identity(pack: Pack) -> str:
    """A digest of whose pixels a pack holds and how they were made."""
    return identity(pack.fingerprint, pack.size, pack.count, pack.frame_bytes)


def references_path(
    folder: Path, *, pack: Pack, describer: str, topk: Sequence[int], queries: Rows,
    away: Sequence[Rows],
) -> Path:  # fmt: skip
    """Where the figures of one reference for one question are kept.

    Args:
        folder: the run's folder of evaluations.
        pack: the gallery.
        describer: its key.
        topk: list lengths.
        queries: rows of the queries.
        away: for each query the rows that are not searched.
    """
    told = f"{_VERSION} {pack_identity(pack)} {describer} {list(topk)} ".encode()
    told += queries.tobytes() + str([rows.tolist() for rows in away if len(rows)]).encode()
    return folder / f"references-{hashlib.sha256(told).hexdigest()[:16]}.json"


def read_references(path: Path) -> Means | None:
    """The kept figures, or None where there are none that can be read."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=list[Figure])
    except (OSError, ValueError):  # they are measured again, so damage needs no words
        return None
    return {(f.metric, f.level, f.codes, f.k): f.value for f in kept}


def write_references(path: Path, references: Means) -> None:
    """Keep figures; the file appears complete or not at all."""
    kept = [Figure(*key, value) for key, value in references.items()]
    write_whole(path, [msgspec.json.encode(kept)])
