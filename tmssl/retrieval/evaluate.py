"""Retrieval evaluation of a checkpoint: embed, search, score, and write down what was found."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from tmssl.config import read_config
from tmssl.data.pack import Pack, open_pack
from tmssl.errors import InputError
from tmssl.retrieval.embed import embed, hash_vectors, trained_encoder, untrained_encoder
from tmssl.retrieval.index import (
    build_index,
    index_path,
    mate_ranks,
    open_index,
    save_index,
    search,
)
from tmssl.retrieval.invariance import invariance
from tmssl.retrieval.matches import Match, MatchesHeader, QueryMatches, write_matches
from tmssl.retrieval.relevance import Relevance, group_mates
from tmssl.retrieval.score import Marks, Ranking, score
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run
from tmssl.runs.journal import JournalWriter
from tmssl.training.checkpoint import Weights, find_checkpoint, load_weights
from tmssl.training.kept import digest
from tmssl.training.learner import choose_device

Progress = Callable[[int, int], None]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

_SAMPLED = 1000  # queries drawn from a catalogue without a validation split
_KEPT = 20  # matches written down for each query


def evaluate(
    run: Run, *, checkpoint: str = "best", topk: Sequence[int] = (10, 100), queries: int = 0,
    seed: int = 0, device: str = "auto", progress: Progress | None = None,
) -> Eval:  # fmt: skip
    """Evaluate a checkpoint, write its `eval` event and matches, and return the event.

    Args:
        run: the run; its pack is the gallery.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        topk: list lengths; those above the gallery are cut to it.
        queries: at most so many, drawn by seed; 0 takes all of the validation split.
        seed: of the sample of queries and of the bootstrap.
        device: `auto`, `cpu` or `cuda`.
        progress: called with (done, total) over both encoders.

    Raises:
        InputError: no checkpoint, no pack, or fewer than two marks.
    """
    begun = time.monotonic()
    weights = load_weights(find_checkpoint(run, checkpoint))
    pack = open_pack(Path(read_config(run.config).data.pack))
    if pack.count < 2:
        raise InputError(f"the pack holds {pack.count} mark; a search needs at least two")
    where = choose_device(device)
    chosen, split = choose_queries(pack, queries, seed)
    lengths = sorted({min(k, pack.count - 1) for k in topk})
    vectors = _embedded(weights, pack, where, progress)
    references = _references(weights, pack, where, progress)
    marks = Marks([mark.vienna for mark in pack.marks], [mark.group for mark in pack.marks])
    similarity, ranking = _ranked(run, weights, pack, vectors, marks, chosen, max(lengths))
    others = {name: _ranking(v, marks, chosen, max(lengths)) for name, v in references.items()}
    scores = score(marks, chosen, {"this": ranking, **others}, lengths, seed=seed)
    if not scores:
        scores = invariance(weights, pack, chosen, where)
    stem = f"epoch-{round(weights.epoch):04d}"
    matches = run.eval / f"{stem}.matches.jsonl"
    header = MatchesHeader(
        pack=str(pack.folder), fingerprint=pack.fingerprint,
        checkpoint=_inside(run, weights.path), epoch=weights.epoch, topk=list(lengths),
        gallery=pack.count, attribution=pack.attribution,
    )  # fmt: skip
    run.eval.mkdir(exist_ok=True)
    write_matches(matches, header, describe_matches(pack, chosen, ranking.top, similarity))
    event = Eval(
        epoch=weights.epoch, step=weights.step, checkpoint=header.checkpoint, split=split,
        queries=len(chosen), gallery=pack.count, scores=scores, matches=_inside(run, matches),
        seconds=time.monotonic() - begun, t=time.time(),
    )  # fmt: skip
    _record(run, stem, event)
    return event


def choose_queries(pack: Pack, most: int, seed: int) -> tuple[Rows, str]:
    """Rows of the queries, ascending, and where they came from: `validation` or `sample`."""
    validation = [i for i, mark in enumerate(pack.marks) if mark.split == "validation"]
    rows = np.array(validation or range(pack.count), dtype=np.int64)
    limit = most or (0 if validation else _SAMPLED)
    if limit and len(rows) > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return rows, "validation" if validation else "sample"


def _inside(run: Run, path: Path) -> str:
    """A path relative to the run where it lies in it."""
    return str(path.relative_to(run.path)) if path.is_relative_to(run.path) else str(path)


def _embedded(
    weights: Weights, pack: Pack, device: torch.device, progress: Progress | None
) -> Vectors:
    """The marks as the checkpoint's encoder sees them: the first half of the work."""
    return embed(
        trained_encoder(weights), pack, image_size=weights.config.data.image_size, device=device,
        progress=progress and (lambda done, total: progress(done, 2 * total)),
    )  # fmt: skip


