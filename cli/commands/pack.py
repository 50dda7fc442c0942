"""`tmssl pack`: decode the images of a source once."""

import time
from pathlib import Path
from typing import Annotated

import typer

from cli.options import ClassFolders, Columns, ImagesUnder, JsonOutput, Sources, Workers
from cli.output.console import say_data, say_json
from cli.packing import prepare_pack
from cli.signals import outlive_terminal
from cli.words import read_with_progress
from tmssl.config import DataConfig
from tmssl.data.sources.specification import join_sources
from tmssl.text import safe


def pack(
    sources: Sources,
    image_size: Annotated[
        int,
        typer.Option("--image-size", min=32, max=1024, metavar="N", help="Side of a view, pixels."),
    ] = DataConfig().image_size,
    workers: Workers = 0,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Pack folder.  [default: in the cache]"),
    ] = None,
    images_under: ImagesUnder = None,
    columns: Columns = "",
    folders: ClassFolders = "",
    lettering: Annotated[
        bool,
        typer.Option(
            "--lettering", help="Read the words in the pictures too, for `tmssl search --text`."
        ),
    ] = False,
    json_output: JsonOutput = False,
) -> None:
    """Decode the images of a source once, into the pack that training reads."""
    outlive_terminal()
    if lettering:
        from tmssl.data.lettering.reader import check_reader

        check_reader()
    begun = time.monotonic()
    built, decoded = prepare_pack(
        join_sources(sources),
        image_size,
        images_under=images_under,
        columns=columns,
        folders=folders,
        workers=workers,
        folder=out and out.resolve(),
    )
    seconds = time.monotonic() - begun
    read = read_with_progress(built, workers) if lettering else None
    size = sum(file.stat().st_size for file in built.folder.iterdir())
    facts = {
        "folder": str(built.folder),
        "images": built.count,
        "quarantined": len(built.quarantine),
        "size": built.size,
        "mib": round(size / 2**20, 1),
        "decoded": decoded,
        "images_s": round(decoded / seconds, 1) if decoded else None,
        **({"lettering_read": read} if lettering else {}),
    }
    if json_output:
        say_json(facts)
        return
    for name, value in facts.items():
        if value is not None:
            say_data(f"{name:12} {safe(value)}")
