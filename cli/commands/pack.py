"""`tmssl pack`: read a source, tell what its join lost, and decode its images once."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.follow import say
from cli.options import JsonOutput
from cli.signals import outlive_terminal
from tmssl.text import count, safe

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack


ImagesUnder = Annotated[
    Path | None,
    typer.Option(
        "--images-under",
        metavar="DIR",
        help="Folder in which images may lie too, where links or a table lead out of the source's own.",
    ),
]


def prepare_pack(
    source: Path,
    image_size: int,
    *,
    workers: int = 0,
    also_under: str = "",
    before: Callable[[int], None] | None = None,
) -> "Pack":
    """The pack of a source, built if it is not there; the join report comes first.

    `before` is called with the number of images when they are about to be packed.

    Raises:
        InputError: a source or images that cannot be used.
        KeyboardInterrupt: Ctrl-C; what is finished stays, and the next call goes on from it.
    """
    under = Path(also_under) if also_under else None
    return _prepared(source, image_size, workers, None, under, before)[0]


def _prepared(
    source: Path,
    image_size: int,
    workers: int,
    out: Path | None,
    also_under: Path | None,
    before: Callable[[int], None] | None = None,
) -> tuple["Pack", int]:
    """The pack of a source, and how many images were decoded for it just now."""
    from cli.output.progress import progress_bar
    from tmssl.data.pack.builder import build_pack
    from tmssl.data.pack.cache import pack_folder, pack_size
    from tmssl.data.sources.catalogue import read_catalogue

    catalogue = read_catalogue(source, also_under)
    for line in catalogue.report.lines():
        say(line)
    size = pack_size(image_size)
    folder = out or pack_folder(catalogue, size)
    if before and not folder.exists():
        before(len(catalogue.marks))
    seen: list[int] = []
    with progress_bar("packing") as update:

        def progress(done: int, total: int) -> None:
            if not seen and done:
                say(f"  going on: {count(done, 'image')} were packed before")
            seen.append(done)
            update(done - seen[0], total - seen[0])  # so that speed and ETA are of this build

        pack = build_pack(catalogue, folder, size, workers=workers, progress=progress)
    if not seen:
        say(f"  packed already: {safe(pack.folder)}")
    _tell_quarantine(pack)
    return pack, max(seen, default=0) - min(seen, default=0)


def _tell_quarantine(pack: "Pack") -> None:
    """How many images were left out, one of them, and where the rest are listed."""
    left_out = pack.quarantine
    if left_out:
        path, reason = left_out[0]
        say(
            f"  {count(len(left_out), 'image')} left out, such as {safe(path)} "
            f"({safe(reason)}); all in {safe(pack.folder / 'quarantine.csv')}"
        )


def pack(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder or table of images.")],
    image_size: Annotated[
        int, typer.Option("--image-size", min=32, max=1024, help="Side of the views, pixels.")
    ] = 224,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes that decode; 0 is one a core.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the pack.  [default: in the cache]")
    ] = None,
    images_under: ImagesUnder = None,
    json_output: JsonOutput = False,
) -> None:
    """Decode a source's images once, into the pack that training reads."""
    outlive_terminal()
    begun = time.monotonic()
    built, decoded = _prepared(
        source.resolve(), image_size, workers, out and out.resolve(), images_under
    )
    seconds = time.monotonic() - begun
    length = sum(file.stat().st_size for file in built.folder.iterdir())
    facts = {
        "folder": str(built.folder),
        "images": built.count,
        "quarantined": len(built.quarantine),
        "size": built.size,
        "mib": round(length / 2**20, 1),
        "decoded": decoded,
        "images_s": round(decoded / seconds, 1) if decoded else None,
    }
    if json_output:
        print(json.dumps(facts))  # noqa: T201 - stdout is data
        return
    for name, value in facts.items():
        if value is not None:
            print(f"{name:12} {safe(value)}")  # noqa: T201 - stdout is data
