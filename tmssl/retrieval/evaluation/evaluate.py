"""Retrieval evaluation of a checkpoint: embed, search, score, and write down what was found."""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch

from tmssl.config import read_config
from tmssl.data.pack.pack import Pack, open_pack
from tmssl.data.vienna import title
from tmssl.errors import InputError
from tmssl.files import write_atomic
from tmssl.retrieval.evaluation.evaluated_index import Searched, searched, whitened
from tmssl.retrieval.evaluation.hits import describe_matches
from tmssl.retrieval.evaluation.invariance import invariance
from tmssl.retrieval.evaluation.matches import MatchesHeader, write_matches
from tmssl.retrieval.evaluation.metrics import Marks, measure, one_division, score_rows
from tmssl.retrieval.evaluation.near_duplicates import (
    duplicates_path,
    near_duplicates,
    read_duplicates,
    write_duplicates,
)
from tmssl.retrieval.evaluation.references import Described, Question, ranked, reference_means
from tmssl.retrieval.evaluation.robustness import changed_ranks, changed_rows, robustness
from tmssl.retrieval.evaluation.stability import stability
from tmssl.retrieval.vectors.baselines import (
    Descriptor,
    compared_descriptors,
    hash_descriptor,
    hog_descriptor,
    untrained_descriptor,
)
from tmssl.retrieval.vectors.embed import hash_pack
from tmssl.runs.events import Division, Eval, Finding, Score
from tmssl.runs.findings.evaluation import evaluation_findings
from tmssl.runs.folder import Run
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.training.checkpoints.store import Weights, find_checkpoint, load_weights
from tmssl.training.learner import choose_device
from tmssl.types import Indices, Progress, Vectors


