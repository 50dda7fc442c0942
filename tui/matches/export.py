"""Exports of the shown queries to files of the run."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import QueryMatches
from tmssl.runs.events import Eval
from tmssl.runs.folder import Run, check_entries
from tmssl.text import count, safe
from tui.matches.evaluations import LoadedEvaluation
from tui.paths import display_path

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack


@lru_cache(maxsize=2)
def open_cached_pack(folder: str) -> "Pack":
    """Open a pack, or return the one that is open already.

    Raises:
        PackError: the pack is missing or damaged.
    """
    from tmssl.data.pack.reader import open_pack

    return open_pack(Path(folder))


def write_queries(
    kind: str, run: Run, loaded: LoadedEvaluation, queries: Sequence[QueryMatches], which: str
) -> str:
    """Write queries of an evaluation to an HTML page or a PNG sheet; returns a status text.

    Args:
        kind: `html` or `png`.
        run: its `export` folder gets the file.
        loaded: the evaluation.
        queries: those to write.
        which: the filter that they come from, for the headings.
    """
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
        check_entries(run)
        path.parent.mkdir(exist_ok=True)
        pack = open_cached_pack(header.pack)
        if kind == "html":
            write_page(path, run.name, event, header, chosen, pack)
        else:
            write_contact_sheet(path, run.name, header, chosen, pack)
    except (InputError, OSError) as error:
        return f"not written: {safe(error)}"
    return f"{count(len(chosen), 'query', 'queries')} written: {display_path(path)}"
