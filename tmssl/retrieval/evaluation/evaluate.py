"""Retrieval evaluation of a checkpoint: embed, search, score, and write the results into the run."""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from tmssl.data.pack.reader import open_pack
from tmssl.data.pack.searched import searched_pack
from tmssl.data.vienna import title
from tmssl.errors import InputError
from tmssl.files import write_atomic
from tmssl.retrieval.evaluation.beginning import beginning_descriptor
from tmssl.retrieval.evaluation.encoder_index import (
    EncoderIndex,
    encoder_index,
)
from tmssl.retrieval.evaluation.invariance import invariance
from tmssl.retrieval.evaluation.judgments import judge_matches, with_regions
from tmssl.retrieval.evaluation.matches import MatchesHeader, write_matches
from tmssl.retrieval.evaluation.reference_scores import (
    DescribedGallery,
    rank_gallery,
    reference_means,
)
from tmssl.retrieval.evaluation.robustness import changed_ranks, changed_rows, robustness
from tmssl.retrieval.evaluation.scoring import Ranking, is_division, measure, summarize
from tmssl.retrieval.evaluation.stability import stability
from tmssl.retrieval.evaluation.task import EvaluationTask, prepare_task
from tmssl.retrieval.phases import phase_starter
from tmssl.retrieval.vectors.baselines import (
    HOG,
    HOG_WHITENED,
    compared_descriptors,
    hash_descriptor,
    hog_descriptors,
    untrained_descriptor,
)
from tmssl.retrieval.vectors.descriptor import Descriptor, whitened_descriptor
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.events import Division, Eval, Finding, Score
from tmssl.runs.findings.evaluation import evaluation_findings
from tmssl.runs.folder import Run
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.main_figure import BEFORE, TOPK
from tmssl.training.checkpoints.store import Weights, load_weights
from tmssl.training.learner import choose_device
from tmssl.types import Progress


