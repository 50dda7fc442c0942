"""`tmssl pack`: read a source, tell what its join lost, and decode its images once."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.follow import say
from cli.options import JsonOutput
from tmssl.text import count, safe

if TYPE_CHECKING:
    from tmssl.data.pack import Pack


def prepare_pack(
    source: Path, image_size: int, *, workers: int = 0, out: Path | None = None
) -> "Pack":
    """The pack of a source, built if it is not there; the join report comes first.

    Raises:
        InputError: a source or images that cannot be used.
    """
    from cli.progress import progress_bar
    from tmssl.data.catalogue import read_catalogue
    from tmssl.data.pack import build_pack, pack_folder, pack_size

    catalogue = read_catalogue(source)
    for line in catalogue.report.lines():
        say(line)
    size = pack_size(image_size)
    with progress_bar("packing") as progress:
        pack = build_pack(
            catalogue, out or pack_folder(catalogue, size), size, workers=workers, progress=progress
        )
    if pack.quarantine:
        path, reason = pack.quarantine[0]
        say(
            f"  {count(len(pack.quarantine), 'image')} left out, such as {safe(path)} "
            f"({safe(reason)}); all in {safe(pack.folder / 'quarantine.csv')}"
        )
    return pack


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
    json_output: JsonOutput = False,
) -> None:
    """Decode a source's images once, into the pack that training reads."""
    begun = time.monotonic()
    built = prepare_pack(source.resolve(), image_size, workers=workers, out=out)
    seconds = time.monotonic() - begun
    megabytes = sum(f.stat().st_size for f in built.folder.iterdir()) / 2**20
    facts = {
        "folder": str(built.folder), "images": built.count, "quarantined": len(built.quarantine),
        "size": built.size, "mib": round(megabytes, 1), "images_s": round(built.count / seconds, 1),
    }  # fmt: skip
    if json_output:
        print(json.dumps(facts))  # noqa: T201 - stdout is data
        return
    for name, value in facts.items():
        print(f"{name:12} {safe(value)}")  # noqa: T201 - stdout is data
