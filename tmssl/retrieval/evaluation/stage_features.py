"""Which features find most: pooled ones and each stage's grid, as they are and whitened, side by side.

Nothing is trained. A stage is described as a grid encoder describes it, so that a row shows what the training
of a head would begin with.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
import torch
from torch import Tensor

from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.pack.searched import searched_pack
from tmssl.data.phash import l2_normalize
from tmssl.data.views.augment import images_of, plain_view
from tmssl.data.whitening import fit_whitening
from tmssl.errors import InputError
from tmssl.retrieval.evaluation.invariance import nearest_is_own, training_copy
from tmssl.retrieval.evaluation.reference_scores import rank_gallery
from tmssl.retrieval.evaluation.relevance import group_mates
from tmssl.retrieval.evaluation.scoring import (
    GalleryLabels,
    ScoreKey,
    mean_score,
    measure,
    summarize,
)
from tmssl.retrieval.evaluation.task import EvaluationTask, choose_queries
from tmssl.retrieval.index.faiss_index import build_index
from tmssl.retrieval.phases import phase_starter
from tmssl.retrieval.vectors.baselines import hog_descriptor
from tmssl.retrieval.vectors.embed import break_ties, hash_images
from tmssl.retrieval.vectors.stages import StageSource, compared_sources, trained_source
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.events import Score
from tmssl.runs.folder import Run
from tmssl.runs.main_figure import (
    ANY_NDCG,
    FIGURATIVE_MAP,
    GROUP_MAP,
    INVARIANCE,
    MAIN_FIGURES,
)
from tmssl.training.checkpoints.store import Weights, load_weights
from tmssl.training.encoder.axes import affordable_features
from tmssl.training.learner import choose_device
from tmssl.types import Indices, Progress, Vectors

_MOST_MARKS = 20_000  # searched; of a larger pack all queries, their groups and a sample
_MOST_BYTES = 1 << 30  # of features in memory, in half precision
_FITTED = 4096  # marks that axes are fitted on, 8 for each of 512 features
_BATCH = 32
_HOG_WHITENED = 256
_JUDGED_BY = (GROUP_MAP, FIGURATIVE_MAP, ANY_NDCG, INVARIANCE)


class FeatureRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of features finds."""

    encoder: str = ""
    """the run or model; empty for a hand-made descriptor"""
    name: str = ""
    """`pooled`, `stage 3`, `stages 3 and 4`, `HOG`"""
    whitened: bool = False
    features: int = 0
    """numbers in a vector"""
    scores: list[Score] = []


class FeatureTable(msgspec.Struct, frozen=True, kw_only=True):
    """Features side by side, of the same marks and queries."""

    queries: int = 0
    gallery: int = 0
    """marks searched"""
    marks: int = 0
    """in the pack"""
    split: str = ""
    image_size: int = 0
    grid: int = 0
    fitted: int = 0
    """marks that the axes of the whitening are fitted on"""
    rows: list[FeatureRow] = []


@dataclasses.dataclass(frozen=True)
class _Search:
    """The queries, the marks that they search, and how both are read."""

    task: EvaluationTask
    """its queries and labels are those of the searched marks alone, counted from 0"""
    rows: Indices
    """of the searched marks in the pack, ascending, (g,)"""
    fitted: Indices
    """places among them that axes are fitted on"""
    seed: int
    copies: bool
    """whether copies are searched for, since no mark has a label"""


@dataclasses.dataclass(frozen=True)
class _Features:
    """Unit vectors of the searched marks, and of a copy of each query where copies are searched for."""

    gallery: Vectors
    copies: Vectors | None

    def map(self, change: Callable[[Vectors], Vectors]) -> "_Features":
        """The same after a change of every vector."""
        return _Features(change(self.gallery), None if self.copies is None else change(self.copies))


