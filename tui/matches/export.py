"""Queries that a person looks at, written to a file of the run or drawn outside the monitor."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import QueryMatches
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run
from tmssl.text import count, safe
from tui.matches.evaluations import LoadedEvaluation
from tui.paths import display_path

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack


@lru_cache(maxsize=2)
def pack_of(folder: str) -> "Pack":
    """A pack stays open while its pages are turned.

    Raises:
        PackError: it is missing or damaged.
    """
    from tmssl.data.pack.reader import open_pack

    return open_pack(Path(folder))


def write_queries(
    kind: str, run: Run, loaded: LoadedEvaluation, queries: Sequence[QueryMatches], which: str
) -> str:
    """Write queries of an evaluation as a page (`html`) or a sheet (`png`), and say where it is."""
    from tmssl.retrieval.evaluation.contact_sheet import write_contact_sheet
    from tmssl.retrieval.evaluation.page import write_page

    assert loaded.header is not None
    header, path = loaded.header, run.path / "export" / f"{loaded.name}.{kind}"
    event = loaded.evaluations[loaded.index].event or Eval(
        epoch=header.epoch,
        gallery=header.gallery,
        checkpoint=header.checkpoint,
        queries=len(loaded.queries),
    )
    chosen = [(f"{which} queries", query) for query in queries]
    try:
        path.parent.mkdir(exist_ok=True)
        pack = pack_of(header.pack)
        if kind == "html":
            write_page(path, run.name, event, header, chosen, pack)
        else:
            write_contact_sheet(path, run.name, header, chosen, pack)
    except (InputError, OSError) as error:
        return f"not written: {safe(error)}"
    return f"{count(len(chosen), 'query', 'queries')} written: {display_path(path)}"


def ask(prompt: str) -> str:
    """What a person types outside the monitor; nothing when the terminal is gone."""
    try:
        return input(prompt).strip()
    except (EOFError, KeyboardInterrupt):
        return ""
