"""The words of marks: reading the lettering of a pack with its progress, and comparing them in a search."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.output.console import say
from cli.output.progress import progress_bar
from tmssl.text import count, duration

if TYPE_CHECKING:
    from tmssl.data.lettering.reading import ReadingTime
    from tmssl.data.pack.reader import Pack
    from tmssl.retrieval.search.combined import Comparison
    from tmssl.retrieval.search.gallery import Gallery
    from tmssl.retrieval.search.weights import Weights
    from tmssl.runs.folder import Run


def read_with_progress(pack: "Pack", workers: int = 0, known: Sequence[Path] = ()) -> int:
    """Read the lettering of a pack as far as it is unread; returns the number of marks that were.

    Args:
        pack: the marks.
        workers: processes that read; 0 is one per core.
        known: folders of packs that this one was made of.

    Raises:
        InputError: the extra is missing, or the disk is full.
        KeyboardInterrupt: Ctrl-C; finished parts stay, and the next call goes on behind them.
    """
    from tmssl.data.lettering.reading import read_lettering

    with progress_bar("reading lettering") as update:
        read = read_lettering(
            pack, workers=workers, known=known, estimated=_say_estimate, progress=update
        )
    if not read:
        say("  lettering read already")
    return read


def _say_estimate(time: "ReadingTime") -> None:
    """Say how long the reading will take."""
    marks, total = count(time.marks, "mark"), duration(time.total_s)
    say(
        f"  reading the lettering of {marks} takes about {total} ({time.mark_s:.2f} s of a core each)"
    )
    say("  Ctrl-C keeps what was read; the same command goes on behind it")


def comparison_of(
    gallery: "Gallery", text: str, codes: Sequence[str], weights: "Weights"
) -> "Comparison":
    """What a search compares besides the picture.

    Raises:
        CodeError: a code does not parse.
        InputError: as `open_comparison`.
    """
    from tmssl.data.lettering.pack_lettering import PackLettering
    from tmssl.retrieval.search.combined import open_comparison

    if weights.text and PackLettering(gallery.pack_folder, gallery.pack).begun():
        say("the lettering of only some marks was read so far; --lettering reads the others")
    return open_comparison(gallery, weights, text=text, codes=codes)


def read_gallery(run: "Run", checkpoint: str) -> None:
    """Read the lettering of the marks that a run searches; what other packs of the run know is not read again.

    Raises:
        InputError: there is no such checkpoint or no pack, the extra is missing, or the disk is full.
    """
    from tmssl.data.pack.reader import open_pack
    from tmssl.data.pack.searched import own_packs, searched_pack, trained_pack
    from tmssl.runs.checkpoints import find_checkpoint

    find_checkpoint(run, checkpoint)  # an error is told before the work
    known = [*own_packs(run), trained_pack(run)]
    read_with_progress(open_pack(searched_pack(run)), known=known)
