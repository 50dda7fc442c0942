"""One question put to several encoders: what the queries find, and what the references score."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import faiss
import msgspec
import numpy as np
import torch

from tmssl.data.pack.facts import identity
from tmssl.data.pack.pack import Pack
from tmssl.files import write_atomic
from tmssl.retrieval.evaluation.metrics import Key, Marks, Ranking, means, measure
from tmssl.retrieval.evaluation.relevance import group_mates
from tmssl.retrieval.index.faiss_index import build_index
from tmssl.retrieval.index.leave_one_out import mate_ranks, search_rows
from tmssl.retrieval.vectors.baselines import Descriptor
from tmssl.retrieval.vectors.embed import break_ties
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import Weights
from tmssl.types import Indices, Progress, Vectors

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
    folder: Path,
    *,
    pack: Pack,
    descriptor: str,
    topk: Sequence[int],
    queries: Indices,
    away: Sequence[Indices],
) -> Path:
    """Where the figures of one reference for one question are kept.

    Args:
        folder: the run's folder of evaluations.
        pack: the gallery.
        descriptor: its key.
        topk: list lengths.
        queries: rows of the queries.
        away: for each query the rows that are not searched.
    """
    told = f"{_VERSION} {pack_identity(pack)} {descriptor} {list(topk)} ".encode()
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
    write_atomic(path, msgspec.json.encode(kept))


@dataclasses.dataclass(frozen=True)
class Question:
    """What is evaluated, and on what."""

    weights: Weights
    pack: Pack
    marks: Marks
    queries: Indices
    away: list[Indices]
    """for each query the rows that are not searched, besides its own"""
    topk: list[int]
    device: torch.device
    begin: Callable[[str], Progress | None]
    """names the phase that begins, and returns what to tell its progress"""


def ranked(
    index: faiss.Index,
    question: Question,
    phase: str,
    *,
    untied: faiss.Index | None = None,
    approximate: faiss.Index | None = None,
) -> tuple[Vectors, Ranking]:
    """What one encoder finds for every query, and the similarities.

    The first matches come from `untied` where the vectors of `index` tie often, or from `approximate`
    where there is one; ranks of group mates count ties worst, so they need none broken, and are exact.
    """
    similarity, top = search_rows(
        untied or index,
        question.queries,
        max(question.topk),
        question.begin(phase),
        excluded=question.away,
        device=question.device,
        approximate=approximate,
    )
    groups = question.marks.groups
    rows_of = group_mates(groups)
    none = np.empty(0, np.int64)
    mates = [
        np.setdiff1d(rows_of.get(groups[row], none), np.append(away, row))
        for row, away in zip(question.queries.tolist(), question.away, strict=True)
    ]
    ranks = mate_ranks(
        index, question.queries, mates, question.begin(f"{phase} groups"), excluded=question.away
    )
    return similarity, Ranking(top, ranks)


class Described:
    """One descriptor's vectors of the gallery, made when first asked for and then kept."""

    def __init__(self, question: Question, descriptor: Descriptor) -> None:
        self.descriptor = descriptor
        self._question = question
        self._indexes: tuple[faiss.Index, faiss.Index | None] | None = None

    def indexes(self) -> tuple[faiss.Index, faiss.Index | None]:
        """The exact index, and the one without ties where the descriptor has many."""
        if self._indexes is None:
            one, question = self.descriptor, self._question
            vectors = one.embed_pack(question.pack, question.begin(f"embedding, {one.name}"))
            untied = build_index(break_ties(vectors)) if one.has_ties else None
            self._indexes = build_index(vectors), untied
        return self._indexes


def reference_means(run: Run, question: Question, described: Described) -> Means:
    """What a descriptor scores, measured where it is not kept in the run."""
    path = references_path(
        run.eval,
        pack=question.pack,
        descriptor=described.descriptor.key,
        topk=question.topk,
        queries=question.queries,
        away=question.away,
    )
    kept = read_references(path)
    if kept is None:
        kept = _measured(question, described)
        write_references(path, kept)
    return kept


def _measured(question: Question, described: Described) -> Means:
    """The mean of every figure of one descriptor."""
    name = described.descriptor.name
    index, untied = described.indexes()
    ranking = ranked(index, question, f"searching, {name}", untied=untied)[1]
    question.begin("scoring a reference")
    figures = measure(
        question.marks, question.queries, {name: ranking}, question.topk, question.away
    )
    return means(figures[name])
