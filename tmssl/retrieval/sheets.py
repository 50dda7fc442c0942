"""Queries and their matches as files to hand on: a page that needs nothing else, or a picture."""

from collections.abc import Sequence
from pathlib import Path

from tmssl.data.pack.pack import Pack
from tmssl.retrieval.matches import MatchesHeader, QueryMatches, write_whole
from tmssl.retrieval.page import evaluation_page
from tmssl.retrieval.sheet import contact_sheet
from tmssl.runs.events import Eval

Chosen = Sequence[tuple[str, QueryMatches]]
"""queries, each with the part of the file that it belongs to"""


def write_page(
    path: Path, name: str, event: Eval, header: MatchesHeader, chosen: Chosen, pack: Pack
) -> None:
    """Write an HTML page of an evaluation of the run `name`, its pictures inside.

    Raises:
        InputError: the file cannot be written.
        PackError: the pack is damaged.
    """
    write_whole(path, [evaluation_page(name, event, header, chosen, pack).encode()])


def write_sheet(path: Path, name: str, header: MatchesHeader, chosen: Chosen, pack: Pack) -> None:
    """Write a PNG with a row for each query.

    Raises:
        InputError: the file cannot be written.
        PackError: the pack is damaged.
    """
    heading = f"{name}, epoch {header.epoch:.4g}, {header.gallery:,} marks searched"
    write_whole(path, [contact_sheet(heading, chosen, pack, header.attribution)])