def evaluate(
    run: Run,
    *,
    checkpoint: str = "best",
    topk: Sequence[int] = TOPK,
    queries: int = 0,
    seed: int = 0,
    device: str = "auto",
    exclude_duplicates: bool = False,
    whiten: int = 0,
    factory: str = "",
    views: int = 1,
    compare: Sequence[str] = (),
    robust: bool = False,
    gallery: Path | None = None,
    progress: Progress | None = None,
    phase: Callable[[str], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Eval:
    """Evaluate a checkpoint, write its `eval` event and matches into the run, and return the event.

    The index of the weights is kept in the run and reused; so are the scores of the references, for
    the same queries and list lengths.

    Args:
        run: the run.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        topk: list lengths; those above the gallery are cut to it.
        queries: at most so many, drawn by seed; 0 takes the whole validation split, or all marks
            if there is none.
        seed: of the sample of queries and of the bootstrap.
        device: `auto`, `cpu` or `cuda`.
        exclude_duplicates: leave near-duplicates of a query out of its list, of what is relevant to
            it, and of chance.
        whiten: features kept by PCA-whitening, of every encoder and of HOG; 0 does not whiten.
        factory: faiss's factory string of the index that gives the nearest marks; empty is exact.
        views: vectors of each mark: of the whole, and of regions of it; 1 is the whole alone.
        compare: further encoders, each a run, a file of weights, or `timm:NAME`.
        robust: also measure known-item recall of changed queries.
        gallery: folder of the pack that is searched; None is the one that the run searches.
        progress: called with (done, total) of the phase.
        phase: called with the name of each phase as it begins.
        warn: called with a line about a reference that is left out or an option without effect.

    Raises:
        InputError: no checkpoint, no pack, fewer than two marks, nothing to compare with, or a
            factory that faiss does not know.
    """
    started = time.monotonic()
    weights = load_weights(find_checkpoint(run, checkpoint))
    pack = open_pack(gallery or searched_pack(run))

    start_phase = phase_starter(phase, progress)

    on = choose_device(device)
    descriptors = _reference_descriptors(weights, pack.count, compare, on, whiten, warn)
    task = prepare_task(
        run,
        weights,
        pack,
        topk,
        queries=queries,
        seed=seed,
        device=on,
        start_phase=start_phase,
        exclude_duplicates=exclude_duplicates,
    )
    index = encoder_index(run, task, whiten=whiten, factory=factory, views=views)
    before = beginning_descriptor(task, index, warn)
    if before:
        descriptors.insert(0, whitened_descriptor(before, whiten) if whiten else before)
    if index.plain:
        descriptors.append(index.plain)
    similarity, ranking = rank_gallery(
        index.exact,
        task,
        "searching",
        approximate=index.approximate,
        regional=index.regional,
    )
    scores, changed_scores = _scores(run, task, index, ranking, descriptors, seed, robust=robust)
    unused = {"--whiten": whiten, "--exclude-duplicates": exclude_duplicates, "--compare": compare}
    if warn and not robust and all(score.metric == "invariance" for score in scores):
        _warn_unused([option for option, value in unused.items() if value], warn)
    matches = judge_matches(pack, task.queries, ranking.top, similarity, task.duplicates)
    if index.regional is not None:
        matches = with_regions(matches, pack, index.regional)
    header = _header(run, task, exclude_duplicates, whiten, factory, views)
    stable = stability(run, header, weights.step, matches, seed=seed)
    scores += [stable] if stable else []
    stem = eval_stem(weights.epoch) + _variant_suffix(header, changed=bool(pack.info.changes))
    matches_path = run.eval / f"{stem}.matches.jsonl"
    write_matches(matches_path, header, matches)
    event = Eval(
        **_facts(task, header, index),
        matches=run.relative(matches_path),
        scores=[score for score in scores if not is_division(score.codes)],
        divisions=[_division(score) for score in scores if is_division(score.codes)],
        robustness=changed_scores,
        seconds=time.monotonic() - started,
        t=time.time(),
    )
    counts = {"marks": pack.count, "with_codes": sum(map(bool, task.labels.vienna))}
    _record(run, stem, event, evaluation_findings(event, counts))
    return event


def _warn_unused(options: Sequence[str], warn: Callable[[str], None]) -> None:
    """Warn of options without effect where no mark has a label, so that only copies are searched for."""
    if options:
        warn(f"no mark has a label, and {' and '.join(options)} does not change invariance@1")


def _facts(task: EvaluationTask, header: MatchesHeader, index: EncoderIndex) -> dict[str, Any]:
    """The fields of an `eval` event that say what was evaluated, and how."""
    return {
        "epoch": task.weights.epoch,
        "step": task.weights.step,
        "checkpoint": header.checkpoint,
        "split": task.split,
        "queries": len(task.queries),
        "gallery": task.pack.count,
        "fingerprint": task.pack.fingerprint,
        "changes": len(task.pack.info.changes),
        "duplicates": sum(map(len, task.duplicates)),
        "duplicated": sum(len(rows) > 0 for rows in task.duplicates),
        "without_duplicates": header.without_duplicates,
        "whitened": header.whitened and index.exact.d,
        "views": header.views,
        "index": header.index,
        "overlap": index.overlap,
    }


def _header(
    run: Run, task: EvaluationTask, exclude_duplicates: bool, whiten: int, factory: str, views: int
) -> MatchesHeader:
    """The first line of the matches file."""
    return MatchesHeader(
        pack=str(task.pack.folder),
        fingerprint=task.pack.fingerprint,
        checkpoint=run.relative(task.weights.path),
        epoch=task.weights.epoch,
        topk=task.topk,
        gallery=task.pack.count,
        without_duplicates=exclude_duplicates,
        whitened=whiten,
        views=views,
        index=factory,
        attribution=task.pack.attribution,
    )


def _reference_descriptors(
    weights: Weights,
    marks: int,
    compare: Sequence[str],
    device: torch.device,
    whiten: int,
    warn: Callable[[str], None] | None,
) -> list[Descriptor]:
    """What the evaluated encoder is compared with, the hardest to beat first, then what `compare` names."""
    model, size = weights.config.model.name, weights.config.data.image_size
    compared = compared_descriptors(compare, model, size, device)
    best: list[Descriptor] = []
    plain = [untrained_descriptor(model, weights.config.train.seed, size, device)]
    plain.append(hash_descriptor())
    try:
        hog, hog_whitened = hog_descriptors(marks)
    except InputError as error:
        if warn:
            warn(str(error))
    else:
        best.append(hog_whitened)
        plain.append(hog)
    plain += compared
    return best + ([whitened_descriptor(one, whiten) for one in plain] if whiten else plain)


def _scores(
    run: Run,
    task: EvaluationTask,
    index: EncoderIndex,
    ranking: Ranking,
    descriptors: Sequence[Descriptor],
    seed: int,
    *,
    robust: bool,
) -> tuple[list[Score], list[Score]]:
    """Every score, and those of changed queries; without any label only invariance@1 is scored."""
    task.start_phase("scoring")
    by_query = measure(task.labels, task.queries, ranking, task.topk, task.excluded)
    rows = changed_rows(task, seed)
    ranks = (
        changed_ranks(task, index.descriptor, index.exact, rows, index.regional) if robust else {}
    )
    references, reference_ranks = {}, {}
    for descriptor in descriptors:
        gallery = DescribedGallery(task, descriptor)
        if by_query:
            references[descriptor.name] = reference_means(run, gallery)
        if robust:
            exact, untied = gallery.indexes
            reference_ranks[descriptor.name] = changed_ranks(
                task, descriptor, untied or exact, rows
            )
            del exact, untied
        del gallery  # an index of 538,000 marks takes 1.4 GB
    changed = robustness(task, ranks, reference_ranks, seed=seed) if robust else []
    if by_query:
        return summarize(by_query, references, seed=seed), changed
    return _invariance(task, descriptors, seed, fitted=robust), changed


def _invariance(
    task: EvaluationTask, descriptors: Sequence[Descriptor], seed: int, *, fitted: bool
) -> list[Score]:
    """The score of copies, which --whiten does not change, and so without references that it changed."""
    further = [
        one
        for one in descriptors
        if one.name == HOG_WHITENED or (one.name in (BEFORE, HOG) and not one.fits)
    ]
    for one in further:
        if one.fits and not fitted:
            one.embed_pack(task.pack, task.start_phase(f"embedding, {one.name}"))
    return invariance(
        task.weights,
        task.pack,
        task.queries,
        task.device,
        further=further,
        seed=seed,
        progress=task.start_phase("copies"),
    )


def _division(score: Score) -> Division:
    """The score of one division."""
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


def eval_stem(epoch: float) -> str:
    """`epoch-0024`, or `epoch-0024.40` within an epoch."""
    return f"epoch-{epoch:04.0f}" if epoch == int(epoch) else f"epoch-{epoch:07.2f}"


def _variant_suffix(header: MatchesHeader, *, changed: bool) -> str:
    """What tells the files of an evaluation from those of a plain one of the same epoch."""
    parts = [f"whitened{header.whitened}"] if header.whitened else []
    parts += [f"views{header.views}"] if header.views > 1 else []
    parts += ["unique"] if header.without_duplicates else []
    foreign = header.checkpoint if Path(header.checkpoint).is_absolute() else ""
    gallery = header.fingerprint if changed else ""
    for kind, text in (("index", header.index), ("other", foreign), ("gallery", gallery)):
        if text:
            parts.append(f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:8]}")
    return "".join(f"-{part}" for part in parts)


def _record(run: Run, stem: str, event: Eval, findings: Sequence[Finding]) -> None:
    """Write the event beside its matches and into the journal, with findings that are new there."""
    write_atomic(
        run.eval / f"{stem}.json", msgspec.json.format(msgspec.json.encode(event), indent=1)
    )
    journal = JournalWriter(run.journal)
    journal.write(event)
    known = {(f.code, f.step) for f in read_journal(run.journal) if isinstance(f, Finding)}
    for finding in findings:
        if (finding.code, finding.step) not in known:
            journal.write(finding)
    journal.close()
