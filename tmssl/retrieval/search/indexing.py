"""Index a run for search: embed its marks where that was not done, and trace its encoder."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from tmssl.data.pack.info import PackInfo
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.pack.searched import searched_pack
from tmssl.data.vienna import at_level
from tmssl.errors import InputError, TrainingError
from tmssl.retrieval.index.digests import write_recorded
from tmssl.retrieval.index.faiss_index import index_path
from tmssl.retrieval.index.index_parts import IndexParts
from tmssl.retrieval.index.known_vectors import KnownVectors
from tmssl.retrieval.search.manifest import IndexManifest, manifest_path, write_manifest
from tmssl.retrieval.search.traced_encoder import UntraceableError, trace_encoder
from tmssl.retrieval.vectors.embed import embed_ranges, trained_encoder
from tmssl.retrieval.vectors.fold_bn import fold_bn
from tmssl.runs.checkpoints import digest, find_checkpoint
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import Weights, load_weights, load_with_digest
from tmssl.training.learner import choose_device
from tmssl.training.ranks.distributed import ALONE, RankLostError, Ranks, join_ranks
from tmssl.types import Progress

_PATIENCE_S = 90.0  # NFS shows a new file of another machine within 60 s


def index_run(
    run: Run,
    checkpoint: str,
    info: PackInfo,
    folder: Path,
    *,
    device: str = "auto",
    phase: Callable[[str], None] = lambda name: None,
    progress: Progress | None = None,
) -> IndexManifest:
    """Build what a search needs and return its manifest; an index that an evaluation built is used.

    Args:
        run: the run.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        info: of the pack.
        folder: of the pack.
        device: where the marks are embedded.
        phase: called with the name of each phase as it begins.
        progress: called with (done, total) of the phase.

    Raises:
        InputError: the checkpoint cannot be loaded, or the disk is full.
    """

    def start_phase(name: str) -> Progress | None:
        phase(name)
        return progress

    path = find_checkpoint(run, checkpoint)
    sha256, weights = load_with_digest(path)
    image_size, pack = weights.config.data.image_size, open_pack(folder)
    encoder = trained_encoder(weights)
    index = build_missing_index(run, weights, encoder, pack, choose_device(device), start_phase)
    phase("tracing the encoder")
    traced = run.index / f"{sha256[:16]}.encoder"
    try:
        write_recorded(traced, trace_encoder(fold_bn(encoder), image_size))
    except UntraceableError:
        traced = Path()
    manifest = IndexManifest(
        index=index.name,
        index_sha256=digest(index),
        encoder=traced.name,
        checkpoint=run.relative(path),
        checkpoint_sha256=sha256,
        model=weights.config.model.name,
        image_size=image_size,
        epoch=weights.epoch,
        step=weights.step,
        marks=pack.count,
        holders=_count_holders(pack),
    )
    write_manifest(manifest_path(run, info, sha256), manifest)
    return manifest


def index_together(
    run: Run,
    checkpoint: str,
    *,
    device: str = "auto",
    phase: Callable[[str], None] = lambda name: None,
    progress: Progress | None = None,
) -> bool:
    """Let the processes that torchrun started embed a run's marks together, if no index of them is kept.

    Args:
        run: the run, whose folder all of them share.
        checkpoint: `best`, `last`, `epoch-0010` or a path.
        device: where the marks are embedded; each process takes the GPU of its local number.
        phase: called in the first process with the name of each phase as it begins.
        progress: called there with (done, total) of the phase.

    Returns:
        whether this process is the first, which goes on with the index; the others are done.

    Raises:
        InputError: the checkpoint cannot be loaded, or the disk is full.
        TrainingError: the processes see different weights or packs, or one of them ended.
    """
    where = choose_device(device)

    def start_phase(name: str) -> Progress | None:
        phase(name)
        return progress

    try:
        with join_ranks(where) as ranks:
            weights = load_weights(find_checkpoint(run, checkpoint))
            pack = open_pack(searched_pack(run))
            build_missing_index(
                run, weights, trained_encoder(weights), pack, where, start_phase, ranks
            )
            return ranks.is_first
    except RankLostError as error:
        raise TrainingError(
            "another process ended, so the marks are not all embedded; the same command embeds the rest"
        ) from error


def build_missing_index(
    run: Run,
    weights: Weights,
    encoder: nn.Module,
    pack: Pack,
    device: torch.device,
    start_phase: Callable[[str], Progress | None],
    ranks: Ranks = ALONE,
) -> Path:
    """The file of an encoder's index of a pack, after embedding the pack if the run does not keep it.

    What an earlier process embedded before it was killed is kept. Where the run keeps the index of the pack
    that this one was made from, only new marks are embedded.

    Args:
        run: where it is kept.
        weights: of the encoder.
        encoder: with these weights.
        pack: the marks.
        device: where they are embedded.
        start_phase: takes the name of a phase that begins, returns the callback for its progress.
        ranks: the processes that embed them together; the first writes the index.

    Raises:
        InputError: a part is of another encoder or pack, or the disk is full.
        TrainingError: the processes see different weights or packs.
    """
    run.index.mkdir(exist_ok=True)
    path = index_path(run.index, weights, pack.identity)
    ranks.check_same({"encoder or pack": path.name})
    parts = IndexParts(path, pack.count)
    missing = parts.missing() if ranks.is_first and not path.exists() else []
    missing = ranks.share(missing)
    if missing:
        size = weights.config.data.image_size
        own = missing[ranks.rank :: ranks.size]
        known = KnownVectors.find(run.index, weights, pack)
        new = [known.rest(rows) for rows in missing]
        progress = start_phase("embedding") if ranks.is_first and any(new) else None
        embedded = embed_ranges(
            encoder,
            pack,
            [known.rest(rows) for rows in own],
            image_size=size,
            device=device,
            progress=_of_all(progress, new),
        )
        vectors = map(known.joined, own, embedded)
        for at in range(0, len(missing), ranks.size):
            if at + ranks.rank < len(missing):
                parts.write(missing[at + ranks.rank], next(vectors))
            ranks.barrier()  # a process that is gone is told after a part
    if ranks.is_first:
        _join(parts, patience_s=_PATIENCE_S if ranks.size > 1 else 0.0)
    return path


def _of_all(progress: Progress | None, ranges: Sequence[range]) -> Progress | None:
    """The progress of all ranges by that of the part of them that a process embeds."""
    if progress is None:
        return None
    marks, show = sum(map(len, ranges)), progress
    return lambda done, total: show(marks * done // total, marks)


def _join(parts: IndexParts, patience_s: float) -> None:
    """Join the parts of an index, unless it is there, as by another command at the same time.

    A disk of several machines may show a part of another one only after a while.
    """
    deadline = time.monotonic() + patience_s
    while not parts.index.exists() and parts.absent() and time.monotonic() < deadline:
        time.sleep(1.0)
    try:
        if not parts.index.exists():
            parts.join()
    except InputError:
        if not parts.index.exists():
            raise
    parts.remove()


def _count_holders(pack: Pack) -> dict[str, int]:
    """How many marks have each Vienna division and section."""
    counts: Counter[str] = Counter()
    for codes in pack.marks.codes():
        counts.update(at_level(codes, "division") | at_level(codes, "section"))
    return dict(counts)
