"""Searches as records: read from a command's output or from the run, and written there with a page."""

import dataclasses
import os
import re
from pathlib import Path

import msgspec

from tmssl.errors import InputError
from tmssl.files import make_plain_folder, open_plain, write_atomic
from tmssl.retrieval.search.results import SearchRecord
from tmssl.runs.folder import Run, check_entries
from tmssl.text import safe
from tui.matches.export import open_cached_pack
from tui.paths import display_path
from tui.search.logo import compared_logo

_LARGEST = 64 << 20  # bytes of a record
_PREFIX = "search-"
_ODD = re.compile(r"[^A-Za-z0-9.]+")


@dataclasses.dataclass(frozen=True)
class Search:
    """A search that was made."""

    record: SearchRecord
    text: str
    """the record as JSON, as the command printed it"""
    saved: str = ""
    """name of the file of the run that holds it; empty for one that is not saved"""

    @property
    def order(self) -> list[int]:
        """The numbers of the answers to look at: of risks those that there are, the worst first."""
        if self.record.above is not None:
            return self.record.worst_first()
        return list(range(len(self.record.answers)))


def read_search(text: str, saved: str = "") -> Search:
    """The search of a record in JSON.

    Raises:
        InputError: it is no such record.
    """
    try:
        return Search(msgspec.json.decode(text, type=SearchRecord), text, saved)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{safe(saved) or 'the answer'} is no record of a search ({safe(error, 100)})"
        ) from error


def saved_searches(run: Run) -> list[Path]:
    """The records of a run, the oldest first."""
    return sorted((run.path / "export").glob(f"{_PREFIX}*.json"))


def open_search(path: Path) -> Search:
    """A saved search.

    Raises:
        InputError: it cannot be read, or is no record.
    """
    try:
        with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"cannot read {safe(path)}: {safe(error.strerror)}") from error
    if len(data) > _LARGEST:
        raise InputError(f"{safe(path)} is larger than any record of a search")
    return read_search(data.decode("utf-8", "replace"), path.name)


def save_search(run: Run, search: Search) -> tuple[Search, str]:
    """Write a search to the run's `export` folder, as JSON and as an HTML page; returns it and a status text."""
    from tmssl.retrieval.search.page import search_page

    record = search.record
    path = run.path / "export" / f"{_name(record)}.json"
    try:
        check_entries(run)
        make_plain_folder(path.parent)
        pack = open_cached_pack(record.pack)
        pictures = [compared_logo(answer, pack.size) for answer in record.answers]
        write_atomic(path.with_suffix(".html"), search_page(record, pictures, pack).encode())
        write_atomic(path, search.text.encode())
    except (InputError, OSError) as error:
        return search, f"not saved: {safe(error)}"
    return dataclasses.replace(search, saved=path.name), (
        f"saved as {display_path(path)} and as a page beside it (.html)"
    )


def _name(record: SearchRecord) -> str:
    """`search-20261129T1530-acme`, by time and first logo."""
    logo = Path(record.answers[0].file).stem if record.answers else "nothing"
    time = re.sub(r"[^0-9T]", "", record.searched[:19])
    return f"{_PREFIX}{time}-{_ODD.sub('-', logo).strip('-.')[:40] or 'logo'}"