def compare_features(
    run: Run,
    *,
    checkpoint: str = "best",
    compare: Sequence[str] = (),
    topk: Sequence[int] = (10,),
    queries: int = 0,
    seed: int = 0,
    device: str = "auto",
    whiten: int = 0,
    progress: Progress | None = None,
    phase: Callable[[str], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> FeatureTable:
    """Measure the features of a checkpoint's model, and of timm's models, on the marks of a run.

    Args:
        run: the run; its pack is searched.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        compare: further models, each `timm:NAME`, with timm's own weights.
        topk: list lengths.
        queries: at most so many, drawn by seed; 0 takes the whole validation split, or all marks.
        seed: of samples and of the bootstrap.
        device: `auto`, `cpu` or `cuda`.
        whiten: whitened features of a stage; 0 takes the run's setting, or 512.
        progress: called with (done, total) of the phase.
        phase: called with the name of each phase as it begins.
        warn: called with a line about features that cannot be had.

    Raises:
        InputError: no checkpoint, no pack, fewer than two marks.
        ConfigError: there is no such model, its weights cannot be had, or it has no stages.
    """
    weights = load_weights(find_checkpoint(run, checkpoint))
    pack, model = open_pack(searched_pack(run)), weights.config.model
    sources = [trained_source(run.path.name, weights, warn), *compared_sources(compare, model)]

    start_phase = phase_starter(phase, progress)

    widest = max(source.width for source in sources)
    marks = min(_MOST_MARKS, max(2, _MOST_BYTES // (2 * widest)))
    search = _prepare(pack, weights, topk, queries, seed, marks, choose_device(device), start_phase)
    kept = affordable_features(whiten or model.whiten or 512, len(search.fitted))
    rows = list(_hand_made_rows(search))
    for source in sources:
        rows += _rows_of(source, search, kept, model.stages)
    return FeatureTable(
        queries=len(search.task.queries),
        gallery=len(search.rows),
        marks=pack.count,
        split=search.task.split,
        image_size=weights.config.data.image_size,
        grid=model.grid,
        fitted=len(search.fitted),
        rows=rows,
    )


def _prepare(
    pack: Pack,
    weights: Weights,
    topk: Sequence[int],
    queries: int,
    seed: int,
    most: int,
    device: torch.device,
    start_phase: Callable[[str], Progress | None],
) -> _Search:
    """Choose the queries and the marks that they search: all, or their groups and a sample.

    Raises:
        InputError: fewer than two marks.
    """
    if pack.count < 2:
        raise InputError(f"the pack holds {pack.count} mark; a search needs at least two")
    asked, split = choose_queries(pack, queries or most // 2, seed)
    rows = _searched(pack, asked, most, seed)
    codes, groups = pack.marks.codes(), pack.marks.column("group", str, "")
    splits = pack.marks.column("split", str, "")
    trained = np.array([i for i, row in enumerate(rows) if splits[row] != "validation"], np.int64)
    if len(trained) > _FITTED:
        trained = np.sort(np.random.default_rng(seed).choice(trained, _FITTED, replace=False))
    labels = GalleryLabels([codes[row] for row in rows], [groups[row] for row in rows])
    none = np.empty(0, np.int64)
    task = EvaluationTask(
        weights=weights,
        pack=pack,
        labels=labels,
        queries=np.searchsorted(rows, asked),
        split=split,
        duplicates=[none] * len(asked),
        excluded=[none] * len(asked),
        topk=sorted({min(k, len(rows) - 1) for k in topk}),
        device=device,
        start_phase=start_phase,
    )
    return _Search(task, rows, trained, seed, copies=not any(codes) and not any(groups))


def _searched(pack: Pack, asked: Indices, most: int, seed: int) -> Indices:
    """The rows that are searched, ascending: all of them if they are few."""
    if pack.count <= most:
        return np.arange(pack.count)
    mates = group_mates(pack.marks.column("group", str, ""))
    of_query = (mates.get(pack.marks[row].group, asked[:0]) for row in asked.tolist())
    wanted = np.unique(np.concatenate([asked, *of_query]))
    others = np.setdiff1d(np.arange(pack.count), wanted)
    drawn = np.random.default_rng(seed).permutation(others)[: max(0, most - len(wanted))]
    return np.sort(np.concatenate([wanted, drawn]))


def _hand_made_rows(search: _Search) -> Iterator[FeatureRow]:
    """The rows of what needs no network."""
    (hashes,) = _read(search, "hashing", lambda images: [hash_images(images)])
    yield _row(search, "", "perceptual hash", hashes, has_ties=True)
    try:
        hog = hog_descriptor()
    except InputError:  # scikit-image is not installed
        return
    (found,) = _read(search, "HOG", lambda images: [hog.embed_images(images)])
    yield _row(search, "", "HOG", found)
    kept = affordable_features(_HOG_WHITENED, len(search.fitted))
    yield _row(search, "", "HOG", _whitened(search, found, kept), whitened=True)


def _rows_of(
    source: StageSource, search: _Search, kept: int, stages: Sequence[int]
) -> list[FeatureRow]:
    """The rows of one model: each of its features as it is and whitened, then the best together."""
    device, size = search.task.device, search.task.weights.config.data.image_size
    model = source.to(device)

    def describe(images: Tensor) -> list[Vectors]:
        described = model.describe(plain_view(images.to(device), size))
        return [features.cpu().numpy() for features in described]

    found = dict(
        zip(source.names, _read(search, f"describing, {source.name}", describe), strict=True)
    )
    rows, whitened = [], {}
    for name in list(found):
        features = found.pop(name)
        rows.append(_row(search, source.name, name, features))
        whitened[name] = _whitened(search, features, kept)
        rows.append(_row(search, source.name, name, whitened[name], whitened=True))
    for names in _worth_joining(rows, list(whitened), stages):
        joined = _joined([whitened[name] for name in names])
        rows.append(_row(search, source.name, " + ".join(names), joined, whitened=True))
    return rows


def _read(
    search: _Search, phase: str, describe: Callable[[Tensor], Sequence[Vectors]]
) -> list[_Features]:
    """What a function of uint8 images (n, h, w, 3) says of all marks, each kind of features by itself."""
    progress, pack = search.task.start_phase(phase), search.task.pack
    queries = search.rows[search.task.queries] if search.copies else search.rows[:0]
    total = len(search.rows) + len(queries)
    parts: list[list[list[Vectors]]] = [[], []]
    done = 0
    for of_part, rows in zip(parts, (search.rows, queries), strict=True):
        for begin in range(0, len(rows), _BATCH):
            some = rows[begin : begin + _BATCH]
            images = torch.from_numpy(pack.read(some))
            if of_part is parts[1]:
                images = images_of(training_copy(images, some, search.task.weights.config))
            found = describe(images)
            of_part.append([features.astype(np.float16) for features in found])
            done += len(some)
            if progress:
                progress(done, total)
    galleries = [np.concatenate(of_kind) for of_kind in zip(*parts[0], strict=True)]
    if not search.copies:
        return [_Features(gallery, None) for gallery in galleries]
    copies = [np.concatenate(of_kind) for of_kind in zip(*parts[1], strict=True)]
    return [_Features(*both) for both in zip(galleries, copies, strict=True)]


def _whitened(search: _Search, features: _Features, kept: int) -> _Features:
    """Features whitened by the statistics of the marks that axes are fitted on."""
    whitening = fit_whitening(features.gallery[search.fitted], kept)
    return features.map(lambda vectors: whitening(vectors.astype(np.float32)).astype(np.float16))


def _joined(parts: Sequence[_Features]) -> _Features:
    """Several features as one, each counting the same."""
    copies = [part.copies for part in parts if part.copies is not None]
    gallery = np.concatenate([part.gallery for part in parts], 1)
    joined = _Features(gallery, np.concatenate(copies, 1) if copies else None)
    return joined.map(lambda vectors: l2_normalize(vectors.astype(np.float32)))


def _row(
    search: _Search,
    encoder: str,
    name: str,
    features: _Features,
    *,
    whitened: bool = False,
    has_ties: bool = False,
) -> FeatureRow:
    """What features find, by the figures that speak for an evaluation."""
    task, gallery = search.task, features.gallery.astype(np.float32)
    if features.copies is not None:
        hits = nearest_is_own(features.copies.astype(np.float32), gallery[task.queries])
        key = ScoreKey(INVARIANCE.metric, INVARIANCE.level, INVARIANCE.codes, INVARIANCE.k)
        scores = [mean_score(key, hits, 1 / len(hits), {}, seed=search.seed)]
    else:
        untied = build_index(break_ties(gallery)) if has_ties else None
        _, ranking = rank_gallery(build_index(gallery), task, f"searching, {name}", untied=untied)
        of_query = measure(task.labels, task.queries, ranking, task.topk)
        told = {
            key: values
            for key, values in of_query.items()
            if any(key[:3] == (f.metric, f.level, f.codes) for f in MAIN_FIGURES)
        }
        scores = summarize(told, {}, seed=search.seed)
    return FeatureRow(
        encoder=encoder,
        name=name,
        whitened=whitened,
        features=gallery.shape[1],
        scores=scores,
    )


def _worth_joining(
    rows: Sequence[FeatureRow], names: Sequence[str], stages: Sequence[int]
) -> list[tuple[str, ...]]:
    """Which whitened features to try together: the settings' stages, and the best with its neighbours.

    The best stage is joined with the one before it, the one behind it, and the pooled features.
    """
    scores = {row.name: main_score(row) for row in rows if row.whitened and row.name != "pooled"}
    values = {name: score.value or 0.0 for name, score in scores.items() if score is not None}
    best = max(values, key=lambda name: values[name])
    place = names.index(best)
    wanted = [tuple(f"stage {stage}" for stage in stages)]
    beside = [at for at in (place - 1, place + 1) if 0 <= at < len(names)]
    wanted += [
        tuple(names[i] for i in sorted((place, at))) for at in beside if names[at] != "pooled"
    ]
    if "pooled" in names:
        wanted.append((best, "pooled"))
    known = [each for each in wanted if len(each) > 1 and set(each) <= set(names)]
    return list(dict.fromkeys(known))


def main_score(row: FeatureRow) -> Score | None:
    """The score by which features are compared: of the first figure that the labels allow."""
    found = (score for figure in _JUDGED_BY for score in row.scores if figure.is_of(score))
    return next(found, None)
