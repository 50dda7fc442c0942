"""Retrieval evaluation of a checkpoint: embed, search, score, and write down what was found."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import msgspec
import numpy as np
import numpy.typing as npt
import torch

from tmssl.config import read_config
from tmssl.data.pack import Pack, open_pack
from tmssl.errors import InputError
from tmssl.retrieval.embed import apart, embed, hash_pack, trained_encoder, untrained_encoder
from tmssl.retrieval.index import (
    build_index,
    index_path,
    mate_ranks,
    open_index,
    save_index,
    search,
)
from tmssl.retrieval.invariance import invariance
from tmssl.retrieval.matches import Match, MatchesHeader, QueryMatches, write_matches, write_whole
from tmssl.retrieval.reference import (
    References,
    pack_identity,
    read_references,
    references_path,
    write_references,
)
from tmssl.retrieval.relevance import Relevance, group_mates
from tmssl.retrieval.score import Marks, Ranking, means, measure, score_rows
from tmssl.runs.evaluated import evaluation_findings
from tmssl.runs.events import Eval, Finding, Score
from tmssl.runs.folder import Run
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.training.checkpoint import Weights, find_checkpoint, load_weights
from tmssl.training.learner import choose_device

Progress = Callable[[int, int], None]
Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

_SAMPLED = 1000  # queries drawn from a catalogue without a validation split
_KEPT = 20  # matches written down for each query


@dataclasses.dataclass(frozen=True)
class Question:
    """What is evaluated, and on what."""

    weights: Weights
    pack: Pack
    marks: Marks
    queries: Rows
    topk: list[int]
    device: torch.device
    begin: Callable[[str], Progress | None]
    """names the phase that begins, and returns what to tell its progress"""


def evaluate(
    run: Run, *, checkpoint: str = "best", topk: Sequence[int] = (10, 100), queries: int = 0,
    seed: int = 0, device: str = "auto", progress: Progress | None = None,
    phase: Callable[[str], None] | None = None,
) -> Eval:  # fmt: skip
    """Evaluate a checkpoint, write its `eval` event and matches, and return the event.

    A second evaluation of the same weights takes their vectors from the kept index, and one with the
    same queries and list lengths takes the kept references.

    Args:
        run: the run; its pack is the gallery.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        topk: list lengths; those above the gallery are cut to it.
        queries: at most so many, drawn by seed; 0 takes all of the validation split.
        seed: of the sample of queries and of the bootstrap.
        device: `auto`, `cpu` or `cuda`.
        progress: called with (done, total) of the phase.
        phase: called with the name of each phase as it begins.

    Raises:
        InputError: no checkpoint, no pack, or fewer than two marks.
    """
    begun = time.monotonic()
    weights = load_weights(find_checkpoint(run, checkpoint))
    pack = open_pack(Path(read_config(run.config).data.pack))
    if pack.count < 2:
        raise InputError(f"the pack holds {pack.count} mark; a search needs at least two")

    def begin(name: str) -> Progress | None:
        if phase:
            phase(name)
        return progress

    rows, split = choose_queries(pack, queries, seed)
    marks = Marks([mark.vienna for mark in pack.marks], [mark.group for mark in pack.marks])
    lengths = sorted({min(k, pack.count - 1) for k in topk})
    question = Question(weights, pack, marks, rows, lengths, choose_device(device), begin)
    similarity, top, scores = _answer(run, question, seed)
    matches = _keep_matches(run, question, describe_matches(pack, rows, top, similarity))
    event = Eval(
        epoch=weights.epoch, step=weights.step, checkpoint=_inside(run, weights.path), split=split,
        queries=len(rows), gallery=pack.count, scores=scores, matches=_inside(run, matches),
        seconds=time.monotonic() - begun, t=time.time(),
    )  # fmt: skip
    counts = {"marks": pack.count, "with_codes": sum(map(bool, marks.vienna))}
    _record(run, event, evaluation_findings(event, counts))
    return event


def choose_queries(pack: Pack, most: int, seed: int) -> tuple[Rows, str]:
    """Rows of the queries, ascending, and where they came from: `validation` or `sample`."""
    validation = [i for i, mark in enumerate(pack.marks) if mark.split == "validation"]
    rows = np.array(validation or range(pack.count), dtype=np.int64)
    limit = most or (0 if validation else _SAMPLED)
    if limit and len(rows) > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return rows, "validation" if validation else "sample"


def eval_stem(epoch: float) -> str:
    """`epoch-0024`, or `epoch-0024.40` within an epoch."""
    return f"epoch-{epoch:04.0f}" if epoch == int(epoch) else f"epoch-{epoch:07.2f}"


def _inside(run: Run, path: Path) -> str:
    """A path relative to the run where it lies in it."""
    return str(path.relative_to(run.path)) if path.is_relative_to(run.path) else str(path)


def _answer(run: Run, question: Question, seed: int) -> tuple[Vectors, Rows, list[Score]]:
    """Similarities and rows of the nearest marks, and every figure with its references."""
    run.eval.mkdir(exist_ok=True)
    similarity, ranking = _ranked(_own_index(run, question), question, "searching")
    question.begin("scoring")
    figures = measure(question.marks, question.queries, {"this": ranking}, question.topk)["this"]
    if figures:
        return similarity, ranking.top, score_rows(figures, _references(run, question), seed=seed)
    scores = invariance(
        question.weights, question.pack, question.queries, question.device, seed=seed,
        progress=question.begin("copies"),
    )  # fmt: skip
    return similarity, ranking.top, scores


def _own_index(run: Run, question: Question) -> faiss.Index:
    """The kept index of these weights over this pack, built where there is none."""
    run.index.mkdir(exist_ok=True)
    path = index_path(run.index, question.weights, pack_identity(question.pack))
    if not path.exists():
        vectors = embed(
            trained_encoder(question.weights), question.pack, device=question.device,
            image_size=question.weights.config.data.image_size,
            progress=question.begin("embedding"),
        )  # fmt: skip
        save_index(build_index(vectors), path)
    return open_index(path)


def _ranked(
    index: faiss.Index, question: Question, phase: str, untied: faiss.Index | None = None
) -> tuple[Vectors, Ranking]:
    """What one encoder finds for every query, and the similarities.

    The first matches come from `untied` where the vectors of `index` tie often; ranks of group mates
    count ties worst, so they need none broken.
    """
    similarity, top = search(
        untied or index, question.queries, max(question.topk), question.begin(phase)
    )
    groups = question.marks.groups
    rows_of = group_mates(groups)
    none = np.empty(0, np.int64)
    mates = [rows_of.get(groups[row], none) for row in question.queries.tolist()]
    others = [rows[rows != row] for rows, row in zip(mates, question.queries, strict=True)]
    ranks = mate_ranks(index, question.queries, others, question.begin(f"{phase} groups"))
    return similarity, Ranking(top, ranks)


def _references(run: Run, question: Question) -> References:
    """What an untrained encoder and a perceptual hash score, measured where it is not kept."""
    config, pack = question.weights.config, question.pack
    path = references_path(
        run.eval, pack=pack, encoder=config.model.name,
        image_size=config.data.image_size, seed=config.train.seed, topk=question.topk,
        queries=question.queries,
    )  # fmt: skip
    kept = read_references(path)
    if kept is not None:
        return kept
    untrained = embed(
        untrained_encoder(config.model.name, config.train.seed), pack, device=question.device,
        image_size=config.data.image_size, progress=question.begin("embedding, untrained"),
    )  # fmt: skip
    rankings = {"untrained": _ranked(build_index(untrained), question, "searching, untrained")[1]}
    del untrained  # of 538,000 marks it takes 2.8 GB
    hashes = hash_pack(pack, progress=question.begin("hashing"))
    rankings["perceptual hash"] = _ranked(
        build_index(hashes), question, "searching, hash", build_index(apart(hashes))
    )[1]
    question.begin("scoring the references")
    measured = measure(question.marks, question.queries, rankings, question.topk)
    references = {name: means(figures) for name, figures in measured.items()}
    write_references(path, references)
    return references


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


def _keep_matches(run: Run, question: Question, found: list[QueryMatches]) -> Path:
    """Write the matches file and return its path."""
    weights, pack = question.weights, question.pack
    header = MatchesHeader(
        pack=str(pack.folder), fingerprint=pack.fingerprint, checkpoint=_inside(run, weights.path),
        epoch=weights.epoch, topk=question.topk, gallery=pack.count, attribution=pack.attribution,
    )  # fmt: skip
    path = run.eval / f"{eval_stem(weights.epoch)}.matches.jsonl"
    write_matches(path, header, found)
    return path


def _record(run: Run, event: Eval, findings: list[Finding]) -> None:
    """Keep the event beside its matches and append it to the journal, with findings it did not have."""
    whole = msgspec.json.format(msgspec.json.encode(event), indent=1)
    write_whole(run.eval / f"{eval_stem(event.epoch)}.json", [whole])
    journal = JournalWriter(run.journal)
    journal.write(event)
    told = [(f.code, f.step) for f in read_journal(run.journal) if isinstance(f, Finding)]
    for finding in findings:
        if (finding.code, finding.step) not in told:
            journal.write(finding)
    journal.close()
