"""Which column of a table means what: by its name, by the user's word, or by the codes that it holds."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tmssl.data.cells import COLUMNS, Row, cell_text, column_name
from tmssl.data.tables.code_columns import (
    code_of_parts,
    columns_of_codes,
    columns_of_parts,
    is_number,
    written_by_doubles,
)
from tmssl.data.tables.limits import MAX_LINE
from tmssl.errors import CatalogueError, ConfigError
from tmssl.text import nearest, safe

_SAMPLE = 500  # rows by which columns are judged
_SUFFIX = re.compile(r".+\.(jpe?g|png|gif|webp|bmp|tiff?|svg|avif|heic)", re.IGNORECASE)


class NoPathError(CatalogueError):
    """A table has no column that names its images."""


def parse_columns(text: str) -> dict[str, list[str]]:
    """`path=filename,vienna=code_list` as meaning to the names of its columns.

    Raises:
        ConfigError: a part is not MEANING=NAME, or the meaning is unknown.
    """
    asked: dict[str, list[str]] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        meaning, equals, name = (word.strip() for word in part.partition("="))
        if not equals or not name:
            raise ConfigError(
                f"--columns got '{safe(part, 60)}'; it takes MEANING=NAME, such as "
                "path=filename,vienna=code_list"
            )
        if meaning not in COLUMNS:
            raise ConfigError(
                f"--columns knows no '{safe(meaning, 60)}'{nearest(meaning, list(COLUMNS))}; "
                f"it knows {', '.join(COLUMNS)}"
            )
        asked.setdefault(meaning, []).append(name)
    for meaning, names in asked.items():
        if meaning != "vienna" and len(names) > 1:
            raise ConfigError(f"--columns names two columns for {meaning}; leave one out")
    return asked


def with_meanings(
    name: str, rows: Iterable[Row], asked: Mapping[str, list[str]], notes: list[str]
) -> Iterator[Row]:
    """Rows whose columns have the names in `COLUMNS`, as far as a table has them.

    Args:
        name: of the file, for messages.
        rows: with the columns as the file names them.
        asked: meaning to columns, as by `parse_columns`.
        notes: takes a sentence on each column that is read or left out for a reason worth a word.

    Raises:
        CatalogueError: there is no column for the path, or one that was asked for is missing.
    """
    iterator = iter(rows)
    head = list(_sample(iterator))
    if not head:
        return
    columns = list(dict.fromkeys(itertools.chain.from_iterable(head)))
    if hub := _hub_column(columns, asked):
        asked = {**asked, "path": [hub]}
        notes.append(
            f"its column '{safe(hub, 60)}' is the path, as in Hugging Face's image folders"
        )
    require_path(name, columns, asked, head)
    meant = {column: _canonical(column, asked) for column in columns}
    for meaning, names in asked.items():
        for column in names:
            meant[_find(name, column, columns)] = meaning
    refuse_doubles(name, meant.values())
    parts = columns_of_parts(head, meant, notes)
    if not parts:
        meant |= dict.fromkeys(columns_of_codes(head, meant, notes), "vienna")
    by_doubles = {
        column
        for column, meaning in meant.items()
        if meaning == "vienna" and written_by_doubles(head, column)
    }
    for row in itertools.chain(head, iterator):
        if parts:
            row["vienna"] = code_of_parts(row, parts)
        yield _renamed(row, meant, asked, by_doubles)


def _sample(rows: Iterator[Row]) -> Iterator[Row]:
    """The first rows; fewer where they are long."""
    length = 0
    for row in itertools.islice(rows, _SAMPLE):
        yield row
        length += sum(len(cell) for cell in row.values() if isinstance(cell, str | bytes | list))
        if length > MAX_LINE:
            return


def _hub_column(columns: list[str], asked: Mapping[str, list[str]]) -> str:
    """The column with the paths in Hugging Face's image folders, where no other has them."""
    if "path" in asked or "path" in map(column_name, columns):
        return ""
    named = [column for column in columns if column == "file_name"]
    named = named or [column for column in columns if column.endswith("_file_name")]
    return named[0] if len(named) == 1 else ""


def _canonical(column: str, asked: Mapping[str, list[str]]) -> str:
    """A column's own meaning, unless another column was asked for in its place."""
    name = column_name(column)
    return "" if name in asked else name


def _renamed(
    row: Row, meant: dict[str, str], asked: Mapping[str, list[str]], by_doubles: set[str]
) -> Row:
    """A row under the meanings of its columns; several columns of codes give one list."""
    renamed: Row = {}
    for column, cell in row.items():
        meaning = meant.get(column)
        if meaning is None:  # a column that the first rows lack
            meaning = meant[column] = _canonical(column, asked)
        if not meaning:
            continue
        if column in by_doubles and isinstance(cell, str) and is_number(cell):
            cell = float(cell)
        if meaning == "vienna" and meaning in renamed:
            cell = [renamed[meaning], cell]
        renamed[meaning] = cell
    return renamed


def refuse_doubles(name: str, meanings: Iterable[str]) -> None:
    """Refuse two columns of one meaning; only codes may stand in several.

    Raises:
        CatalogueError: there are two.
    """
    counts = Counter(meanings)
    for meaning in COLUMNS:
        if meaning != "vienna" and counts[meaning] > 1:
            raise CatalogueError(
                f"{safe(name)} has {counts[meaning]} columns '{meaning}'; rename or remove all but one"
            )


def require_path(
    name: str, columns: list[str], asked: Mapping[str, list[str]], head: Iterable[Row] = ()
) -> None:
    """Refuse a table without a column for the path, as it names no images; guess which one is meant.

    Raises:
        CatalogueError: there is none.
    """
    if "path" in asked:
        _find(name, asked["path"][0], columns)
        return
    if "path" in map(column_name, columns):
        return
    guess = next((column for column in columns if _names_images(head, column)), "")
    hint = f" (did you mean '{safe(guess, 60)}'?)" if guess else nearest("path", columns)
    example = f", as in --columns path={safe(guess, 60)}" if guess else ""
    raise NoPathError(
        f"{safe(name)} has no column 'path'{hint}; it has {_shown(columns)}; name the column with "
        f"each image's path relative to the table `path`, or give --columns path=NAME{example}"
    )


def _shown(columns: list[str]) -> str:
    """The first columns of a table."""
    return ", ".join(safe(column, 40) for column in columns[:8] if column.strip()) or "none"


def _find(name: str, wanted: str, columns: list[str]) -> str:
    """The column that a user means, in any case where only one has that name."""
    if wanted in columns:
        return wanted
    folded = [column for column in columns if column_name(column).casefold() == wanted.casefold()]
    if len(folded) == 1:
        return folded[0]
    raise CatalogueError(
        f"{safe(name)} has no column '{safe(wanted, 60)}'{nearest(wanted, columns)}; "
        f"it has {_shown(columns)}; --columns takes MEANING=NAME"
    )


def _names_images(head: Iterable[Row], column: str) -> bool:
    """Whether the first cells of a column end like image files."""
    texts = [cell_text(row.get(column)) for row in itertools.islice(head, 20)]
    named = [text for text in texts if text]
    return bool(named) and all(_SUFFIX.fullmatch(text) for text in named)