def _references(
    weights: Weights, pack: Pack, device: torch.device, progress: Progress | None
) -> dict[str, Vectors]:
    """The marks as an untrained encoder and a perceptual hash see them: the second half."""
    config = weights.config
    untrained = embed(
        untrained_encoder(config.model.name, config.train.seed), pack,
        image_size=config.data.image_size, device=device,
        progress=progress and (lambda done, total: progress(total + done, 2 * total)),
    )  # fmt: skip
    return {"untrained": untrained, "perceptual hash": hash_vectors(pack)}


def _ranked(
    run: Run, weights: Weights, pack: Pack, vectors: Vectors, marks: Marks, queries: Rows, k: int
) -> tuple[Vectors, Ranking]:
    """Similarities and ranking by the kept index of this checkpoint, built where it is missing."""
    run.index.mkdir(exist_ok=True)
    path = index_path(run.index, digest(weights.path), pack.fingerprint)
    if not path.exists():
        save_index(build_index(vectors), path)
    similarity, top = search(open_index(path), vectors[queries], queries, k)
    return similarity, Ranking(top, _mates(vectors, marks, queries))


def _ranking(vectors: Vectors, marks: Marks, queries: Rows, k: int) -> Ranking:
    """What a reference finds."""
    _, top = search(build_index(vectors), vectors[queries], queries, k)
    return Ranking(top, _mates(vectors, marks, queries))


def _mates(vectors: Vectors, marks: Marks, queries: Rows) -> list[Rows]:
    """Ranks of each query's group mates."""
    mates = group_mates(marks.groups)
    none = np.empty(0, np.int64)
    return [
        mate_ranks(vectors, query, mates[marks.groups[query]]) if marks.groups[query] else none
        for query in queries.tolist()
    ]


def describe_matches(
    pack: Pack, queries: Rows, top: Rows, similarity: Vectors
) -> list[QueryMatches]:
    """Each query with its nearest marks, in words; a hit shares a figurative division or the group.

    Where no mark has a figurative code, any shared code is a hit.
    """
    vienna = [mark.vienna for mark in pack.marks]
    figurative = Relevance(vienna, "division", figurative=True)
    divisions = Relevance(vienna, "division")
    judge = figurative if figurative.holders else divisions
    found = []
    for query, rows, cosines in zip(
        queries.tolist(), top.tolist(), similarity.tolist(), strict=True
    ):
        mark = pack.marks[query]
        mates = [bool(mark.group) and pack.marks[row].group == mark.group for row in rows]
        hits = [
            mate or bool(judge.codes[query] & judge.codes[row])
            for row, mate in zip(rows, mates, strict=True)
        ]
        kept = [
            Match(
                row=row, rank=rank, similarity=cosines[rank - 1],
                shared=divisions.shared(query, row), same_group=mates[rank - 1],
                hit=hits[rank - 1], id=pack.marks[row].id, path=pack.marks[row].path,
                title=pack.marks[row].title, vienna=list(pack.marks[row].vienna),
            )
            for rank, row in enumerate(rows[:_KEPT], 1)
        ]  # fmt: skip
        found.append(
            QueryMatches(
                row=query, id=mark.id, path=mark.path, title=mark.title, vienna=list(mark.vienna),
                group=mark.group, first_hit=hits.index(True) + 1 if any(hits) else 0, matches=kept,
            )
        )  # fmt: skip
    return found


def _record(run: Run, stem: str, event: Eval) -> None:
    """Keep the event beside its matches and append it to the journal."""
    fresh = run.eval / f".{stem}.json-{os.getpid()}"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(event), indent=1))
    fresh.replace(run.eval / f"{stem}.json")
    journal = JournalWriter(run.journal)
    journal.write(event)
    journal.close()
