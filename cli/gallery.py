"""A run's gallery for a command that writes all of it elsewhere, embedded first where that was not done."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from cli.output.console import say
from cli.output.progress import phase_bars
from tmssl.children import torchrun_variables
from tmssl.errors import InputError
from tmssl.runs.folder import Run
from tmssl.runs.workspace import is_read_only, workspace
from tmssl.text import safe

if TYPE_CHECKING:
    from tmssl.retrieval.search.gallery import Gallery
    from tmssl.types import Progress


@contextlib.contextmanager
def opened_gallery(
    run: Run, checkpoint: str, device: str, *, whiten: int = 0, views: int = 1
) -> "Iterator[tuple[Gallery, Callable[[str], None], Progress]]":
    """The gallery of a run, a function that begins a phase, and one that takes its (done, total).

    Under torchrun its processes embed the marks together; all but the first end then.

    Raises:
        InputError: there is no such checkpoint, or the run is read-only and torchrun started several processes.
    """
    from tmssl.retrieval.search.gallery import open_gallery

    together = "TORCHELASTIC_RUN_ID" in torchrun_variables(os.environ)
    if together and is_read_only(run):
        raise InputError(
            f"{safe(run.path)} is read-only, and processes of torchrun share its folder; give a copy"
        )
    with workspace(run, say) as opened, phase_bars() as (phase, progress):
        if together:
            from tmssl.retrieval.search.index_together import index_together

            if not index_together(
                opened, checkpoint, views=views, device=device, phase=phase, progress=progress
            ):
                raise typer.Exit
        gallery = open_gallery(
            opened,
            checkpoint=checkpoint,
            whiten=whiten,
            views=views,
            device=device,
            phase=phase,
            progress=progress,
        )
        yield gallery, phase, progress