def evaluate(
    run: Run,
    *,
    checkpoint: str = "best",
    topk: Sequence[int] = (10, 100),
    queries: int = 0,
    seed: int = 0,
    device: str = "auto",
    exclude_duplicates: bool = False,
    whiten: int = 0,
    factory: str = "",
    compare: Sequence[str] = (),
    robust: bool = False,
    progress: Progress | None = None,
    phase: Callable[[str], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Eval:
    """Evaluate a checkpoint, write its `eval` event and matches, and return the event.

    A second evaluation of the same weights takes their vectors from the kept index, and one with the
    same queries and list lengths takes the kept references.

    Args:
        run: the run; its pack is the gallery.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        topk: list lengths; those above the gallery are cut to it.
        queries: at most so many, drawn by seed; 0 takes all of the validation split, or all marks
            where there is none.
        seed: of the sample of queries and of the bootstrap.
        device: `auto`, `cpu` or `cuda`.
        exclude_duplicates: leave near-duplicates of a query out of its list, of what is relevant to
            it, and of chance.
        whiten: features kept by PCA-whitening, of every encoder and of HOG; 0 does not whiten.
        factory: faiss's factory string of the index that gives the nearest marks; empty is exact.
        compare: further encoders, each a run, a file of weights, or `timm:NAME`.
        robust: measure known-item recall of changed queries too.
        progress: called with (done, total) of the phase.
        phase: called with the name of each phase as it begins.
        tell: called with what a person should know, such as a row that is left out.

    Raises:
        InputError: no checkpoint, no pack, fewer than two marks, nothing to compare with, or a
            factory that faiss does not know.
    """
    begun = time.monotonic()
    weights = load_weights(find_checkpoint(run, checkpoint))
    pack = open_pack(Path(read_config(run.config).data.pack))

    def begin(name: str) -> Progress | None:
        if phase:
            phase(name)
        return progress

    on = choose_device(device)
    descriptors = _descriptors(weights, compare, on, tell)
    question, split, alike = _question(
        run,
        weights,
        pack,
        topk,
        queries=queries,
        seed=seed,
        device=on,
        begin=begin,
        exclude_duplicates=exclude_duplicates,
    )
    own = searched(run, question, whiten=whiten, factory=factory)
    if own.unwhitened:
        descriptors = [*(whitened(one, whiten) for one in descriptors), own.unwhitened]
    similarity, top, scores, changed = _answer(run, question, own, descriptors, seed, robust=robust)
    unused = {"--whiten": whiten, "--exclude-duplicates": exclude_duplicates, "--compare": compare}
    if tell and not robust:
        _tell_unused(scores, [option for option, given in unused.items() if given], tell)
    found = describe_matches(pack, question.queries, top, similarity, alike)
    header = _header(run, question, exclude_duplicates, whiten, factory)
    steady = stability(run, header, weights.step, found, seed=seed)
    stem = eval_stem(weights.epoch) + _manner_suffix(run, header)
    matches = run.eval / f"{stem}.matches.jsonl"
    write_matches(matches, header, found)
    event = Eval(
        epoch=weights.epoch,
        step=weights.step,
        checkpoint=_inside(run, weights.path),
        split=split,
        queries=len(question.queries),
        gallery=pack.count,
        matches=_inside(run, matches),
        scores=[s for s in scores if not one_division(s.codes)] + ([steady] if steady else []),
        divisions=[_division(s) for s in scores if one_division(s.codes)],
        robustness=changed,
        duplicates=sum(len(gone) for gone in alike),
        duplicated=sum(len(gone) > 0 for gone in alike),
        without_duplicates=exclude_duplicates,
        whitened=whiten and own.index.d,
        index=factory,
        overlap=own.overlap,
        seconds=time.monotonic() - begun,
        t=time.time(),
    )
    counts = {"marks": pack.count, "with_codes": sum(map(bool, question.marks.vienna))}
    _record(run, stem, event, evaluation_findings(event, counts))
    return event


def _tell_unused(
    scores: Sequence[Score], options: Sequence[str], tell: Callable[[str], None]
) -> None:
    """Say which options change no figure of marks without labels, of which only copies are searched for."""
    if options and all(score.metric == "invariance" for score in scores):
        tell(f"no label to score by, and invariance@1 does not hang on {' and '.join(options)}")


def _question(
    run: Run,
    weights: Weights,
    pack: Pack,
    topk: Sequence[int],
    *,
    queries: int,
    seed: int,
    device: torch.device,
    exclude_duplicates: bool,
    begin: Callable[[str], Progress | None],
) -> tuple[Question, str, list[Indices]]:
    """What is asked, where its queries came from, and the near-duplicates of each.

    Raises:
        InputError: nothing is left that a query could find.
    """
    if pack.count < 2:
        raise InputError(f"the pack holds {pack.count} mark; a search needs at least two")
    rows, split = choose_queries(pack, queries, seed)
    run.eval.mkdir(exist_ok=True)
    alike = _duplicates(run, pack, rows, begin)
    away = alike if exclude_duplicates else [np.empty(0, np.int64)] * len(rows)
    most = pack.count - 1 - max(len(gone) for gone in away)
    if most < 1:
        raise InputError(
            "without near-duplicates a query has nothing left to find; evaluate with them"
        )
    marks = Marks(pack.marks.codes(), pack.marks.column("group", str, ""))
    lengths = sorted({min(k, most) for k in topk})
    return Question(weights, pack, marks, rows, away, lengths, device, begin), split, alike


def _division(score: Score) -> Division:
    """The figure of one division."""
    return Division(
        code=score.codes,
        title=title(score.codes),
        k=score.k,
        value=score.value,
        chance=score.chance,
        low=score.low,
        high=score.high,
        queries=score.queries,
        references=score.references,
    )


def _descriptors(
    weights: Weights,
    compare: Sequence[str],
    device: torch.device,
    tell: Callable[[str], None] | None,
) -> list[Descriptor]:
    """Whose rows stand beside the evaluated encoder's: what needs no training, then what was asked for."""
    model, size = weights.config.model.name, weights.config.data.image_size
    asked = compared_descriptors(compare, model, size, device)
    found = [
        untrained_descriptor(model, weights.config.train.seed, size, device),
        hash_descriptor(),
    ]
    try:
        found.append(hog_descriptor())
    except InputError as error:
        if tell:
            tell(str(error))
    return found + asked


def _duplicates(
    run: Run, pack: Pack, rows: Indices, begin: Callable[[str], Progress | None]
) -> list[Indices]:
    """The near-duplicates of some queries, looked for where they are not kept."""
    path = duplicates_path(run.eval, pack, rows)
    found = read_duplicates(path)
    if found is None or len(found) != len(rows):
        hashes = hash_pack(pack, progress=begin("hashing"))
        found = near_duplicates(pack, hashes, rows, begin("comparing near-duplicates"))
        write_duplicates(path, found)
    return found


def choose_queries(pack: Pack, most: int, seed: int) -> tuple[Indices, str]:
    """Rows of the queries, ascending, and where they came from: `validation` or `sample`."""
    splits = pack.marks.column("split", str, "")
    validation = [i for i, split in enumerate(splits) if split == "validation"]
    rows = np.array(validation or range(pack.count), dtype=np.int64)
    if most and len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return rows, "validation" if validation else "sample"


def eval_stem(epoch: float) -> str:
    """`epoch-0024`, or `epoch-0024.40` within an epoch."""
    return f"epoch-{epoch:04.0f}" if epoch == int(epoch) else f"epoch-{epoch:07.2f}"


def _manner_suffix(run: Run, header: MatchesHeader) -> str:
    """What sets the files of an evaluation apart from those of a plain one of the same epoch."""
    foreign = "" if not Path(header.checkpoint).is_absolute() else header.checkpoint
    told = [f"whitened{header.whitened}"] if header.whitened else []
    told += ["unique"] if header.without_duplicates else []
    told += [
        f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        for kind, text in (("index", header.index), ("other", foreign))
        if text
    ]
    return "".join(f"-{word}" for word in told)


def _inside(run: Run, path: Path) -> str:
    """A path relative to the run where it lies in it."""
    return str(path.relative_to(run.path)) if path.is_relative_to(run.path) else str(path)


def _answer(
    run: Run,
    question: Question,
    own: Searched,
    descriptors: Sequence[Descriptor],
    seed: int,
    *,
    robust: bool,
) -> tuple[Vectors, Indices, list[Score], list[Score]]:
    """Similarities and rows of the nearest marks, every figure, and those of changed queries."""
    similarity, ranking = ranked(own.index, question, "searching", approximate=own.approximate)
    question.begin("scoring")
    figures = measure(
        question.marks, question.queries, {"this": ranking}, question.topk, question.away
    )["this"]
    rows = changed_rows(question, seed)
    ranks = changed_ranks(question, own.descriptor, own.index, rows) if robust else {}
    references, others = {}, {}
    for one in descriptors:
        described = Described(question, one)
        if figures:
            references[one.name] = reference_means(run, question, described)
        if robust:
            index, untied = described.indexes()
            others[one.name] = changed_ranks(question, one, untied or index, rows)
        del described  # of 538,000 marks an index takes 1.4 GB
    changed = robustness(question, ranks, others, seed=seed) if robust else []
    if figures:
        return similarity, ranking.top, score_rows(figures, references, seed=seed), changed
    scores = invariance(
        question.weights,
        question.pack,
        question.queries,
        question.device,
        seed=seed,
        progress=question.begin("copies"),
    )
    return similarity, ranking.top, scores, changed


def _header(
    run: Run, question: Question, without_duplicates: bool, whiten: int, factory: str
) -> MatchesHeader:
    """What was searched, and with what."""
    weights, pack = question.weights, question.pack
    return MatchesHeader(
        pack=str(pack.folder),
        fingerprint=pack.fingerprint,
        checkpoint=_inside(run, weights.path),
        epoch=weights.epoch,
        topk=question.topk,
        gallery=pack.count,
        without_duplicates=without_duplicates,
        whitened=whiten,
        index=factory,
        attribution=pack.attribution,
    )


def _record(run: Run, stem: str, event: Eval, findings: list[Finding]) -> None:
    """Keep the event beside its matches and append it to the journal, with findings it did not have."""
    whole = msgspec.json.format(msgspec.json.encode(event), indent=1)
    write_atomic(run.eval / f"{stem}.json", whole)
    journal = JournalWriter(run.journal)
    journal.write(event)
    told = [(f.code, f.step) for f in read_journal(run.journal) if isinstance(f, Finding)]
    for finding in findings:
        if (finding.code, finding.step) not in told:
            journal.write(finding)
    journal.close()
