"""`tmssl pack`: decode the images of a source once."""

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.options import ImagesUnder, JsonOutput, Workers
from cli.output.console import say_data, say_json
from cli.packing import prepare_pack
from cli.signals import outlive_terminal
from tmssl.text import safe


def pack(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Folder, archive or table of images.")
    ],
    image_size: Annotated[
        int,
        typer.Option("--image-size", min=32, max=1024, metavar="N", help="Side of a view, pixels."),
    ] = 224,
    workers: Workers = 0,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Pack folder.  [default: in the cache]"),
    ] = None,
    images_under: ImagesUnder = None,
    json_output: JsonOutput = False,
) -> None:
    """Decode the images of a source once, into the pack that training reads."""
    outlive_terminal()
    begun = time.monotonic()
    folder = out and out.resolve()
    built, decoded = prepare_pack(
        source.resolve(), image_size, images_under=images_under, workers=workers, folder=folder
    )
    seconds = time.monotonic() - begun
    size = sum(file.stat().st_size for file in built.folder.iterdir())
    facts = {
        "folder": str(built.folder),
        "images": built.count,
        "quarantined": len(built.quarantine),
        "size": built.size,
        "mib": round(size / 2**20, 1),
        "decoded": decoded,
        "images_s": round(decoded / seconds, 1) if decoded else None,
    }
    if json_output:
        say_json(facts)
        return
    for name, value in facts.items():
        if value is not None:
            say_data(f"{name:12} {safe(value)}")
