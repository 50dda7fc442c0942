"""Marks that join a run's gallery or leave it: a new pack, its index, and then the switch to both."""

import dataclasses
from collections.abc import Callable, Iterable

from tmssl.data.lettering.reader import reader_installed
from tmssl.data.lettering.reading import read_lettering
from tmssl.data.pack.derived import Edit, derive_pack
from tmssl.data.pack.info import PackInfo
from tmssl.data.pack.parts import BuildOptions
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.pack.searched import (
    gallery_lock,
    remove_unused,
    search_from_now,
    searched_pack,
)
from tmssl.doctor.machine import worker_count
from tmssl.retrieval.index.faiss_index import index_path, open_index
from tmssl.retrieval.index.regional import kept_regions
from tmssl.retrieval.phases import phase_starter
from tmssl.retrieval.search.indexing import index_run
from tmssl.retrieval.search.region_indexing import build_missing_regional
from tmssl.retrieval.vectors.whitening import kept_widths, whitened_index
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.learner import choose_device
from tmssl.types import Progress


@dataclasses.dataclass(frozen=True)
class Changed:
    """A gallery before and after a change."""

    before: PackInfo
    after: PackInfo
    """the same where nothing was to be changed"""
    left_out: dict[str, str]
    """path and reason of each new image that cannot be read"""


def change_gallery(
    run: Run,
    choose: Callable[[Pack], Edit | None],
    *,
    checkpoint: str = "best",
    device: str = "auto",
    workers: int = 0,
    phase: Callable[[str], None] = lambda name: None,
    progress: Progress | None = None,
) -> Changed:
    """Change what a run searches. The pack that it trains on stays as it is.

    The new pack and its index are made beside the present ones, and one file that names them is replaced at
    the end: searches meanwhile find the old marks, and a command that was killed anywhere ends as if it had
    not been when it is given again. The vectors of marks that stay are those of the present index, where the
    run keeps it.

    Args:
        run: the run.
        choose: from the present pack to what is to change; None changes nothing.
        checkpoint: whose index is made: `best`, `last`, `epoch-0010` or a path.
        device: where new marks are embedded.
        workers: processes that decode; 0 means one for each usable core.
        phase: called with the name of each phase as it begins.
        progress: called with (done, total) of the phase.

    Raises:
        InputError: no checkpoint, no pack, another command changes the gallery, or the disk is full.
    """
    find_checkpoint(run, checkpoint)  # an error is told before the work
    with gallery_lock(run) as folder:
        before = open_pack(searched_pack(run))
        edit = choose(before)
        after, left_out = before, dict[str, str]()
        if edit is not None:
            phase("packing")
            options = BuildOptions(before.size, workers or worker_count(), progress)
            made, left_out = derive_pack(before, edit, folder, options)
            after = made or before
        if after is not before:
            _index_like(before, after, run, checkpoint, device, workers, phase, progress)
            search_from_now(run, after.folder)
        remove_unused(run)
    return Changed(before.info, after.info, left_out)


def _index_like(
    before: Pack,
    after: Pack,
    run: Run,
    checkpoint: str,
    device: str,
    workers: int,
    phase: Callable[[str], None],
    progress: Progress | None,
) -> None:
    """Make the index of a pack by a checkpoint, and what is kept beside that of the pack before.

    Regions that were cut by lettering need that of the new marks; they are left out where it cannot be read.
    """
    start_phase = phase_starter(phase, progress)

    weights = load_weights(find_checkpoint(run, checkpoint))
    old = index_path(run.index, weights, before.identity)
    widths, views = kept_widths(old), kept_regions(old)
    manifest = index_run(
        run, checkpoint, after.info, after.folder, device=device, phase=phase, progress=progress
    )
    path = run.index / manifest.index
    for width in widths:
        whitened_index(open_index(path), path, width, start_phase("whitening"))

    def make(counts: Iterable[int]) -> None:
        for count in sorted(counts):
            build_missing_regional(
                open_index(path),
                path,
                count,
                weights,
                after,
                device=choose_device(device),
                start_phase=start_phase,
            )

    by_lettering = {files.regions for files in views if files.lettered}
    make({files.regions for files in views} - by_lettering)  # while that of the pack is unread
    if by_lettering and reader_installed():
        known = [before.folder]
        read_lettering(
            after, workers=workers, known=known, progress=start_phase("reading lettering")
        )
        make(by_lettering)
