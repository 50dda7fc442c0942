"""Build the pack of a source for `tmssl pack` and `tmssl train`, with its join report and progress."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cli.output.console import say
from cli.output.progress import progress_bar
from tmssl.config import read_config
from tmssl.runs.folder import Run
from tmssl.text import count, pasted, safe

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack


def prepare_pack(
    source: Path,
    image_size: int,
    *,
    images_under: str | Path | None = None,
    workers: int = 0,
    folder: Path | None = None,
    before_packing: Callable[[int], None] | None = None,
) -> tuple["Pack", int]:
    """Return the pack of a source, built if needed, and the number of images decoded for it now.

    Args:
        source: folder, archive or table of images.
        image_size: side of the views in pixels.
        images_under: a further folder that may hold images.
        workers: processes that decode; 0 is one per core.
        folder: where to put the pack; by default in the cache.
        before_packing: called with the number of images when none of them is packed yet.

    Raises:
        InputError: a source or images that cannot be used.
        KeyboardInterrupt: Ctrl-C; finished parts stay, and the next call continues from them.
    """
    from tmssl.data.pack.builder import build_pack
    from tmssl.data.pack.cache import pack_folder, pack_size
    from tmssl.data.sources.catalogue import read_catalogue

    catalogue = read_catalogue(source, Path(images_under) if images_under else None)
    for line in catalogue.report.lines():
        say(line)
    size = pack_size(image_size)
    folder = folder or pack_folder(catalogue, size)
    if before_packing and not folder.exists():
        before_packing(len(catalogue.marks))
    counts: list[int] = []
    with progress_bar("packing") as update:

        def progress(done: int, total: int) -> None:
            if not counts and done:
                say(f"  resuming: {count(done, 'image')} packed earlier")
            counts.append(done)
            update(done - counts[0], total - counts[0])  # speed and ETA of this build alone

        pack = build_pack(catalogue, folder, size, workers=workers, progress=progress)
    if not counts:
        say(f"  already packed: {safe(pack.folder)}")
    _say_quarantined(pack)
    return pack, max(counts, default=0) - min(counts, default=0)


def _say_quarantined(pack: "Pack") -> None:
    """Say how many images were left out, with one example and the file that lists all."""
    left_out = pack.quarantine
    if left_out:
        path, reason = left_out[0]
        say(
            f"  {count(len(left_out), 'image')} left out, such as {safe(path)} "
            f"({safe(reason)}); all in {safe(pack.folder / 'quarantine.csv')}"
        )


def warn_of_new_labels(run: Run) -> None:
    """Say if the labels of a run were changed after it was packed; the run keeps the old ones."""
    from tmssl.data.pack.info import labels_changed

    if not run.config.is_file():
        return
    data = read_config(run.config).data
    if data.source and labels_changed(Path(data.source), Path(data.pack)):
        say(
            f"the labels in {safe(data.source)} changed after this run packed them, and the run keeps "
            f"the old ones; a new run reads the new ones: tmssl train --data {pasted(data.source)} "
            f"--init {pasted(run.path)}"
        )
