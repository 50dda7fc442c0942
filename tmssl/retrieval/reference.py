"""What an untrained encoder and a perceptual hash score, measured once and kept in the run."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.facts import identity
from tmssl.data.pack import Pack
from tmssl.retrieval.matches import write_whole
from tmssl.retrieval.score import Key

Rows = npt.NDArray[np.int64]
References = Mapping[str, Mapping[Key, float]]

_VERSION = 2  # raise it when a figure, the hash or the input of an encoder changes


class Figure(msgspec.Struct, frozen=True):
    """One mean, as kept."""

    metric: str
    level: str
    codes: str
    k: int
    value: float


def pack_identity(pack: Pack) -> str:
    """A digest of whose pixels a pack holds and how they were made."""
    return identity(pack.fingerprint, pack.size, pack.count)


def references_path(
    folder: Path, *, pack: Pack, encoder: str, image_size: int, seed: int,
    topk: Sequence[int], queries: Rows,
) -> Path:  # fmt: skip
    """Where the references of one question are kept.

    Args:
        folder: the run's folder of evaluations.
        pack: the gallery.
        encoder: its name.
        image_size: side of its input in pixels.
        seed: of the untrained encoder.
        topk: list lengths.
        queries: rows of the queries.
    """
    told = f"{_VERSION} {pack_identity(pack)} {encoder} {image_size} {seed} {list(topk)} ".encode()
    return folder / f"references-{hashlib.sha256(told + queries.tobytes()).hexdigest()[:16]}.json"


def read_references(path: Path) -> References | None:
    """The kept references, or None where there are none that can be read."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=dict[str, list[Figure]])
    except (OSError, ValueError):  # they are measured again, so damage needs no words
        return None
    return {
        name: {(f.metric, f.level, f.codes, f.k): f.value for f in figures}
        for name, figures in kept.items()
    }


def write_references(path: Path, references: References) -> None:
    """Keep references; the file appears complete or not at all."""
    kept = {
        name: [Figure(*key, value) for key, value in figures.items()]
        for name, figures in references.items()
    }
    write_whole(path, [msgspec.json.encode(kept)])
