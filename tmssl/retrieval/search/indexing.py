"""Index a run for search: embed its marks where that was not done, and trace its encoder."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from tmssl.data.pack.info import PackInfo
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.vienna import at_level
from tmssl.retrieval.index.digests import write_recorded
from tmssl.retrieval.index.faiss_index import index_path
from tmssl.retrieval.index.index_parts import IndexParts
from tmssl.retrieval.index.known_vectors import KnownVectors
from tmssl.retrieval.phases import phase_starter
from tmssl.retrieval.search.divided import (
    join_parts,
    missing_parts,
    of_all,
    own_parts,
    write_own,
)
from tmssl.retrieval.search.manifest import IndexManifest, manifest_path, write_manifest
from tmssl.retrieval.search.traced_encoder import UntraceableError, trace_encoder
from tmssl.retrieval.vectors.embed import embed_ranges, trained_encoder
from tmssl.retrieval.vectors.fold_bn import fold_bn
from tmssl.runs.checkpoints import digest, find_checkpoint
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import Weights, load_with_digest
from tmssl.training.learner import choose_device
from tmssl.training.ranks.distributed import ALONE, Ranks
from tmssl.types import Progress


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
    start_phase = phase_starter(phase, progress)

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


def build_missing_index(
    run: Run,
    weights: Weights,
    encoder: nn.Module,
    pack: Pack,
    device: torch.device,
    start_phase: Callable[[str], Progress | None],
) -> Path:
    """The file of an encoder's index of a pack, after embedding the pack if the run does not keep it.

    As for `embed_missing`; the disk may be full when the parts are joined, too.
    """
    parts = index_parts(run, weights, pack)
    embed_missing(parts, weights, encoder, pack, device=device, start_phase=start_phase)
    join_parts(parts, parts.join)
    return parts.index


def index_parts(run: Run, weights: Weights, pack: Pack) -> IndexParts:
    """The parts of an encoder's index of a pack, in the run's folder of indexes, which is made."""
    run.index.mkdir(exist_ok=True)
    return IndexParts(index_path(run.index, weights, pack.identity), pack.count)


def embed_missing(
    parts: IndexParts,
    weights: Weights,
    encoder: nn.Module,
    pack: Pack,
    *,
    device: torch.device,
    start_phase: Callable[[str], Progress | None],
    ranks: Ranks = ALONE,
) -> None:
    """Embed the marks of a pack, if their index is not kept.

    What an earlier process embedded before it was killed is kept. Where the run keeps the index of the pack
    that this one was made from, only new marks are embedded.

    Args:
        parts: take what is embedded.
        weights: of the encoder.
        encoder: with these weights.
        pack: the marks.
        device: where they are embedded.
        start_phase: takes the name of a phase that begins, returns the callback for its progress.
        ranks: the processes that embed them together.

    Raises:
        InputError: a part is of another encoder or pack, or the disk is full.
    """
    missing = missing_parts(parts, ranks)
    if not missing:
        return
    own = own_parts(missing, ranks)
    known = KnownVectors.find(parts.index.parent, weights, pack)
    new = [known.rest(rows) for rows in missing]
    progress = start_phase("embedding") if ranks.is_first and any(new) else None
    embedded = embed_ranges(
        encoder,
        pack,
        [known.rest(rows) for rows in own],
        image_size=weights.config.data.image_size,
        device=device,
        progress=of_all(progress, new),
    )
    write_own(missing, ranks, map(known.joined, own, embedded), parts.write)


def _count_holders(pack: Pack) -> dict[str, int]:
    """How many marks have each Vienna division and section."""
    counts: Counter[str] = Counter()
    for codes in pack.marks.codes():
        counts.update(at_level(codes, "division") | at_level(codes, "section"))
    return dict(counts)
